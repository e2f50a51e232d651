/** Clients that are not who they say, and strangers who send into a session. Each is refused and counted. */
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { handshakeType, type DtlsCounters } from '../../tunnel-protocol/index.ts';
import { createDtlsIdentity } from './identity.ts';
import { clientIdentity, DtlsPair, type DtlsPairOptions } from './testing/dtls-pair.ts';
import { latency } from './testing/faulty-link.ts';
import { edited, forgedCloseNotify, forgedFatalAlert, forgeHandshake, forgeRecord } from './testing/forge.ts';

const stranger = await createDtlsIdentity();

t.test('a client is not let in', async (t) => {
  const clients: Partial<Record<keyof DtlsCounters, DtlsPairOptions>> = {
    refused_fingerprint: { clientFingerprint: stranger.fingerprint },
    refused_certificate_verify: {
      tamper: (socket) => {
        socket.cipher.signatureData = () => Buffer.alloc(70, 0x41);
      },
    },
    refused_finished: {
      tamper: (socket) => {
        socket.cipher.verifyData = () => Buffer.alloc(12);
      },
    },
    refused_no_certificate: {
      tamper: (socket) => {
        Object.defineProperty(socket.dtls, 'requestedCertificateTypes', { get: () => [], set: () => undefined });
      },
    },
    refused_extended_master_secret: { extendedMasterSecret: false },
    refused_srtp_profile: { srtpProfiles: [] },
    refused_version: { toServer: edited(handshakeType.clientHello, (body) => body.writeUInt16BE(0xfeff, 0)) },
    refused_cipher_suite: { toServer: edited(handshakeType.clientHello, replaced('c02b', 'c02c')) },
    refused_key_share: { toServer: edited(handshakeType.clientKeyExchange, (body) => body.fill(0, 1)) },
    refused_signature_scheme: {
      toServer: edited(handshakeType.certificateVerify, (body) => body.writeUInt16BE(0x0804)),
    },
    refused_malformed_message: { toServer: edited(handshakeType.clientHello, replaced('000a0006', '000a0007')) },
  };
  for (const [count, options] of Object.entries(clients)) {
    const pair = new DtlsPair(options);
    t.equal(await pair.connect(), null, count);
    t.ok(pair.counters[count as keyof DtlsCounters] > 0, count);
    t.equal(pair.serverLog.keys, null);
    t.equal(pair.serverLog.closed, count.replace('_', '-'), 'and given up');
    t.equal(pair.counters.failed, 1);
    t.equal(pair.counters.connected, 0);
    t.equal(pair.time.pending, 0);
  }
});

t.test('who knows a certificate but not its key is not let in', async (t) => {
  const pair = new DtlsPair({
    clientFingerprint: stranger.fingerprint,
    tamper: (socket) => {
      socket.cipher.localCert = new X509Certificate(stranger.certPem).raw;
    },
  });
  t.equal(await pair.connect(), null);
  t.ok(pair.counters.refused_certificate_verify > 0);
  t.equal(pair.counters.refused_fingerprint, 0);
});

t.test('a fingerprint that cannot be checked matches nothing', async (t) => {
  for (const [algorithm, clientFingerprint] of [
    ['sha-1', clientIdentity.fingerprint.slice(0, 59)],
    ['sha-256', clientIdentity.fingerprint.slice(0, -3)],
    ['sha-256', ''],
    ['sha-256', clientIdentity.fingerprint.replaceAll(':', ' ')],
  ] as const) {
    const pair = new DtlsPair({ algorithm, clientFingerprint });
    t.equal(await pair.connect(), null);
    t.ok(pair.counters.refused_fingerprint > 0);
  }
});

t.test('forged alerts change nothing, at any time', async (t) => {
  const pair = new DtlsPair({ toServer: latency(20), toClient: latency(20) });
  const forge = () => {
    for (const alert of [forgedCloseNotify, forgedFatalAlert]) {
      pair.server.receive(alert);
      pair.client.session.receive(alert);
    }
  };
  forge();
  for (const at of [10, 30, 50, 70]) pair.time.setTimer(forge, at);
  t.equal(await pair.connect(), 80);
  forge();
  t.ok(await pair.isAlive());
  t.equal(pair.counters.plaintext_alert, 12);
  t.equal(pair.client.counters.plaintext_alert, 12);
});

t.test('a forged ClientHello does not renegotiate', async (t) => {
  const pair = new DtlsPair();
  await pair.connect();
  const other = new DtlsPair();
  await other.connect();
  const sent = pair.toClient.sent.length;
  for (const hello of [other.toServer.sent[0], pair.toServer.sent[0]]) {
    pair.server.receive(hello ?? new Uint8Array(0));
    pair.client.session.receive(hello ?? new Uint8Array(0));
  }
  t.equal(pair.counters.hello_after_connected, 2);
  t.equal(pair.client.counters.hello_after_connected, 2);
  t.equal(pair.toClient.sent.length, sent, 'and is not answered');
  t.ok(await pair.isAlive());
});

t.test('replayed records', async (t) => {
  const pair = new DtlsPair();
  await pair.connect();
  t.ok(await pair.isAlive());
  for (const datagram of pair.toServer.sent.slice()) pair.server.receive(datagram);
  for (const datagram of pair.toClient.sent.slice()) pair.client.session.receive(datagram);
  await pair.time.run(1000);
  t.same(pair.serverLog.data, ['ping']);
  t.same(pair.clientLog.data, ['pong']);
  t.equal(pair.counters.replayed, 2, 'Finished and data');
  t.equal(pair.client.counters.replayed, 2);
  t.ok(await pair.isAlive());
});

