import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { closeCodes, videoSlotMids } from '../tunnel-protocol/index.ts';
import type { LayerWatch, SlotAssignment } from '../tunnel-protocol/index.ts';
import { createSfu, SfuError } from './index.ts';
import { unwatchedAfterMs } from './layer-watch.ts';
import { startSfu } from './testing/sfu-fixture.ts';
import type { SfuFixture } from './testing/sfu-fixture.ts';
import { testdata } from './testing/testdata.ts';
import { TunnelClient } from './testing/tunnel.ts';

const offer = readFileSync(testdata('chromium-156-offer.sdp'), 'utf8');

type Teardown = (handler: () => Promise<void>) => void;

async function withSfu(
  t: { readonly teardown: Teardown },
  config: Parameters<typeof startSfu>[0] = {},
  now?: () => number,
): Promise<SfuFixture> {
  const fixture = await startSfu(config, now);
  t.teardown(() => fixture.close());
  return fixture;
}

/** `main: camera of x, 4: …` in short. */
function shown(slots: readonly SlotAssignment[]): Record<string, string> {
  return Object.fromEntries(
    slots.flatMap(({ mid, participant, source }) =>
      participant === null ? [] : [[mid, `${participant} ${String(source)}`]],
    ),
  );
}

function code(reply: { ok: boolean; error?: { code: string } }): string {
  return reply.error?.code ?? 'ok';
}

t.test('join, and what others are told', async (t) => {
  const { open, sfu } = await withSfu(t);
  const a = open({ name: 'a' });
  const joined = await a.must({ type: 'join' });
  t.strictSame(joined.participants, []);
  t.equal(joined.self.identity, 'identity-a');
  t.not(joined.self.id, 'session-a', 'the session id is not told');
  t.equal(code(await a.request({ type: 'join' })), 'already-joined');

  const b = open({ name: 'b' });
  const second = await b.must({ type: 'join' });
  t.strictSame(second.participants, [joined.self]);
  const told = await a.event('participant-joined');
  t.strictSame(told.participant, second.self);

  await b.must({ type: 'status', status: { hand: true } });
  const updated = await a.event('participant-updated');
  t.strictSame(updated.participant.status, { hand: true });

  t.strictSame(
    sfu.room('room')?.participants.map(({ name, rung }) => ({ name, rung })),
    [
      { name: 'a', rung: null },
      { name: 'b', rung: null },
    ],
  );
  t.strictSame([...sfu.sessionsByRung()], [['none', 2]]);

  await b.must({ type: 'leave' });
  t.equal((await a.event('participant-left')).id, second.self.id);
  t.equal(b.closed?.code, closeCodes.normal.wire);
  t.equal(sfu.hasSession('session-b'), false);
  t.equal(sfu.hasSession('session-a'), true);
});

t.test('requests before the join, and what is not permitted', async (t) => {
  const { open } = await withSfu(t);
  const a = open({ name: 'a', can: [] });
  t.equal(code(await a.request({ type: 'offer', sdp: offer })), 'not-joined');
  t.equal(code(await a.request({ type: 'publish', source: 'camera', muted: false })), 'not-joined');
  await a.must({ type: 'join' });
  t.equal(code(await a.request({ type: 'publish', source: 'camera', muted: false })), 'forbidden');
  t.equal(code(await a.request({ type: 'subscribe', main: null, audio: true, video: true })), 'forbidden');
  t.equal(code(await a.request({ type: 'mute', source: 'camera', muted: true })), 'unknown-source');
  const bad = await a.request({ type: 'offer', sdp: 'v=0\r\n' });
  t.equal(code(bad), 'bad-offer');
  t.match(bad, { error: { message: /0 media sections/ } });

  const b = open({ name: 'b' });
  await b.must({ type: 'join' });
  await b.must({ type: 'publish', source: 'camera', muted: false });
  await a.event('participant-updated');
  t.equal(
    a.events.some(({ type }) => type === 'slots'),
    false,
    'nothing is shown to one who may not subscribe',
  );
  t.equal(
    code(await b.request({ type: 'subscribe', main: 'nobody', audio: true, video: true })),
    'unknown-participant',
  );
});

