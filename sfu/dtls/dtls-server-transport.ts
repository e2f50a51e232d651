/** DTLS-SRTP as the server, towards one client (RFC 5763, RFC 5764). */
import crypto, { type KeyObject } from 'node:crypto';
import { DtlsServer } from 'werift';
import {
  dtlsCryptoFrom,
  DtlsSession,
  EngineTransport,
  HandshakeEngine,
  ServerHandshake,
  srtpProfileId,
  type DtlsClock,
  type DtlsCounters,
  type DtlsEvents,
  type DtlsFingerprint,
  type DtlsIdentity,
} from '../../tunnel-protocol/index.ts';
import { systemClock } from './clock.ts';
import { useIdentity, useNativeCurve25519 } from './native-handshake.ts';

export interface DtlsServerOptions {
  readonly identity: DtlsIdentity;
  /** The client's fingerprint from its SDP. One that cannot be checked matches no certificate. */
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
useNativeCurve25519();

export class DtlsServerTransport {
  readonly #session: DtlsSession;

  constructor(options: DtlsServerOptions, events: DtlsEvents) {
    const transport = new EngineTransport();
    const socket = new DtlsServer({
      transport,
      srtpProfiles: [srtpProfileId.aeadAes128Gcm, srtpProfileId.aes128CmSha1Tag80],
      certificateRequest: true,
      extendedMasterSecret: true,
    });
    useIdentity(socket, options.identity);
    const engine = new HandshakeEngine('server', socket, transport, dtlsCrypto.aead, asBuffer);
    this.#session = new DtlsSession(
      {
        logic: new ServerHandshake(engine, dtlsCrypto, options.remoteFingerprint),
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