t.test('records with a forged tag do not move the replay window', async (t) => {
  const pair = new DtlsPair();
  await pair.connect();
  for (const sequence of [5, 1000, 2 ** 40]) pair.server.receive(forgeRecord(23, Buffer.alloc(60), 1, sequence));
  pair.server.receive(forgeRecord(23, Buffer.alloc(3), 1, 2000));
  t.equal(pair.counters.undecryptable, 4);
  t.ok(await pair.isAlive());
});

t.test('forged messages of the client do not spoil its handshake', async (t) => {
  // Ahead of the client's flight 5 come messages with its numbers: garbage, and a stranger's certificate.
  const strangeKey = forgeHandshake(16, 2, Buffer.concat([Buffer.of(32), Buffer.alloc(32, 9)]));
  const junk: Record<string, Uint8Array[]> = {
    'certificate that is none': [forgeHandshake(11, 1, Buffer.alloc(200, 7))],
    'certificate of another': [forgeHandshake(11, 1, certificateBody(stranger.certPem))],
    'key exchange ahead of the certificate': [strangeKey],
    'signature over what was not sent': [
      forgeHandshake(11, 1, certificateBody(clientIdentity.certPem)),
      strangeKey,
      forgeHandshake(15, 3, Buffer.concat([Buffer.from([4, 3, 0, 70]), Buffer.alloc(70, 1)])),
    ],
    'wrong order': [forgeHandshake(16, 1, Buffer.alloc(33, 32)), forgeHandshake(15, 2, Buffer.alloc(33, 32))],
    'Finished without protection': [forgeHandshake(20, 4, Buffer.alloc(12))],
    'fragment of a giant certificate': [forgeRecord(22, Buffer.from('0b0040000001000000000001ff', 'hex'))],
    'fragment beyond all bounds': [forgeRecord(22, Buffer.from('0bffffff0001000000ffffff00', 'hex'))],
    'held records': Array.from({ length: 20 }, (_, sequence) => forgeRecord(22, Buffer.alloc(48), 1, sequence)),
  };
  for (const [name, datagrams] of Object.entries(junk)) {
    const pair = new DtlsPair({ toServer: latency(20), toClient: latency(20) });
    pair.time.setTimer(() => {
      for (const datagram of datagrams) pair.server.receive(datagram);
    }, 30);
    t.type(await pair.connect(), 'number', name);
    t.ok(await pair.isAlive(), name);
    t.equal(pair.counters.failed, 0);
  }
});

t.test('random bytes never throw, and never end a session', async (t) => {
  const connected = new DtlsPair();
  await connected.connect();
  const real = [...connected.toServer.sent, ...connected.toClient.sent];
  const plausible = fc
    .tuple(fc.constantFrom(20, 21, 22, 23), fc.constantFrom(0, 0, 1, 2), fc.uint8Array({ maxLength: 80 }))
    .map(([type, epoch, body]) => forgeRecord(type, body, epoch));
  const mutated = fc
    .tuple(fc.constantFrom(...real), fc.nat(1500), fc.nat(255), fc.nat(40))
    .map(([datagram, at, value, cut]) => {
      const copy = datagram.slice(0, datagram.length - cut);
      copy[at % Math.max(copy.length, 1)] = value;
      return copy;
    });
  const noise = fc.oneof(fc.uint8Array({ maxLength: 100 }), plausible, mutated);

  await t.test('in a connected one', async (t) => {
    fc.assert(
      fc.property(noise, (datagram) => {
        connected.server.receive(datagram);
        connected.client.session.receive(datagram);
      }),
      { numRuns: 3000 },
    );
    t.ok(await connected.isAlive());
  });

  await t.test('in a handshake', async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(noise, { minLength: 1, maxLength: 20 }), fc.nat(40), async (datagrams, at) => {
        const pair = new DtlsPair({ toServer: latency(10), toClient: latency(10) });
        pair.time.setTimer(() => {
          for (const datagram of datagrams) {
            pair.server.receive(datagram);
            pair.client.session.receive(datagram);
          }
        }, at);
        await pair.connect();
        // Garbage in a plaintext handshake may spoil it; it may not connect anybody else, or leave one end alone in it.
        const [server, client] = [pair.serverLog.keys, pair.clientLog.keys];
        if (server !== null) t.same(client?.remoteKey, server.localKey);
        if (client !== null) t.same(server?.remoteKey, client.localKey);
        t.equal(pair.time.pending, 0);
      }),
      { numRuns: 30 },
    );
  });

  await t.test('as a network that loses, doubles, delays', async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(99)), async (dice) => {
        const roll = () => Number(dice.next().value);
        const fault = () => {
          const chance = roll();
          if (chance < 25) return [];
          return chance < 40 ? [5 + roll(), 10 + roll()] : [5 + roll()];
        };
        const pair = new DtlsPair({ toServer: fault, toClient: fault, mtu: roll() < 50 ? 1200 : 250 });
        t.type(await pair.connect(), 'number');
        await pair.time.run(60_000);
        t.equal(pair.serverLog.closed, null);
        t.equal(pair.time.pending, 0);
      }),
      { numRuns: 20 },
    );
  });
});

function replaced(from: string, to: string): (body: Buffer) => void {
  return (body) => {
    body.set(Buffer.from(to, 'hex'), body.indexOf(from, 0, 'hex'));
  };
}

function certificateBody(pem: string): Buffer {
  const der = new X509Certificate(pem).raw;
  const body = Buffer.alloc(6 + der.length);
  body.writeUIntBE(der.length + 3, 0, 3);
  body.writeUIntBE(der.length, 3, 3);
  body.set(der, 6);
  return body;
}