t.test('messages that are no requests', async (t) => {
  const { open, sfu } = await withSfu(t);
  const a = open({ name: 'a' });
  for (const text of ['{', '[]', '{"type":"join"}', '{"type":"__proto__"}', 'null', '"join"']) a.sendText(text);
  t.equal(sfu.counters['requests_refused'], 6);
  t.equal(a.events.length, 0);
  t.match(await a.request({ type: 'status', status: { a: null } as never }), {
    ok: false,
    error: { code: 'bad-request' },
  });
  await a.must({ type: 'join' });
});

t.test('too many requests are refused, and the session goes on', async (t) => {
  let now = 1000;
  const { open } = await withSfu(t, {}, () => now);
  const a = open({ name: 'a' });
  await a.must({ type: 'join' });
  const replies = await Promise.all(
    Array.from({ length: 200 }, () => a.request({ type: 'publish', source: 'camera', muted: false })),
  );
  t.ok(replies.filter(({ ok }) => !ok).length > 100);
  t.equal(code(await a.request({ type: 'status', status: {} })), 'too-many-requests');
  now += 1000;
  await a.must({ type: 'status', status: {} });
});

t.test('slots follow publications, mutes, pins and leaves', async (t) => {
  const { open } = await withSfu(t);
  const viewer = open({ name: 'viewer', can: ['subscribe'] });
  await viewer.must({ type: 'join' });
  const ids: Record<string, string> = {};
  const clients: Record<string, TunnelClient> = {};
  for (const name of ['a', 'b']) {
    const client = (clients[name] = open({ name }));
    ids[name] = (await client.must({ type: 'join' })).self.id;
    await client.must({ type: 'publish', source: 'microphone', muted: false });
    await client.must({ type: 'publish', source: 'camera', muted: false });
  }
  const { a, b } = ids;
  const last = (): Record<string, string> => {
    const slots = viewer.events.filter((event) => event.type === 'slots').at(-1);
    return slots === undefined ? {} : shown(slots.slots);
  };
  t.strictSame(last(), {
    3: `${String(b)} camera`,
    4: `${String(a)} camera`,
    9: `${String(b)} microphone`,
    10: `${String(a)} microphone`,
  });
  await clients['b']?.must({ type: 'mute', source: 'camera', muted: true });
  t.strictSame(last(), {
    3: `${String(a)} camera`,
    9: `${String(a)} microphone`,
    10: `${String(b)} microphone`,
  });
  await clients['b']?.must({ type: 'publish', source: 'screen', muted: false });
  t.equal(last()[3], `${String(b)} screen`);
  await viewer.must({ type: 'subscribe', main: a ?? null, audio: false, video: true });
  t.strictSame(last(), { 3: `${String(a)} camera`, 4: `${String(b)} screen` });
  await clients['b']?.must({ type: 'unpublish', source: 'screen' });
  await clients['a']?.must({ type: 'leave' });
  t.strictSame(last(), {});
  t.equal(viewer.events.filter((event) => event.type === 'slots').at(-1)?.slots.length, videoSlotMids.length + 3);
});

t.test('the hidden see, and are not seen', async (t) => {
  const { open } = await withSfu(t);
  const a = open({ name: 'a' });
  await a.must({ type: 'join' });
  await a.must({ type: 'publish', source: 'camera', muted: false });
  const hidden = open({ name: 'hidden', hidden: true });
  t.equal((await hidden.must({ type: 'join' })).participants.length, 1);
  await hidden.event('slots');
  await hidden.must({ type: 'publish', source: 'camera', muted: false });
  await hidden.must({ type: 'leave' });
  t.strictSame(
    a.events.map(({ type }) => type),
    [],
  );
});

