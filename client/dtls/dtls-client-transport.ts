/** DTLS-SRTP as the client of the SFU (RFC 5763, RFC 5764). */
import crypto, { type KeyObject } from 'node:crypto';
import { DtlsClient } from 'werift';
import {
  ClientHandshake,
  dtlsCryptoFrom,
  DtlsSession,
  EngineTransport,
  HandshakeEngine,
  srtpProfileId,
  type DtlsClock,
  type DtlsCounters,
  type DtlsEvents,
  type DtlsFingerprint,
  type DtlsIdentity,
} from '../../tunnel-protocol/index.ts';
import { systemClock } from './clock.ts';

export interface DtlsClientOptions {
  readonly identity: DtlsIdentity;
  /** The server's fingerprint from its answer. One that cannot be checked matches no certificate. */
  readonly remoteFingerprint: DtlsFingerprint;
  /** Sends one datagram; the bytes are given away. */
  readonly send: (datagram: Uint8Array) => void;
  readonly counters: DtlsCounters;
  /** Largest datagram to send, in bytes; 1200 if absent. */
  readonly mtu?: number;
  /** Round trip of the path if ICE measured it; sets the first retransmission time. */
  readonly roundTripMs?: number;
  /** For tests; real, unreferenced timers if absent. */
  readonly clock?: DtlsClock;
}

const defaultMtu = 1200;
const dtlsCrypto = dtlsCryptoFrom<KeyObject>(crypto);

export class DtlsClientTransport {
  readonly #session: DtlsSession;

  constructor(options: DtlsClientOptions, events: DtlsEvents) {
    const transport = new EngineTransport();
    const socket = new DtlsClient({
      transport,
      cert: options.identity.certPem,
      key: options.identity.keyPem,
      signatureHash: { hash: 4, signature: 3 },
      srtpProfiles: [srtpProfileId.aeadAes128Gcm, srtpProfileId.aes128CmSha1Tag80],
      extendedMasterSecret: true,
    });
    const engine = new HandshakeEngine('client', socket, transport, dtlsCrypto.aead, asBuffer);
    this.#session = new DtlsSession(
      {
        logic: new ClientHandshake(engine, dtlsCrypto, options.remoteFingerprint, () => socket.connect()),
        send: options.send,
        counters: options.counters,
        clock: options.clock ?? systemClock,
        mtu: options.mtu ?? defaultMtu,
        roundTripMs: options.roundTripMs ?? null,
      },
      events,
    );
  }

  get connected(): boolean {
    return this.#session.connected;
  }

  /** Sends the first flight. Idempotent. */
  start(): void {
    this.#session.start();
  }

  /** One datagram of class `dtls`; borrowed until the call returns. Never throws. */
  receive(datagram: Uint8Array): void {
    this.#session.receive(datagram);
  }

  /** Sends application data of at most 2^14 bytes. Ignored before `onConnected` and after the end. */
  sendData(bytes: Uint8Array): void {
    this.#session.sendData(bytes);
  }

  /** Ends the session, with an encrypted close_notify once connected. Idempotent; no event follows. */
  close(): void {
    this.#session.close();
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
