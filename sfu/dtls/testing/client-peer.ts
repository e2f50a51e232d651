/** A verifying client like the one of `client/`, with its werift engine in reach, so that tests can make it misbehave. */
import crypto, { type KeyObject } from 'node:crypto';
import { DtlsClient } from 'werift';
import {
  ClientHandshake,
  createDtlsCounters,
  dtlsCryptoFrom,
  DtlsSession,
  EngineTransport,
  HandshakeEngine,
  type DtlsClock,
  type DtlsEvents,
  type DtlsIdentity,
} from '../../../tunnel-protocol/index.ts';

export interface ClientPeerOptions {
  readonly identity: DtlsIdentity;
  readonly serverFingerprint: string;
  readonly send: (datagram: Uint8Array) => void;
  readonly clock: DtlsClock;
  readonly mtu?: number;
  readonly srtpProfiles?: (1 | 7)[];
  readonly extendedMasterSecret?: boolean;
  /** Changes the engine before the first flight. */
  readonly tamper?: (socket: DtlsClient) => void;
}

export class ClientPeer {
  readonly counters = createDtlsCounters();
  readonly session: DtlsSession;

  constructor(options: ClientPeerOptions, events: DtlsEvents) {
    const transport = new EngineTransport();
    const socket = new DtlsClient({
      transport,
      cert: options.identity.certPem,
      key: options.identity.keyPem,
      signatureHash: { hash: 4, signature: 3 },
      srtpProfiles: options.srtpProfiles ?? [7, 1],
      extendedMasterSecret: options.extendedMasterSecret ?? true,
    });
    options.tamper?.(socket);
    const dtlsCrypto = dtlsCryptoFrom<KeyObject>(crypto);
    const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const engine = new HandshakeEngine('client', socket, transport, dtlsCrypto.aead, asBuffer);
    const fingerprint = { algorithm: 'sha-256', value: options.serverFingerprint };
    this.session = new DtlsSession(
      {
        logic: new ClientHandshake(engine, dtlsCrypto, fingerprint, () => socket.connect()),
        send: options.send,
        counters: this.counters,
        clock: options.clock,
        mtu: options.mtu ?? 1200,
        roundTripMs: null,
      },
      events,
    );
  }
}