t.test('offers: the answer, an ICE restart, another transport', async (t) => {
  const { open, sfu } = await withSfu(t);
  const a = open({ name: 'a' });
  await a.must({ type: 'join' });
  const credentials = (sdp: string): string => /a=ice-ufrag:\S+/.exec(sdp)?.[0] ?? '';
  const first = (await a.must({ type: 'offer', sdp: offer })).sdp;
  t.equal(credentials((await a.must({ type: 'offer', sdp: offer })).sdp), credentials(first), 'the same offer again');
  const restarted = await a.must({ type: 'offer', sdp: offer.replaceAll(/a=ice-ufrag:\S+/g, 'a=ice-ufrag:other') });
  t.not(credentials(restarted.sdp), credentials(first));
  t.equal(sfu.counters['ice_restarts'], 1);
  t.equal(sfu.counters['transports_opened'], 1);
  const fingerprint = /a=fingerprint:sha-256 ..:/g;
  const other = await a.must({ type: 'offer', sdp: offer.replaceAll(fingerprint, 'a=fingerprint:sha-256 00:') });
  t.not(credentials(other.sdp), credentials(restarted.sdp));
  t.equal(sfu.counters['transports_opened'], 2);
  t.match(other.sdp, /a=candidate:1 1 udp \d+ 127\.0\.0\.1 \d+ typ host/);
  t.equal(code(await a.request({ type: 'publish', source: 'screen', muted: false })), 'ok');
  await a.must({ type: 'offer', sdp: offer.replace(/(a=mid:2[^]*?)a=sendonly/, '$1a=inactive') });
  t.equal(code(await a.request({ type: 'publish', source: 'screen', muted: false })), 'not-negotiated');
});

t.test('a second connection replaces the first, and nothing is lost', async (t) => {
  const { open, sfu } = await withSfu(t);
  const a = open({ name: 'a' });
  await a.must({ type: 'join' });
  const first = a.path;
  if (first === null) throw new Error('not connected');
  a.connect('session-a');
  t.strictSame(a.closed, { path: first, code: closeCodes.replaced.wire });
  sfu.receive(first, Uint8Array.of(0xf0, 0));
  t.equal(sfu.counters['control_unattached'], 1, 'the old path carries nothing any more');
  await a.must({ type: 'status', status: {} });
});

t.test('a client that forgot its control state must start anew', async (t) => {
  const { open, sfu } = await withSfu(t);
  const a = open({ name: 'a' });
  await a.must({ type: 'join' });
  // The reply to it brought the acknowledgement of the reply before.
  await a.must({ type: 'status', status: {} });
  const other = new TunnelClient(sfu, () => performance.now());
  other.connect('session-a');
  t.equal(other.closed?.code, closeCodes['unknown-session'].wire);
  t.equal(sfu.hasSession('session-a'), false);
});

t.test('a broken connection is taken up again', async (t) => {
  const { open } = await withSfu(t);
  const a = open({ name: 'a' });
  await a.must({ type: 'join' });
  a.disconnect();
  const b = open({ name: 'b' });
  await b.must({ type: 'join' });
  const pending = a.request({ type: 'status', status: { back: true } });
  t.equal(a.events.length, 0);
  a.connect('session-a');
  await pending;
  t.equal((await a.event('participant-joined')).participant.name, 'b');
  t.strictSame((await b.event('participant-updated')).participant.status, { back: true });
});

t.test('a session without anything ends after the grace', async (t) => {
  let now = 1000;
  const { open, sfu } = await withSfu(t, { sessionGraceMs: 5000 }, () => now);
  const a = open({ name: 'a' });
  const b = open({ name: 'b' });
  const id = (await a.must({ type: 'join' })).self.id;
  await b.must({ type: 'join' });
  sfu.openSession({ sessionId: 'never', room: 'r', identity: '', name: '', can: [], hidden: false });
  a.disconnect();
  now += 4999;
  await b.must({ type: 'status', status: {} });
  await new Promise((resolve) => setTimeout(resolve, 150));
  t.equal(sfu.hasSession('session-a'), true);
  now += 1;
  t.equal((await b.event('participant-left')).id, id);
  t.equal(sfu.hasSession('session-a'), false);
  t.equal(sfu.hasSession('never'), false, 'one that never connected, too');
  t.equal(sfu.hasSession('session-b'), true);
  t.equal(sfu.counters['sessions_expired'], 2);
});

