import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import t from 'tap';
import {
  addErrorCode,
  addFingerprint,
  addMessageIntegrity,
  addXorAddress,
  decodeStun,
  NOMINATION,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunError,
  stunMethod,
  verifyFingerprint,
  verifyMessageIntegrity,
} from '../../tunnel-protocol/index.ts';
import { IceClient } from './ice-client.ts';
import { hmacSha1 } from './testing/virtual-pair.ts';
import type { StunClass, StunErrorCode, StunMessage } from '../../tunnel-protocol/index.ts';
import type { IceClientEvent, IceOutput } from './types.ts';

const remote = { ufrag: 'server', pwd: 'password-of-the-server' };
const remoteKey = new TextEncoder().encode(remote.pwd);

function checking(paths = ['udp']): IceClient {
  const client = new IceClient({ random: randomBytes, hmacSha1 });
  client.setRemote(remote, 0);
  for (const id of paths) client.addPath(id, 'udp', 0);
  client.handleTimeout(0);
  return client;
}

function outputs(client: IceClient): IceOutput[] {
  const list: IceOutput[] = [];
  for (let out = client.nextOutput(); out !== null; out = client.nextOutput()) list.push(out);
  return list;
}

function events(client: IceClient): IceClientEvent[] {
  const list: IceClientEvent[] = [];
  for (let event = client.nextEvent(); event !== null; event = client.nextEvent()) list.push(event);
  return list;
}

function decoded(bytes: Uint8Array | undefined): StunMessage {
  const message = decodeStun(bytes ?? new Uint8Array(0));
  if (typeof message === 'string') throw new Error(message);
  return message;
}

interface Answer {
  readonly messageClass?: StunClass;
  readonly transactionId?: Uint8Array;
  readonly key?: Uint8Array | null;
  readonly error?: StunErrorCode;
  readonly extra?: number;
}

function answerTo(request: Uint8Array | undefined, answer: Answer = {}): Uint8Array {
  const id = answer.transactionId ?? decoded(request).transactionId;
  const builder = new StunBuilder(answer.messageClass ?? stunClass.success, stunMethod.Binding, id);
  if (answer.error === undefined) {
    addXorAddress(builder, stunAttribute.XOR_MAPPED_ADDRESS, { address: '192.0.2.9', port: 9 });
  } else {
    addErrorCode(builder, answer.error);
  }
  if (answer.extra !== undefined) builder.flag(answer.extra);
  if (answer.key !== null) addMessageIntegrity(builder, answer.key ?? remoteKey, hmacSha1);
  addFingerprint(builder);
  return builder.take();
}

t.test('a check is what RFC 8445 section 7.2.2 asks for', (t) => {
  const client = checking();
  const check = decoded(outputs(client)[0]?.datagram);
  t.equal(check.messageClass, stunClass.request);
  t.equal(check.method, stunMethod.Binding);
  t.equal(check.text(stunAttribute.USERNAME), `server:${client.local.ufrag}`);
  t.equal(check.u32(stunAttribute.PRIORITY), 110 * 2 ** 24 + 65_535 * 256 + 255);
  t.equal(check.value(stunAttribute.ICE_CONTROLLING)?.length, 8);
  t.notOk(check.has(stunAttribute.USE_CANDIDATE) || check.has(NOMINATION));
  t.ok(verifyMessageIntegrity(check, remoteKey, hmacSha1));
  t.ok(verifyFingerprint(check));
  t.end();
});

t.test('nominations carry USE-CANDIDATE and a counter that only grows', (t) => {
  const client = checking(['udp', 'ws']);
  outputs(client);
  const counters = ['udp', 'ws', 'udp'].map((id) => {
    client.nominate(id, 5);
    const [nomination] = outputs(client);
    t.equal(nomination?.pathId, id);
    const message = decoded(nomination?.datagram);
    t.ok(message.has(stunAttribute.USE_CANDIDATE));
    return message.u32(NOMINATION);
  });
  t.same(counters, [1, 2, 3]);
  client.restart();
  client.setRemote({ ufrag: 'again', pwd: 'another-password-of-server' }, 6);
  t.equal(decoded(outputs(client)[0]?.datagram).u32(NOMINATION), 4, 'what was under way is made anew');
  t.end();
});

t.test('a nomination given up for another is not reported when its answer comes late', (t) => {
  const client = checking(['udp', 'ws']);
  outputs(client);
  client.nominate('udp', 1);
  const [first] = outputs(client);
  client.nominate('ws', 2);
  const [second] = outputs(client);
  client.receive('udp', answerTo(first?.datagram), 3);
  t.equal(client.nominated, null);
  t.equal(client.counters.unknownTransaction, 1);
  client.receive('ws', answerTo(second?.datagram), 4);
  t.equal(client.nominated, 'ws');
  t.end();
});

t.test('initial checks keep the pace and repeat with doubling intervals', (t) => {
  const ids = Array.from({ length: 16 }, (_, i) => `path ${String(i)}`);
  const client = checking(ids);
  t.throws(() => {
    client.addPath('one more', 'udp', 0);
  }, RangeError);
  const sent: { at: number; pathId: string }[] = outputs(client).map(({ pathId }) => ({ at: 0, pathId }));
  for (let due = client.nextTimeout(); due !== null && due < 20_000; due = client.nextTimeout()) {
    client.handleTimeout(due);
    for (const { pathId } of outputs(client)) sent.push({ at: due, pathId });
  }
  const firsts = ids.map((id) => sent.find(({ pathId }) => pathId === id)?.at);
  t.same(
    firsts,
    ids.map((_, i) => i * 20),
  );
  const times = sent.filter(({ pathId }) => pathId === 'path 0').map(({ at }) => at);
  t.same(times, [0, 250, 750, 1750, 3750, 5750, 7750]);
  t.same(
    events(client),
    ids.map((pathId) => ({ type: 'failed', pathId, reason: 'unanswered' })),
  );
  t.equal(client.nextTimeout(), null);
  t.end();
});

