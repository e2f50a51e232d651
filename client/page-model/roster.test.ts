import t from 'tap';
import type { ParticipantInfo } from '../../tunnel-protocol/index.ts';
import { Roster } from './roster.ts';

function person(id: string, name = id): ParticipantInfo {
  return { id, identity: id, name, publications: [], status: {} };
}

t.test('follows joins, updates and leaves', (t) => {
  const roster = new Roster();
  roster.begin(person('me'), [person('me'), person('a')]);
  t.equal(roster.self.id, 'me');
  t.same(
    roster.others.map((one) => one.id),
    ['a'],
  );
  t.match(roster.apply({ type: 'participant-joined', participant: person('b') }), { type: 'participant-joined' });
  t.match(roster.apply({ type: 'participant-updated', participant: person('a', 'Ada') }), {
    type: 'participant-updated',
    participant: { name: 'Ada' },
  });
  t.match(roster.apply({ type: 'participant-left', id: 'b' }), { type: 'participant-left', participant: { id: 'b' } });
  t.equal(roster.apply({ type: 'participant-left', id: 'b' }), null);
  t.same(
    roster.others.map((one) => one.name),
    ['Ada'],
  );
  t.end();
});

t.test('an update of oneself is told apart', (t) => {
  const roster = new Roster();
  roster.begin(person('me'), []);
  t.match(roster.apply({ type: 'participant-updated', participant: person('me', 'Me') }), { type: 'self-updated' });
  t.equal(roster.self.name, 'Me');
  t.same(roster.others, []);
  t.end();
});

t.test('events that overtake the reply to join count on top of it', (t) => {
  const roster = new Roster();
  t.throws(() => roster.self);
  roster.apply({ type: 'participant-joined', participant: person('b') });
  roster.apply({ type: 'participant-left', id: 'a' });
  roster.apply({ type: 'slots', slots: [{ mid: '3', kind: 'video', participant: 'b', source: 'camera' }] });
  roster.begin(person('me'), [person('a')]);
  t.same(
    roster.others.map((one) => one.id),
    ['b'],
  );
  t.match(roster.slots, [{ participant: 'b' }]);
  t.end();
});