t.test('control frames that make no sense end the session', async (t) => {
  const { open, sfu } = await withSfu(t);
  const a = open({ name: 'a' });
  const b = open({ name: 'b' });
  await a.must({ type: 'join' });
  await b.must({ type: 'join' });
  a.sendDatagram(Uint8Array.of(0xf6, 0, 0, 0, 9, 1));
  t.ok(a.closed !== null && a.closed.code >= 4200, String(a.closed?.code));
  t.equal(sfu.hasSession('session-a'), false);
  await b.event('participant-left');
  t.equal(sfu.counters['control_errors'], 1);
});

t.test("a moderator's tools", async (t) => {
  const { open, sfu } = await withSfu(t);
  const a = open({ name: 'a' });
  const { id } = (await a.must({ type: 'join' })).self;
  t.throws(() => {
    sfu.mute('room', id, 'camera');
  }, new SfuError('unknown-source'));
  await a.must({ type: 'publish', source: 'camera', muted: false });
  sfu.mute('room', id, 'camera');
  t.strictSame((await a.event('participant-updated')).participant.publications, [
    { source: 'camera', kind: 'video', muted: true },
  ]);
  t.throws(() => {
    sfu.kick('nowhere', id);
  }, new SfuError('unknown-room'));
  t.throws(() => {
    sfu.kick('room', 'nobody');
  }, new SfuError('unknown-participant'));
  sfu.kick('room', id);
  t.equal(a.closed?.code, closeCodes.kicked.wire);
  t.equal(sfu.room('room'), undefined, 'an empty room is forgotten');
});

t.test('moderators act by their own control channel', async (t) => {
  const { open, sfu } = await withSfu(t);
  const moderator = open({ name: 'moderator', can: ['admin'] });
  const a = open({ name: 'a' });
  const b = open({ name: 'b' });
  const own = (await moderator.must({ type: 'join' })).self.id;
  const participant = (await a.must({ type: 'join' })).self.id;
  await b.must({ type: 'join' });
  await a.must({ type: 'publish', source: 'camera', muted: false });
  for (const client of [a, b]) {
    t.equal(code(await client.request({ type: 'kick', participant: own })), 'forbidden');
    t.equal(code(await client.request({ type: 'mute-participant', participant, source: 'camera' })), 'forbidden');
    t.equal(code(await client.request({ type: 'end-room' })), 'forbidden');
  }
  t.equal(code(await moderator.request({ type: 'mute-participant', participant, source: 'screen' })), 'unknown-source');
  t.equal(code(await moderator.request({ type: 'kick', participant: 'nobody' })), 'unknown-participant');
  await moderator.must({ type: 'mute-participant', participant, source: 'camera' });
  const muted = (await a.event('participant-updated', ({ participant: { id } }) => id === participant)).participant;
  t.strictSame(muted.publications, [{ source: 'camera', kind: 'video', muted: true }]);
  await moderator.must({ type: 'kick', participant });
  t.equal(a.closed?.code, closeCodes.kicked.wire);
  t.equal((await b.event('participant-left')).id, participant);
  await moderator.must({ type: 'end-room' });
  t.equal(b.closed?.code, closeCodes['room-ended'].wire);
  t.equal(moderator.closed?.code, closeCodes['room-ended'].wire);
  t.strictSame(sfu.rooms(), []);
  t.notOk(
    b.events.some((event) => event.type === 'participant-left' && event.id === own),
    'nobody is told that the others leave',
  );
  open({ name: 'late' });
  sfu.endRoom('room');
  t.equal(sfu.hasSession('session-late'), false, 'one that has not joined, too');
  t.throws(() => {
    sfu.endRoom('room');
  }, new SfuError('unknown-room'));
});