t.test('only an authentic answer to what was asked on that path counts', (t) => {
  const client = checking(['udp', 'ws']);
  const request = outputs(client)[0]?.datagram;
  const { counters } = client;
  const forged: [keyof typeof counters, string, Uint8Array][] = [
    ['badIntegrity', 'udp', answerTo(request, { key: null })],
    ['badIntegrity', 'udp', answerTo(request, { key: new TextEncoder().encode('another password') })],
    [
      'badIntegrity',
      'udp',
      answerTo(request, { key: null, messageClass: stunClass.error, error: stunError.badRequest }),
    ],
    ['unknownTransaction', 'udp', answerTo(request, { transactionId: new Uint8Array(12) })],
    ['unknownTransaction', 'ws', answerTo(request)],
    ['unknownTransaction', 'no such path', answerTo(request)],
    ['malformed', 'udp', answerTo(request).fill(0, -4)],
    ['malformed', 'udp', answerTo(request).subarray(4)],
    ['malformed', 'udp', answerTo(request, { extra: 0x7fff })],
    ['ignored', 'udp', answerTo(request, { messageClass: stunClass.request })],
  ];
  const wanted = { ...counters };
  for (const [counter, path, bytes] of forged) {
    client.receive(path, bytes, 10);
    wanted[counter]++;
    t.same(counters, wanted, counter);
  }
  t.same(events(client), []);
  t.equal(client.pathState('udp'), 'checking');
  client.receive('udp', answerTo(request), 20);
  t.same(events(client), [
    { type: 'validated', pathId: 'udp', mapped: { address: '192.0.2.9', port: 9 } },
    { type: 'round-trip', pathId: 'udp', ms: 20 },
  ]);
  client.receive('udp', answerTo(request), 30);
  t.same(events(client), [], 'an answer counts once');
  t.end();
});

t.test('a valid path is checked when asked, and only then', (t) => {
  const client = checking(['udp', 'ws']);
  const [first] = outputs(client);
  client.check('udp', 5);
  client.check('no such path', 5);
  t.same(outputs(client), [], 'it is being checked already');
  client.receive('udp', answerTo(first?.datagram), 10);
  events(client);
  client.check('udp', 20);
  const [again, ...none] = outputs(client);
  t.same(none, []);
  t.equal(again?.pathId, 'udp');
  client.receive('udp', answerTo(again?.datagram), 27);
  t.same(events(client), [{ type: 'round-trip', pathId: 'udp', ms: 7 }]);
  t.end();
});

t.test('487: stays controlling and goes on', (t) => {
  const client = checking();
  const request = outputs(client)[0]?.datagram;
  client.receive('udp', answerTo(request, { messageClass: stunClass.error, error: stunError.roleConflict }), 10);
  t.equal(client.counters.roleConflicts, 1);
  t.same(events(client), []);
  client.handleTimeout(250);
  const repeated = outputs(client)[0]?.datagram;
  t.ok(decoded(repeated).has(stunAttribute.ICE_CONTROLLING));
  client.receive('udp', answerTo(repeated), 260);
  t.equal(client.pathState('udp'), 'valid');
  t.end();
});

t.test('an authentic refusal of a check fails the path; of a nomination, the nomination', (t) => {
  const client = checking(['udp', 'ws']);
  const refusal = { messageClass: stunClass.error, error: stunError.unknownAttribute };
  client.receive('udp', answerTo(outputs(client)[0]?.datagram, refusal), 1);
  t.same(events(client), [{ type: 'failed', pathId: 'udp', reason: 'rejected' }]);
  client.nominate('ws', 2);
  client.receive('ws', answerTo(outputs(client)[0]?.datagram, refusal), 3);
  t.same(events(client), [{ type: 'nomination-failed', pathId: 'ws' }]);
  t.equal(client.pathState('ws'), 'checking');
  t.end();
});

t.test('a removed path is silent, and no longer the nominated one', (t) => {
  const client = checking();
  client.nominate('udp', 0);
  client.receive('udp', answerTo(outputs(client)[1]?.datagram), 1);
  t.equal(client.nominated, 'udp');
  client.nominate('udp', 2);
  client.removePath('udp');
  t.same(outputs(client), []);
  t.equal(client.nominated, null);
  t.equal(client.pathState('udp'), null);
  t.equal(client.nextTimeout(), null);
  t.notOk(client.nominate('udp', 3));
  t.end();
});

t.test('no bytes throw or validate, be they random or an answer with mutations', (t) => {
  const client = checking();
  const seed = answerTo(outputs(client)[0]?.datagram);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      client.receive('udp', bytes, 1);
    }),
  );
  const mutations = fc.array(fc.record({ at: fc.nat(seed.length - 9), value: fc.nat(255) }), { minLength: 1 });
  fc.assert(
    fc.property(mutations, (list) => {
      const bytes = seed.slice();
      for (const { at, value } of list) bytes[at] = value;
      if (Buffer.compare(bytes, seed) !== 0) client.receive('udp', bytes, 1);
      return client.pathState('udp') === 'checking';
    }),
    { numRuns: 1000 },
  );
  t.end();
});
