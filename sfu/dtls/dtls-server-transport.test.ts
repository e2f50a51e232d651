import { createHash, X509Certificate } from 'node:crypto';
import t from 'tap';
import { clientIdentity, DtlsPair, serverIdentity } from './testing/dtls-pair.ts';
import { doubled, eachLostOnce, latency, reordered, type Fault } from './testing/faulty-link.ts';

t.test('an identity names its certificate as SDP does', (t) => {
  const digest = createHash('sha256').update(new X509Certificate(serverIdentity.certPem).raw).digest('hex');
  t.equal(serverIdentity.fingerprint.replaceAll(':', '').toLowerCase(), digest);
  t.match(serverIdentity.fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  t.end();
});

t.test('a handshake takes two round trips, and gives both ends the same keys', async (t) => {
  const pair = new DtlsPair({ toServer: latency(20), toClient: latency(20) });
  t.equal(pair.server.connected, false);
  t.equal(await pair.connect(), 80);
  t.equal(pair.server.connected, true);
  const [server, client] = [pair.serverLog.keys, pair.clientLog.keys];
  t.equal(server?.profile, 'AEAD_AES_128_GCM');
  t.equal(server?.localSalt.length, 12);
  t.same(
    [server?.localKey, server?.localSalt, server?.remoteKey, server?.remoteSalt],
    [client?.remoteKey, client?.remoteSalt, client?.localKey, client?.localSalt],
  );
  t.equal(pair.time.pending, 0, 'no timer is left');
  t.ok(await pair.isAlive());
  t.equal(pair.counters.connected, 1);
});

t.test('a client that cannot do GCM gets AES-CM', async (t) => {
  const pair = new DtlsPair({ srtpProfiles: [1] });
  await pair.connect();
  t.equal(pair.serverLog.keys?.profile, 'AES_CM_128_HMAC_SHA1_80');
  t.equal(pair.serverLog.keys?.remoteSalt.length, 14);
});

t.test('fingerprints of other hashes and in other cases', async (t) => {
  const der = new X509Certificate(clientIdentity.certPem).raw;
  for (const bits of ['384', '512']) {
    const hex = createHash(`sha${bits}`).update(der).digest('hex');
    const clientFingerprint = (hex.match(/../g) ?? []).join(':');
    t.type(await new DtlsPair({ clientFingerprint, algorithm: `SHA-${bits}` }).connect(), 'number', bits);
  }
});

t.test('closing', (t) => {
  t.test('tells the peer', async (t) => {
    const pair = new DtlsPair();
    await pair.connect();
    pair.server.close();
    pair.server.close();
    pair.server.sendData(Buffer.from('late'));
    await pair.time.run(1000);
    t.equal(pair.clientLog.closed, 'close-notify');
    t.equal(pair.serverLog.closed, null, 'the owner knows already');
    t.same(pair.clientLog.data, []);
    t.equal(pair.time.pending, 0);
  });

  t.test('is told by the peer', async (t) => {
    const pair = new DtlsPair();
    await pair.connect();
    pair.client.session.close();
    await pair.time.run(1000);
    t.equal(pair.serverLog.closed, 'close-notify');
    t.equal(pair.server.connected, false);
    t.equal(pair.counters.closed_by_peer, 1);
  });

  t.test('leaves no timer in the middle of a handshake', async (t) => {
    const pair = new DtlsPair({ toServer: latency(50) });
    pair.client.session.start();
    await pair.time.run(60);
    pair.server.sendData(Buffer.from('too early'));
    pair.server.close();
    pair.client.session.close();
    await pair.time.run(1000);
    t.equal(pair.time.pending, 0);
    t.same([pair.serverLog.closed, pair.clientLog.closed], [null, null]);
  });

  t.test('inside of onConnected', async (t) => {
    const pair = new DtlsPair();
    pair.serverLog.onConnected = () => {
      pair.server.close();
    };
    pair.client.session.start();
    await pair.time.run(1000);
    t.equal(pair.server.connected, false);
    t.equal(pair.time.pending, 0);
  });
  t.end();
});

t.test('a peer that falls silent is given up after 30 s', async (t) => {
  const pair = new DtlsPair({ toServer: (_, index) => (index === 0 ? [1] : []) });
  t.equal(await pair.connect(), null);
  t.equal(pair.serverLog.closed, 'timeout');
  t.equal(pair.clientLog.closed, 'timeout');
  t.equal(pair.counters.timed_out, 1);
  t.equal(pair.time.pending, 0);
  t.ok(pair.toClient.sent.length < 25, 'with backing off');
});

t.test('handshakes complete on bad networks', async (t) => {
  const networks: Record<string, { fault: () => Fault; limitMs: number }> = {
    'every datagram lost once': { fault: () => eachLostOnce(latency(1)), limitMs: 800 },
    'every datagram doubled': { fault: () => doubled(latency(1)), limitMs: 10 },
    reordered: { fault: () => reordered(latency(1)), limitMs: 100 },
    '300 ms round trip': { fault: () => latency(150), limitMs: 600 },
    '1 s round trip': { fault: () => latency(500), limitMs: 2000 },
    'lost once, doubled, reordered, 300 ms': {
      fault: () => eachLostOnce(doubled(reordered(latency(150)))),
      limitMs: 3000,
    },
  };
  for (const [name, { fault, limitMs }] of Object.entries(networks)) {
    for (const mtu of [1200, 200]) {
      const pair = new DtlsPair({ toServer: fault(), toClient: fault(), mtu });
      const ms = await pair.connect();
      t.ok(ms !== null && ms <= limitMs, `${name}, MTU ${String(mtu)}: ${String(ms)} ms`);
      t.ok(pair.toClient.sent.every((datagram) => datagram.length <= mtu));
      await pair.time.run(3000);
      // On a link that loses what it sees for the first time, `ping` has to be said twice.
      if (!name.includes('lost')) t.ok(await pair.isAlive(), name);
      t.equal(pair.time.pending, 0, 'nothing goes on afterwards');
      t.ok(pair.counters.refused_fingerprint + pair.counters.undecryptable + pair.counters.malformed === 0);
    }
  }
});

t.test('the last flight is sent again when only that is lost, and data that came before it is kept', async (t) => {
  const pair = new DtlsPair({ toClient: (_, index) => (index === 1 ? [] : [1]) });
  pair.client.session.start();
  await pair.time.run(1000, () => pair.server.connected);
  pair.server.sendData(Buffer.from('early'));
  await pair.time.run(1000, () => pair.bothConnected);
  await pair.time.run(10);
  t.same(pair.clientLog.data, ['early']);
  t.equal(pair.counters.retransmitted, 1);
});

t.test('no nonce is used twice under one key', async (t) => {
  const pair = new DtlsPair({ toClient: (_, index) => (index === 1 ? [] : [1]) });
  await pair.connect();
  for (let count = 0; count < 20; count++) pair.server.sendData(Buffer.of(count));
  pair.server.close();
  const nonces: string[] = [];
  for (const datagram of pair.toClient.sent.map((sent) => Buffer.from(sent))) {
    for (let at = 0; at < datagram.length; at += 13 + datagram.readUInt16BE(at + 11)) {
      if (datagram.readUInt16BE(at + 3) === 1) nonces.push(datagram.toString('hex', at + 13, at + 21));
    }
  }
  t.equal(nonces.length, 2 + 20 + 1, 'Finished twice, data, close_notify');
  t.equal(new Set(nonces).size, nonces.length);
});
