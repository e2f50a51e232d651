/** Servers that are not who they say, and strangers who send into a session. Each is refused and counted. */
import fc from 'fast-check';
import t from 'tap';
import { handshakeType, type DtlsCounters } from '../../tunnel-protocol/index.ts';
import { createDtlsIdentity } from './identity.ts';
import { DtlsPair, serverIdentity, type DtlsPairOptions } from './testing/dtls-pair.ts';
import { edited, forgeHandshake, forgeRecord, replaced } from './testing/forge.ts';

const stranger = await createDtlsIdentity();
const { serverHello, serverKeyExchange, certificateRequest } = handshakeType;

t.test('a server is not believed', async (t) => {
  const servers: [keyof DtlsCounters, string, DtlsPairOptions][] = [
    ['refused_fingerprint', 'another certificate', { serverFingerprint: stranger.fingerprint }],
    [
      'refused_server_key_exchange',
      'the right certificate without its key',
      { identity: { ...serverIdentity, keyPem: stranger.keyPem } },
    ],
    [
      'refused_server_key_exchange',
      'a key exchange in the middle changed',
      { edit: edited(serverKeyExchange, (body) => body.writeUInt8((body[10] ?? 0) ^ 1, 10)) },
    ],
    ['refused_server_key_exchange', 'a random changed', { edit: edited(serverHello, (body) => body.fill(1, 2, 34)) }],
    [
      'refused_finished',
      'a false Finished',
      {
        tamper: (socket) => {
          const { cipher } = socket;
          const honest = Reflect.get(cipher, 'verifyData');
          // The other call is the one that tells what the client's Finished should say.
          cipher.verifyData = function (transcript) {
            return this === cipher ? Buffer.alloc(12) : honest.call(this, transcript);
          };
        },
      },
    ],
    ['refused_version', 'DTLS 1.0', { edit: edited(serverHello, (body) => body.writeUInt16BE(0xfeff)) }],
    ['refused_cipher_suite', 'a suite not offered', { edit: edited(serverHello, replaced('c02b', 'c02c')) }],
    ['refused_signature_scheme', 'a suite not of its key', { edit: edited(serverHello, replaced('c02b', 'c02f')) }],
    ['refused_signature_scheme', 'a scheme not offered', { edit: edited(serverKeyExchange, replaced('0403', '0503')) }],
    ['refused_srtp_profile', 'a profile not offered', { edit: edited(serverHello, replaced('00020007', '00020002')) }],
    ['refused_extension', 'an extension not offered', { edit: edited(serverHello, replaced('00170000', '00230000')) }],
    ['refused_extended_master_secret', 'no extended master secret', { extendedMasterSecret: false }],
    ['refused_key_share', 'a group not offered', { edit: edited(serverKeyExchange, replaced('03001d', '030018')) }],
    [
      'refused_certificate_request',
      'no use for our certificate',
      { edit: edited(certificateRequest, replaced('0403', '0804')) },
    ],
    [
      'refused_malformed_message',
      'extensions cut off',
      { edit: edited(serverHello, replaced('000e0005', '000e0006')) },
    ],
  ];
  for (const [count, name, options] of servers) {
    const pair = new DtlsPair(options);
    t.equal(await pair.connect(), false, name);
    t.ok(pair.counters[count] > 0, name);
    t.equal(pair.clientLog.keys, null, name);
    t.equal(pair.clientLog.closed, count.replace('_', '-'), name);
    t.equal(pair.counters.failed, 1);
  }
});

t.test('strangers do not spoil the handshake', async (t) => {
  const forged: Record<string, Uint8Array[]> = {
    alerts: [forgeRecord(21, Uint8Array.of(1, 0)), forgeRecord(21, Uint8Array.of(2, 40))],
    'a certificate that is none': [forgeHandshake(11, 1, Buffer.alloc(99, 3))],
    'a ServerHelloDone': [forgeHandshake(14, 0, Buffer.alloc(0))],
    'the end before the beginning': [forgeHandshake(14, 3, Buffer.alloc(0)), forgeHandshake(13, 0, Buffer.alloc(9))],
    'a malformed HelloVerifyRequest': [forgeHandshake(3, 0, Buffer.from('fefd20', 'hex'))],
    'Finished without protection': [forgeHandshake(20, 0, Buffer.alloc(12)), forgeHandshake(20, 5, Buffer.alloc(12))],
    'protected noise': Array.from({ length: 20 }, (_, sequence) => forgeRecord(22, Buffer.alloc(48), 1, sequence)),
  };
  for (const [name, datagrams] of Object.entries(forged)) {
    const pair = new DtlsPair();
    pair.clock.setTimer(() => {
      for (const datagram of datagrams) pair.client.receive(datagram);
    }, 5);
    t.ok(await pair.connect(), name);
    t.ok(await pair.isAlive(), name);
    t.equal(pair.clock.pendingTimers, 0);
  }
});

t.test('strangers do not disturb the session', async (t) => {
  const pair = new DtlsPair();
  t.ok(await pair.connect());
  t.ok(await pair.isAlive());
  const sent = pair.sentByClient.length;
  for (const datagram of pair.sentByServer.slice()) pair.client.receive(datagram);
  pair.client.receive(forgeHandshake(handshakeType.helloRequest, 9, Buffer.alloc(0)));
  pair.client.receive(forgeRecord(21, Uint8Array.of(1, 0)));
  t.equal(pair.sentByClient.length, sent, 'nothing is answered');
  t.match(pair.counters, { hello_after_connected: 1, replayed: 2, unexpected: 1, plaintext_alert: 1 });
  t.same(pair.clientLog.data, ['pong']);
  t.ok(await pair.isAlive());

  const real = [...pair.sentByServer, ...pair.sentByClient];
  const mutated = fc.tuple(fc.constantFrom(...real), fc.nat(1500), fc.nat(255)).map(([datagram, at, value]) => {
    const copy = datagram.slice();
    copy[at % copy.length] = value;
    return copy;
  });
  const property = fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), mutated), (datagram) => {
    pair.client.receive(datagram);
  });
  fc.assert(property, { numRuns: 2000 });
  t.ok(await pair.isAlive());
});
