/** The server under test and a client, on a network in virtual time. */
import type { DtlsClient } from 'werift';
import { createDtlsCounters, type DtlsEvents, type SrtpKeyMaterial } from '../../../tunnel-protocol/index.ts';
import { DtlsServerTransport } from '../dtls-server-transport.ts';
import { createDtlsIdentity } from '../identity.ts';
import { ClientPeer } from './client-peer.ts';
import { FaultyLink, latency, type Fault } from './faulty-link.ts';
import { VirtualTime } from './virtual-time.ts';

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
  readonly toServer?: Fault;
  readonly toClient?: Fault;
  readonly mtu?: number;
  readonly clientFingerprint?: string;
  readonly algorithm?: string;
  readonly srtpProfiles?: (1 | 7)[];
  readonly extendedMasterSecret?: boolean;
  readonly tamper?: (socket: DtlsClient) => void;
}

export class DtlsPair {
  readonly time = new VirtualTime();
  readonly counters = createDtlsCounters();
  readonly serverLog = new EventLog();
  readonly clientLog = new EventLog();
  readonly toServer: FaultyLink;
  readonly toClient: FaultyLink;
  readonly server: DtlsServerTransport;
  readonly client: ClientPeer;

  constructor(options: DtlsPairOptions = {}) {
    const { time: clock } = this;
    this.toServer = new FaultyLink(clock, options.toServer ?? latency(1), (datagram) => {
      this.server.receive(datagram);
    });
    this.toClient = new FaultyLink(clock, options.toClient ?? latency(1), (datagram) => {
      this.client.session.receive(datagram);
    });
    const value = options.clientFingerprint ?? clientIdentity.fingerprint;
    this.server = new DtlsServerTransport(
      {
        identity: serverIdentity,
        remoteFingerprint: { algorithm: options.algorithm ?? 'sha-256', value },
        send: this.toClient.send,
        counters: this.counters,
        mtu: options.mtu ?? 1200,
        clock,
      },
      this.serverLog,
    );
    this.client = new ClientPeer(
      {
        identity: clientIdentity,
        serverFingerprint: serverIdentity.fingerprint,
        send: this.toServer.send,
        clock,
        mtu: options.mtu ?? 1200,
        ...(options.srtpProfiles && { srtpProfiles: options.srtpProfiles }),
        ...(options.extendedMasterSecret !== undefined && { extendedMasterSecret: options.extendedMasterSecret }),
        ...(options.tamper && { tamper: options.tamper }),
      },
      this.clientLog,
    );
  }

  get bothConnected(): boolean {
    return this.serverLog.keys !== null && this.clientLog.keys !== null;
  }

  /** Runs the handshake until both are connected; gives the virtual ms that it took, or null if it did not succeed. */
  async connect(limitMs = 40_000): Promise<number | null> {
    const start = this.time.now();
    this.client.session.start();
    await this.time.run(limitMs, () => this.bothConnected);
    return this.bothConnected ? this.time.now() - start : null;
  }

  /** Sends a line each way, and tells whether both arrived and nothing else happened. */
  async isAlive(): Promise<boolean> {
    const [toServer, toClient] = [this.serverLog.data.length, this.clientLog.data.length];
    this.client.session.sendData(Buffer.from('ping'));
    this.server.sendData(Buffer.from('pong'));
    await this.time.run(1000);
    const arrived = this.serverLog.data[toServer] === 'ping' && this.clientLog.data[toClient] === 'pong';
    return arrived && this.serverLog.closed === null && this.clientLog.closed === null;
  }
}
