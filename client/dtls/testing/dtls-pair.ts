/** The client under test and a server, 10 ms apart in virtual time. */
import type { DtlsServer } from 'werift';
import {
  createDtlsCounters,
  type DtlsEvents,
  type DtlsIdentity,
  type SrtpKeyMaterial,
} from '../../../tunnel-protocol/index.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { DtlsClientTransport } from '../dtls-client-transport.ts';
import { createDtlsIdentity } from '../identity.ts';
import { ServerPeer } from './server-peer.ts';

export const serverIdentity = await createDtlsIdentity();
export const clientIdentity = await createDtlsIdentity();

/** Keeps what a side was told. */
export class EventLog implements DtlsEvents {
  keys: SrtpKeyMaterial | null = null;
  readonly data: string[] = [];
  closed: string | null = null;

  onConnected(keys: SrtpKeyMaterial): void {
    if (this.keys !== null) throw new Error('connected twice');
    this.keys = keys;
  }

  onData(bytes: Uint8Array): void {
    if (this.keys === null) throw new Error('data before the handshake was over');
    this.data.push(Buffer.from(bytes).toString());
  }

  onClosed(reason: string): void {
    if (this.closed !== null) throw new Error('closed twice');
    this.closed = reason;
  }
}

export interface DtlsPairOptions {
  readonly identity?: DtlsIdentity;
  readonly serverFingerprint?: string;
  readonly extendedMasterSecret?: boolean;
  readonly tamper?: (socket: DtlsServer) => void;
  /** Changes a datagram of the server on its way. */
  readonly edit?: (datagram: Uint8Array) => void;
}

const latencyMs = 10;

export class DtlsPair {
  readonly clock = new VirtualClock();
  readonly counters = createDtlsCounters();
  readonly serverLog = new EventLog();
  readonly clientLog = new EventLog();
  readonly sentByServer: Uint8Array[] = [];
  readonly sentByClient: Uint8Array[] = [];
  readonly server: ServerPeer;
  readonly client: DtlsClientTransport;

  constructor(options: DtlsPairOptions = {}) {
    const { clock } = this;
    this.server = new ServerPeer(
      {
        identity: options.identity ?? serverIdentity,
        clientFingerprint: clientIdentity.fingerprint,
        send: (datagram) => {
          options.edit?.(datagram);
          this.sentByServer.push(datagram);
          clock.setTimer(() => {
            this.client.receive(datagram);
          }, latencyMs);
        },
        clock,
        ...(options.extendedMasterSecret !== undefined && { extendedMasterSecret: options.extendedMasterSecret }),
        ...(options.tamper && { tamper: options.tamper }),
      },
      this.serverLog,
    );
    this.client = new DtlsClientTransport(
      {
        identity: clientIdentity,
        remoteFingerprint: { algorithm: 'sha-256', value: options.serverFingerprint ?? serverIdentity.fingerprint },
        send: (datagram) => {
          this.sentByClient.push(datagram);
          clock.setTimer(() => {
            this.server.session.receive(datagram);
          }, latencyMs);
        },
        counters: this.counters,
        clock,
      },
      this.clientLog,
    );
  }

  get bothConnected(): boolean {
    return this.serverLog.keys !== null && this.clientLog.keys !== null;
  }

  async run(ms: number, isDone: () => boolean = () => false): Promise<void> {
    for (let passed = 0; passed < ms && !isDone(); passed += latencyMs) {
      await new Promise(setImmediate);
      this.clock.advance(latencyMs);
    }
    await new Promise(setImmediate);
  }

  /** Whether the handshake came to its end. */
  async connect(): Promise<boolean> {
    this.client.start();
    await this.run(10_000, () => this.bothConnected || this.clientLog.closed !== null);
    return this.bothConnected;
  }

  /** Sends a line each way, and tells whether both arrived and nothing else happened. */
  async isAlive(): Promise<boolean> {
    const [toServer, toClient] = [this.serverLog.data.length, this.clientLog.data.length];
    this.client.sendData(Buffer.from('ping'));
    this.server.session.sendData(Buffer.from('pong'));
    await this.run(100);
    const arrived = this.serverLog.data[toServer] === 'ping' && this.clientLog.data[toClient] === 'pong';
    return arrived && this.serverLog.closed === null && this.clientLog.closed === null;
  }
}