t.test('publishers are told which layers are watched', async (t) => {
  let now = 1000;
  const { open } = await withSfu(t, {}, () => now);
  const a = open({ name: 'a' });
  const viewer = open({ name: 'viewer', can: ['subscribe'] });
  await a.must({ type: 'join' });
  await viewer.must({ type: 'join' });
  await a.must({ type: 'offer', sdp: offer });
  await a.must({ type: 'publish', source: 'camera', muted: false });
  const told = async (watched: string): Promise<void> => {
    const shown = (event: { layers: readonly LayerWatch[] }): string =>
      event.layers.map((layer) => (layer.watched ? (layer.rid ?? layer.source) : '-')).join(' ');
    await a.event('layers', (event) => shown(event) === watched);
    t.equal(shown(a.events.filter((event) => event.type === 'layers').at(-1) ?? { layers: [] }), watched);
    a.events.length = 0;
  };
  const view = (layer: 'h' | 'l' | null): Promise<unknown> =>
    viewer.must({ type: 'view', slots: [{ mid: '3', layer }, ...idle] });
  const idle = ['4', '5', '6', '7', '8'].map((mid) => ({ mid, layer: null }));
  await view('h');
  // While h does not come, whoever wants it makes do with l.
  now += 5000;
  await a.must({ type: 'status', status: {} });
  t.notOk(a.events.some(({ type }) => type === 'layers'));
  await view('l');
  now += unwatchedAfterMs;
  await told('- l');
  await view(null);
  now += unwatchedAfterMs;
  await told('- -');
  await view('h');
  await told('h l');
  await a.must({ type: 'mute', source: 'camera', muted: true });
  now += unwatchedAfterMs;
  await told('- -');
  await a.must({ type: 'publish', source: 'screen', muted: false });
  await view(null);
  now += unwatchedAfterMs;
  await told('- - -');
});

t.test('misuse and limits', async (t) => {
  const { sfu, open } = await withSfu(t, { maxParticipantsPerRoom: 2 });
  open({ name: 'a' });
  t.throws(() => open({ name: 'a' }), new SfuError('session-exists'));
  open({ name: 'b' });
  t.throws(() => open({ name: 'c' }), new SfuError('room-full'));
  open({ name: 'c', room: 'other' });
  t.throws(() => {
    new TunnelClient(sfu, () => 0).connect('unknown');
  }, new SfuError('unknown-session'));
  t.equal(sfu.endSession('unknown', 'left'), false);
  const stopped = createSfu(
    { nodeId: 'x', candidates: [], sessionGraceMs: 1, maxParticipantsPerRoom: 1 },
    { now: () => 0, random: (length) => new Uint8Array(length), log: console },
  );
  t.throws(
    () => stopped.openSession({ sessionId: 's', room: 'r', identity: '', name: '', can: [], hidden: false }),
    new SfuError('closed'),
  );
  await stopped.close();
});

t.test('each end of a session is told once', async (t) => {
  const ended: string[] = [];
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const sfu = createSfu(
    { nodeId: 'x', candidates: [], sessionGraceMs: 1000, maxParticipantsPerRoom: 2 },
    { now: () => 0, random: (length) => randomBytes(length), log, onSessionEnd: (id) => ended.push(id) },
  );
  await sfu.start();
  for (const sessionId of ['a', 'b']) {
    sfu.openSession({ sessionId, room: 'r', identity: '', name: '', can: [], hidden: false });
  }
  sfu.endSession('a', 'left');
  t.equal(sfu.endSession('a', 'left'), false);
  await sfu.close();
  t.same(ended, ['a', 'b']);
});

t.test('a crowd is told in portions', async (t) => {
  const { sfu, open } = await withSfu(t, { maxParticipantsPerRoom: 300 });
  const status = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`k${String(i)}`, 'x'.repeat(150)]));
  for (let i = 0; i < 60; i++) {
    const client = open({ name: `p${String(i)}` });
    await client.must({ type: 'join' });
    await client.must({ type: 'status', status });
  }
  const late = open({ name: 'late' });
  const { participants } = await late.must({ type: 'join' });
  t.ok(participants.length < 60);
  const portions = late.events.flatMap((event) => (event.type === 'participants' ? event.changed : []));
  // What was still to be told to all may come once more.
  t.equal(new Set([...participants, ...portions].map(({ id }) => id)).size, 60);
  t.equal(portions.at(-1)?.name, 'p59');
  t.equal(sfu.room('room')?.participants.length, 61);
});
