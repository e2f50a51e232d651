/** A verifying server like the SFU's, with its werift engine in reach, so that tests can make it misbehave. */
import crypto, { type KeyObject } from 'node:crypto';
import { DtlsServer } from 'werift';
import {
  createDtlsCounters,
  dtlsCryptoFrom,
  DtlsSession,
  EngineTransport,
  HandshakeEngine,
  ServerHandshake,
  type DtlsClock,
  type DtlsEvents,
  type DtlsIdentity,
} from '../../../tunnel-protocol/index.ts';

export interface ServerPeerOptions {
  readonly identity: DtlsIdentity;
  readonly clientFingerprint: string;
  readonly send: (datagram: Uint8Array) => void;
  readonly clock: DtlsClock;
  readonly extendedMasterSecret?: boolean;
  /** Changes the engine before the first datagram. */
  readonly tamper?: (socket: DtlsServer) => void;
}

export class ServerPeer {
  readonly counters = createDtlsCounters();
  readonly session: DtlsSession;

  constructor(options: ServerPeerOptions, events: DtlsEvents) {
    const transport = new EngineTransport();
    const socket = new DtlsServer({
      transport,
      cert: options.identity.certPem,
      key: options.identity.keyPem,
      signatureHash: { hash: 4, signature: 3 },
      srtpProfiles: [7, 1],
      certificateRequest: true,
      extendedMasterSecret: options.extendedMasterSecret ?? true,
    });
    options.tamper?.(socket);
    const dtlsCrypto = dtlsCryptoFrom<KeyObject>(crypto);
    const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const engine = new HandshakeEngine('server', socket, transport, dtlsCrypto.aead, asBuffer);
    const fingerprint = { algorithm: 'sha-256', value: options.clientFingerprint };
    this.session = new DtlsSession(
      {
        logic: new ServerHandshake(engine, dtlsCrypto, fingerprint),
        send: options.send,
        counters: this.counters,
        clock: options.clock,
        mtu: 1200,
        roundTripMs: null,
      },
      events,
    );
  }
}
