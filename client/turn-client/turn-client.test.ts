import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import t from 'tap';
import {
  stunAttribute,
  stunClass,
  stunMethod,
  verifyMessageIntegrity,
  xorAddress,
} from '../../tunnel-protocol/index.ts';
import {
  allocatedClient,
  answerTo,
  challenge,
  createClient,
  dataIndication,
  decoded,
  events,
  grant,
  hmacSha1,
  key,
  mapped,
  otherPeer,
  outputs,
  peer,
  relayed,
  ScriptedServer,
  username,
} from './testing/scripted-server.ts';
import type { TurnClient } from './turn-client.ts';

const datagram = Uint8Array.of(0x80, 1, 2, 3, 4);

t.test('a challenge, an allocation, a channel', (t) => {
  const client = createClient();
  client.start(0);
  const [first, ...none] = outputs(client);
  t.same(none, []);
  t.match(decoded(first), { method: stunMethod.Allocate, messageClass: stunClass.request, integrityAt: -1 });
  t.equal(decoded(first).u32(stunAttribute.REQUESTED_TRANSPORT), 17 << 24);
  t.equal(client.wrap(datagram), null, 'nothing can be sent yet');
  client.receive(answerTo(first, { code: 401, fill: challenge('n1'), key: null }), 10);

  const [second] = outputs(client);
  const request = decoded(second);
  t.not(Buffer.from(request.transactionId).toString('hex'), Buffer.from(decoded(first).transactionId).toString('hex'));
  t.equal(request.text(stunAttribute.USERNAME), username);
  t.equal(request.text(stunAttribute.NONCE), 'n1');
  t.ok(verifyMessageIntegrity(request, key, hmacSha1));
  client.receive(answerTo(second, { fill: grant() }), 20);
  t.same(events(client), [{ type: 'allocated', relayed, mapped, lifetimeMs: 600_000 }]);

  // The first datagram goes behind the request for the channel, not behind its answer.
  const [bind] = outputs(client);
  t.equal(decoded(bind).method, stunMethod.ChannelBind);
  t.same(xorAddress(decoded(bind), stunAttribute.XOR_PEER_ADDRESS), peer);
  const early = decoded(client.wrap(datagram) ?? undefined);
  t.match(early, { method: stunMethod.Send, messageClass: stunClass.indication });
  t.same(early.value(stunAttribute.DATA), datagram);
  client.receive(answerTo(bind), 30);
  t.same(events(client), [{ type: 'bound', peer }]);
  t.same(client.wrap(datagram), Uint8Array.of(0x40, 0, 0, 5, ...datagram));
  t.same(client.receive(Uint8Array.of(0x40, 0, 0, 2, 7, 8, 0, 0), 40), Uint8Array.of(7, 8));
  t.same(client.receive(dataIndication(peer, datagram), 40), datagram, 'either form');
  t.end();
});

t.test('on a stream ChannelData is padded, and nothing is sent twice', (t) => {
  const { client, bind } = allocatedClient({ reliable: true });
  t.equal(client.nextTimeout(), 20 + 39_500);
  client.receive(answerTo(bind), 30);
  t.same(client.wrap(datagram), Uint8Array.of(0x40, 0, 0, 5, ...datagram, 0, 0, 0));
  const silent = createClient({ reliable: true });
  silent.start(0);
  outputs(silent);
  silent.handleTimeout(39_499);
  t.same(outputs(silent), []);
  silent.handleTimeout(39_500);
  t.same(events(silent), [{ type: 'failed', reason: 'unanswered', code: null }]);
  t.end();
});

t.test('an IPv6 peer is asked for', (t) => {
  const client = createClient({ peers: [{ address: '2001:db8::1', port: 443 }] });
  client.start(0);
  t.equal(decoded(outputs(client)[0]).u32(stunAttribute.REQUESTED_ADDRESS_FAMILY), 2 << 24);
  t.throws(() => createClient({ peers: [] }), RangeError);
  t.throws(() => createClient({ peers: [{ address: 'localhost', port: 1 }] }), TypeError);
  t.end();
});

