import t from 'tap';
import type { ParticipantInfo, Publication, SlotAssignment } from '../../tunnel-protocol/index.ts';
import { describeTile, layOut } from './tiles.ts';

const microphone: Publication = { source: 'microphone', kind: 'audio', muted: false };
const camera: Publication = { source: 'camera', kind: 'video', muted: false };

function person(id: string, ...publications: Publication[]): ParticipantInfo {
  return { id, identity: id, name: id.toUpperCase(), publications, status: {} };
}

function videoSlot(mid: string, participant: string | null, source: 'camera' | 'screen' = 'camera'): SlotAssignment {
  return { mid, kind: 'video', participant, source: participant === null ? null : source };
}

t.test('an empty room has no main', (t) => {
  t.same(layOut([], [videoSlot('3', null)]), { main: null, thumbnails: [], hidden: 0 });
  t.end();
});

t.test('slots say who is main and who is a thumbnail', (t) => {
  const layout = layOut(
    [person('a', camera, microphone), person('b', camera)],
    [videoSlot('3', 'b'), videoSlot('4', 'a'), videoSlot('5', null)],
  );
  t.match(layout.main, { participant: { id: 'b' }, mid: '3', source: 'camera', microphone: 'none' });
  t.match(layout.thumbnails, [{ participant: { id: 'a' }, mid: '4', microphone: 'on' }]);
  t.equal(layout.thumbnails.length, 1);
  t.end();
});

t.test('someone without video is shown by initials, and is main when nobody has a slot', (t) => {
  const layout = layOut([person('a'), person('b', microphone)], []);
  // Neither is heard yet, so the order of the list stays.
  t.match(layout.main, { participant: { id: 'a' }, mid: null });
  t.match(layout.thumbnails, [{ participant: { id: 'b' }, mid: null }]);
  const heard = layOut(
    [person('a'), person('b', microphone)],
    [{ mid: '9', kind: 'audio', participant: 'b', source: 'microphone' }],
  );
  t.match(heard.main, { participant: { id: 'b' } });
  t.end();
});

t.test('a main slot that is empty for a moment is filled from the thumbnails', (t) => {
  const layout = layOut([person('a', camera)], [videoSlot('3', null), videoSlot('4', 'a')]);
  t.match(layout.main, { participant: { id: 'a' }, mid: '4' });
  t.same(layout.thumbnails, []);
  t.end();
});

t.test('camera and screen of one person take two tiles', (t) => {
  const screen: Publication = { source: 'screen', kind: 'video', muted: false };
  const layout = layOut([person('a', camera, screen)], [videoSlot('3', 'a', 'screen'), videoSlot('4', 'a')]);
  t.match(layout.main, { source: 'screen' });
  t.match(layout.thumbnails, [{ source: 'camera' }]);
  t.equal(layout.main === null ? '' : describeTile(layout.main), 'A, shares a screen, no microphone');
  t.end();
});

t.test('five thumbnails at most; the others are counted', (t) => {
  const others = Array.from({ length: 9 }, (_, i) => person(`p${String(i)}`));
  const layout = layOut(others, []);
  t.equal(layout.thumbnails.length, 5);
  t.equal(layout.hidden, 3);
  t.end();
});

t.test('a slot of someone who has left already shows nobody', (t) => {
  t.same(layOut([], [videoSlot('3', 'gone')]), { main: null, thumbnails: [], hidden: 0 });
  t.end();
});

t.test('mute shows', (t) => {
  const muted = person('a', { ...camera, muted: true }, { ...microphone, muted: true });
  const layout = layOut([muted], [videoSlot('3', 'a')]);
  t.match(layout.main, { cameraMuted: true, microphone: 'muted' });
  t.equal(layout.main === null ? '' : describeTile(layout.main), 'A, camera off, muted');
  t.end();
});
