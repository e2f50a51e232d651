/** The page's DTLS against the verifying server, and against OpenSSL's. In real time: Web Crypto knows no other. */
import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { SrtpSession, createDtlsCounters, isSrtpError, srtpCryptoFrom } from '../../../tunnel-protocol/index.ts';
import type { DtlsSession, SrtpKeyMaterial } from '../../../tunnel-protocol/index.ts';
import crypto from 'node:crypto';
import { systemClock } from '../../clock.ts';
import { EventLog, serverIdentity } from '../../dtls/testing/dtls-pair.ts';
import { ServerPeer } from '../../dtls/testing/server-peer.ts';
import { createDtlsIdentity } from '../../dtls/index.ts';
import { createPageDtls, createPageIdentity, pageSrtpCrypto } from './index.ts';

const { subtle } = globalThis.crypto;
const identity = await createPageIdentity(subtle, Date.now());

t.test('the certificate is one', (t) => {
  const parsed = new X509Certificate(identity.certificate);
  t.equal(parsed.fingerprint256, identity.fingerprint);
  t.equal(parsed.subject, 'CN=WebRTC');
  t.ok(parsed.verify(parsed.publicKey), 'signed by itself');
  t.ok(new Date(parsed.validFrom) < new Date() && new Date(parsed.validTo) > new Date());
  t.end();
});

interface Outcome {
  readonly client: { readonly log: EventLog; readonly session: DtlsSession };
  readonly server: { readonly log: EventLog; readonly peer: ServerPeer };
  readonly connected: boolean;
}

async function handshake(options: {
  readonly expected?: string;
  readonly clientFingerprint?: string;
  readonly lose?: (datagram: number) => boolean;
  readonly forge?: (datagram: Uint8Array) => void;
}): Promise<Outcome> {
  const clientLog = new EventLog();
  const serverLog = new EventLog();
  const settled = new Promise<boolean>((resolve) => {
    const look = (): void => {
      if (clientLog.keys !== null && serverLog.keys !== null) resolve(true);
      if (clientLog.closed !== null || serverLog.closed !== null) resolve(false);
    };
    for (const log of [clientLog, serverLog]) {
      const onConnected = log.onConnected.bind(log);
      const onClosed = log.onClosed.bind(log);
      log.onConnected = (keys: SrtpKeyMaterial) => {
        onConnected(keys);
        look();
      };
      log.onClosed = (reason) => {
        onClosed(reason);
        look();
      };
    }
  });
  let sent = 0;
  const peer = new ServerPeer(
    {
      identity: serverIdentity,
      clientFingerprint: options.clientFingerprint ?? identity.fingerprint,
      clock: systemClock,
      send: (datagram) => {
        options.forge?.(datagram);
        if (options.lose?.(sent++) === true) return;
        setImmediate(() => {
          session.receive(datagram);
        });
      },
    },
    serverLog,
  );
  const session = createPageDtls(
    {
      identity,
      subtle,
      remoteFingerprint: { algorithm: 'sha-256', value: options.expected ?? serverIdentity.fingerprint },
      send: (datagram) => {
        setImmediate(() => {
          peer.session.receive(datagram);
        });
      },
      counters: createDtlsCounters(),
      clock: systemClock,
      roundTripMs: 5,
    },
    clientLog,
  );
  session.start();
  const connected = await settled;
  return { client: { log: clientLog, session }, server: { log: serverLog, peer }, connected };
}

t.test('handshake, keys, and packets both ways', async (t) => {
  const { client, server, connected } = await handshake({});
  t.ok(connected);
  const [own, theirs] = [client.log.keys, server.log.keys];
  if (own === null || theirs === null) throw new Error('no keys');
  t.equal(own.profile, 'AEAD_AES_128_GCM');
  t.same(Buffer.from(own.localKey), Buffer.from(theirs.remoteKey));
  t.same(Buffer.from(own.remoteSalt), Buffer.from(theirs.localSalt));

  for (const profile of ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'] as const) {
    const salt = (bytes: Uint8Array): Uint8Array =>
      profile === 'AEAD_AES_128_GCM' ? bytes : Buffer.concat([bytes, bytes.subarray(0, 2)]);
    const ofProfile = (keys: SrtpKeyMaterial): SrtpKeyMaterial => ({
      ...keys,
      profile,
      localSalt: salt(keys.localSalt),
      remoteSalt: salt(keys.remoteSalt),
    });
    const page = new SrtpSession(ofProfile(own), pageSrtpCrypto);
    const node = new SrtpSession(ofProfile(theirs), srtpCryptoFrom(crypto));
    const packet = Buffer.concat([Buffer.from('806f000100000002deadbeef', 'hex'), Buffer.alloc(333, 7)]);
    for (const [from, to] of [
      [page, node],
      [node, page],
    ] as const) {
      const sealed = from.protectRtp(packet);
      if (isSrtpError(sealed)) throw new Error('not protected');
      const opened = to.unprotectRtp(sealed);
      t.same(isSrtpError(opened) ? opened : Buffer.from(opened), packet, profile);
      sealed[20] = (sealed[20] ?? 0) ^ 1;
      t.ok(isSrtpError(to.unprotectRtp(sealed)), 'a changed one is refused');
    }
  }

  const heard = (log: EventLog): Promise<string> =>
    new Promise((resolve) => {
      log.onData = (bytes) => {
        resolve(Buffer.from(bytes).toString());
      };
    });
  const both = Promise.all([heard(server.log), heard(client.log)]);
  client.session.sendData(Buffer.from('ping'));
  server.peer.session.sendData(Buffer.from('pong'));
  t.same(await both, ['ping', 'pong']);
  client.session.close();
});

t.test('a lost flight is sent again', async (t) => {
  const { client, connected } = await handshake({ lose: (datagram) => datagram === 0 });
  t.ok(connected);
  client.session.close();
});

t.test('nobody else is believed', async (t) => {
  const stranger = await createDtlsIdentity();
  const cases = {
    'refused-fingerprint': { expected: stranger.fingerprint },
    'refused-server_key_exchange': {
      // The last bytes of the signature, wherever the message stands.
      forge: (datagram: Uint8Array) => {
        const at = Buffer.from(datagram).indexOf(Buffer.from([0x04, 0x03, 0x00]));
        if (at > 0 && datagram[0] === 22) datagram[at + 20] = (datagram[at + 20] ?? 0) ^ 1;
      },
    },
  };
  const outcomes = Object.entries(cases).map(async ([reason, options]) => ({ reason, ...(await handshake(options)) }));
  for (const { reason, client, connected } of await Promise.all(outcomes)) {
    t.equal(connected, false);
    t.equal(client.log.closed, reason);
    t.equal(client.log.keys, null);
  }
});