t.test('over UDP requests are repeated as RFC 8489 section 6.2.1 says', (t) => {
  const client = createClient();
  client.start(0);
  const sent = outputs(client).map(() => 0);
  for (let due = client.nextTimeout(); due !== null; due = client.nextTimeout()) {
    client.handleTimeout(due);
    sent.push(...outputs(client).map(() => due));
    const [event] = events(client);
    if (event !== undefined) t.same([due, event], [39_500, { type: 'failed', reason: 'unanswered', code: null }]);
  }
  t.same(sent, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
  t.end();
});

t.test('stale nonces: asked again with the new one, but not for ever', (t) => {
  const { client, bind } = allocatedClient();
  let request = bind;
  for (const nonce of ['n2', 'n3', 'n4']) {
    client.receive(answerTo(request, { code: 438, fill: challenge(nonce), key: null }), 30);
    [request] = outputs(client);
    t.equal(decoded(request).text(stunAttribute.NONCE), nonce);
  }
  t.equal(client.counters.staleNonces, 3);
  client.receive(answerTo(request, { code: 438, fill: challenge('n5'), key: null }), 30);
  t.same(events(client), [{ type: 'failed', reason: 'wrong-credentials', code: 438 }]);
  t.equal(decoded(outputs(client)[0]).u32(stunAttribute.LIFETIME), 0, 'the allocation is given back');
  t.end();
});

t.test('what a server may refuse', (t) => {
  const refusals: readonly [number, string][] = [
    [300, 'try-alternate'],
    [400, 'refused'],
    [401, 'wrong-credentials'],
    [403, 'forbidden'],
    [420, 'refused'],
    [437, 'allocation-mismatch'],
    [440, 'family-unsupported'],
    [441, 'wrong-credentials'],
    [442, 'refused'],
    [443, 'family-unsupported'],
    [486, 'quota-reached'],
    [500, 'refused'],
    [508, 'no-capacity'],
  ];
  for (const [code, reason] of refusals) {
    const client = createClient();
    client.start(0);
    client.receive(answerTo(outputs(client)[0], { code: 401, fill: challenge('n1'), key: null }), 0);
    client.receive(answerTo(outputs(client)[0], { code, fill: challenge('n2') }), 0);
    t.same(events(client), [{ type: 'failed', reason, code }]);
    t.equal(client.nextTimeout(), null);
  }
  const unnamed = createClient();
  unnamed.start(0);
  unnamed.receive(answerTo(outputs(unnamed)[0], { code: 401, key: null }), 0);
  t.match(events(unnamed), [{ reason: 'wrong-credentials' }], 'a 401 without a realm');
  const empty = createClient();
  empty.start(0);
  empty.receive(answerTo(outputs(empty)[0], { code: 401, fill: challenge('n1'), key: null }), 0);
  empty.receive(answerTo(outputs(empty)[0]), 0);
  t.match(events(empty), [{ reason: 'bad-answer' }], 'a success without an address');
  t.end();
});

t.test('a peer that is forbidden: the next one, until there is none', (t) => {
  const { client, bind } = allocatedClient({ peers: [peer, otherPeer] });
  client.receive(answerTo(bind, { code: 403 }), 30);
  const [second] = outputs(client);
  t.same(xorAddress(decoded(second), stunAttribute.XOR_PEER_ADDRESS), otherPeer);
  t.equal(decoded(second).u32(stunAttribute.CHANNEL_NUMBER), 0x4001 * 65_536, 'a channel belongs to one peer for good');
  t.equal(client.receive(dataIndication(peer, datagram), 30), null);
  client.receive(answerTo(second, { code: 403 }), 40);
  t.same(events(client), [{ type: 'failed', reason: 'peer-forbidden', code: 403 }]);
  t.end();
});

t.test('a server without channels: permissions and indications', (t) => {
  const { client, bind } = allocatedClient();
  client.receive(answerTo(bind, { code: 508 }), 30);
  const [permit] = outputs(client);
  t.equal(decoded(permit).method, stunMethod.CreatePermission);
  client.receive(answerTo(permit), 40);
  t.equal(decoded(client.wrap(datagram) ?? undefined).method, stunMethod.Send);
  t.equal(client.receive(Uint8Array.of(0x40, 0, 0, 1, 9), 40), null);
  t.equal(client.nextTimeout(), 40 + 240_000);
  client.handleTimeout(40 + 240_000);
  t.equal(decoded(outputs(client)[0]).method, stunMethod.CreatePermission);
  t.end();
});

t.test('the allocation and the channel are renewed in time', (t) => {
  const { client, bind } = allocatedClient();
  client.receive(answerTo(bind), 20);
  const asked: [number, number][] = [];
  for (let due = client.nextTimeout() ?? 0; due < 1_900_000; due = client.nextTimeout() ?? Infinity) {
    client.handleTimeout(due);
    for (const request of outputs(client)) {
      asked.push([due, decoded(request).method]);
      client.receive(answerTo(request, { fill: (b) => b.u32(stunAttribute.LIFETIME, 600) }), due);
    }
  }
  t.same(
    asked.filter(([, method]) => method === stunMethod.Refresh).map(([at]) => at),
    [540_020, 1_080_020, 1_620_020],
  );
  t.same(
    asked.filter(([, method]) => method === stunMethod.ChannelBind).map(([at]) => at),
    [240_020, 480_020, 720_020, 960_020, 1_200_020, 1_440_020, 1_680_020],
  );
  t.equal(events(client).length, 1, 'bound, and nothing else');
  t.end();
});

t.test('a lifetime of nothing does not make it ask for ever; a lost allocation is told', (t) => {
  const { client, bind } = allocatedClient({}, 0);
  client.receive(answerTo(bind), 20);
  events(client);
  t.equal(client.nextTimeout(), 10_020);
  client.handleTimeout(10_020);
  client.receive(answerTo(outputs(client)[0], { code: 437 }), 10_030);
  t.same(events(client), [{ type: 'failed', reason: 'allocation-lost', code: 437 }]);
  t.end();
});

t.test('only the server is believed, and only the peer is heard', (t) => {
  const { client, bind } = allocatedClient();
  const wanted = { ...client.counters };
  const forged: readonly [keyof typeof wanted, Uint8Array][] = [
    ['badIntegrity', answerTo(bind, { key: null })],
    ['badIntegrity', answerTo(bind, { key: new Uint8Array(16) })],
    ['badIntegrity', answerTo(bind, { code: 403, key: null })],
    ['unknownTransaction', answerTo(client.wrap(datagram) ?? undefined)],
    ['malformed', answerTo(bind, { fill: (builder) => builder.u32(0x7fff, 1) })],
    ['malformed', answerTo(bind).subarray(4)],
    ['malformed', new Uint8Array(0).subarray(0, 0)],
    ['ignored', bind ?? new Uint8Array(0)],
    ['strangers', dataIndication(otherPeer, datagram)],
    ['strangers', Uint8Array.of(0x40, 1, 0, 1, 9)],
    ['strangers', Uint8Array.of(0x40, 0, 0, 9, 9)],
    ['strangers', Uint8Array.of(0x80, 0, 0, 1, 9)],
  ];
  for (const [counter, bytes] of forged.filter(([, bytes]) => bytes.length > 0)) {
    t.equal(client.receive(bytes, 25), null);
    wanted[counter]++;
    t.same(client.counters, wanted, counter);
  }
  t.same(events(client), []);
  client.receive(answerTo(bind), 30);
  t.equal(events(client).length, 1, 'the true answer still counts');
  t.end();
});

t.test('closing gives back what there is, and is final', (t) => {
  const { client, bind } = allocatedClient();
  client.close();
  client.close();
  const [release, ...none] = outputs(client);
  t.match(decoded(release), { method: stunMethod.Refresh });
  t.equal(decoded(release).u32(stunAttribute.LIFETIME), 0);
  t.ok(verifyMessageIntegrity(decoded(release), key, hmacSha1));
  t.same(none, []);
  client.receive(answerTo(bind), 30);
  client.handleTimeout(1e9);
  t.same([events(client), outputs(client), client.nextTimeout(), client.wrap(datagram)], [[], [], null, null]);
  const idle = createClient();
  idle.close();
  t.same(outputs(idle), []);
  t.end();
});

/** Runs both ends for so long; each message is lost with this probability. Returns the datagrams that came to the client. */
function converse(client: TurnClient, server: ScriptedServer, until: number, lost: () => boolean): Uint8Array[] {
  const heard: Uint8Array[] = [];
  for (let now = 0; now <= until; now += 50) {
    if ((client.nextTimeout() ?? Infinity) <= now) client.handleTimeout(now);
    for (let sent = outputs(client); sent.length > 0; sent = outputs(client)) {
      for (const message of sent) {
        if (lost()) continue;
        for (const answer of server.handle(message)) {
          const inner = lost() ? null : client.receive(answer, now);
          if (inner !== null) heard.push(inner.slice());
        }
      }
    }
  }
  return heard;
}

t.test('through loss and expiring nonces it gets there', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1 << 30 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 20 }),
      (seed, dice) => {
        const client = createClient({}, seed);
        const server = new ScriptedServer();
        let turn = 0;
        let losses = 0;
        client.start(0);
        converse(client, server, 100_000, () => {
          turn++;
          if (turn % 7 === 0 && turn < 30) server.nonce = `nonce ${String(turn)}`;
          // A request is sent seven times (RFC 8489 section 6.2.1): of more losses in a row it may well die.
          const isLost = (dice[turn] ?? 9) < 4 && losses < 6;
          if (isLost) losses++;
          return isLost;
        });
        const failed = events(client).some(({ type }) => type === 'failed');
        if (failed) return false;
        const message = client.wrap(datagram);
        if (message === null) return false;
        return server.handle(message).some((answer) => client.receive(answer, 100_000)?.length === datagram.length);
      },
    ),
    { numRuns: 200 },
  );
  t.end();
});

t.test('no bytes throw, and none but the server’s change anything', (t) => {
  const { bind } = allocatedClient();
  const genuine = [answerTo(bind), dataIndication(peer, datagram), Uint8Array.of(0x40, 0, 0, 2, 1, 2)];
  const mutated = fc
    .tuple(
      fc.constantFrom(...genuine),
      fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 6 }),
    )
    .map(([bytes, flips]) => {
      const copy = bytes.slice();
      for (const [at, flip] of flips) copy[at % copy.length] = (copy[at % copy.length] as number) ^ flip;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 120 }), mutated), (bytes) => {
      const { client } = allocatedClient();
      client.receive(bytes, 30);
      const idle = createClient();
      idle.receive(bytes, 0);
      // A flipped bit outside of what is signed (a comprehension-optional tail) may leave an answer true.
      return client.allocated && events(client).every(({ type }) => type === 'bound') && events(idle).length === 0;
    }),
    { numRuns: 500 },
  );
  const { client } = allocatedClient();
  for (let i = 0; i < 20_000; i++) client.receive(randomBytes(i % 300), i);
  t.ok(client.allocated);
  t.end();
});
