/** The clients on connections: their limits, and the way from bytes to messages. */
import { u16 } from '../tunnel-protocol/index.ts';
import type { DataPlane } from './allocation.ts';
import type { AllocationPool } from './allocation-pool.ts';
import type { ClientLink } from './client-link.ts';
import type { TurnLimits } from './config.ts';
import type { ControlPlane } from './control-plane.ts';
import { sendIndicationType } from './send-indication.ts';
import { StreamLink, type TurnStream } from './stream-link.ts';
import { StreamSplitter } from './stream-splitter.ts';

/** Where a connection puts what it reads. */
export interface TurnStreamInput {
  /** Bytes of the client, however cut; borrowed until it returns. Never throws. */
  push(chunk: Uint8Array): void;
  /** The connection is gone. Idempotent. */
  closed(): void;
}

export interface StreamClientsOptions {
  readonly control: ControlPlane;
  readonly pool: AllocationPool;
  readonly plane: DataPlane;
  readonly limits: TurnLimits;
}

export class StreamClients {
  readonly #options: StreamClientsOptions;
  readonly #clients = new Set<StreamClient>();
  readonly #byLink = new Map<ClientLink, StreamClient>();

  constructor(options: StreamClientsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#clients.size;
  }

  accept(stream: TurnStream): TurnStreamInput | null {
    const { plane, limits } = this.#options;
    if (this.#clients.size >= limits.streams) {
      plane.counters.streams_refused++;
      return null;
    }
    plane.counters.streams_accepted++;
    const link = new StreamLink(stream);
    const client = new StreamClient(link, this.#options, plane.now(), (gone) => {
      this.#clients.delete(gone);
      this.#byLink.delete(gone.link);
    });
    this.#clients.add(client);
    this.#byLink.set(link, client);
    return client;
  }

  /** The allocation of this client has ended: it may make another one soon. */
  idle(link: ClientLink, now: number): void {
    const client = this.#byLink.get(link);
    if (client !== undefined) client.idleSince = now;
  }

  tick(now: number): void {
    const { plane, limits } = this.#options;
    for (const client of this.#clients) {
      if (client.link.allocation !== null || now - client.idleSince < limits.streamIdleMs) continue;
      plane.counters.streams_timed_out++;
      client.end();
    }
  }

  close(): void {
    for (const client of [...this.#clients]) client.end();
  }
}

class StreamClient implements TurnStreamInput {
  readonly link: StreamLink;
  idleSince: number;
  readonly #options: StreamClientsOptions;
  readonly #splitter = new StreamSplitter();
  readonly #onGone: (client: StreamClient) => void;
  #failures = 0;
  #gone = false;

  constructor(link: StreamLink, options: StreamClientsOptions, now: number, onGone: (client: StreamClient) => void) {
    this.link = link;
    this.idleSince = now;
    this.#options = options;
    this.#onGone = onGone;
  }

  /** Runs for every chunk, and its loop for every datagram. */
  push(chunk: Uint8Array): void {
    const splitter = this.#splitter;
    if (this.#gone) return;
    splitter.push(chunk);
    for (let message = splitter.next(); message !== null; message = splitter.next()) {
      this.#receive(message);
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- receiving may have ended the client
      if (this.#gone) return;
    }
    if (!splitter.failed && !(this.link.whole && splitter.heldBytes > 0)) return;
    this.#options.plane.counters.streams_malformed++;
    this.end();
  }

  closed(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.link.lost();
    this.#options.pool.abandon(this.link);
    this.#onGone(this);
  }

  /** Ends the connection from this side. */
  end(): void {
    if (this.#gone) return;
    this.link.end();
    this.closed();
  }

  #receive(message: Uint8Array): void {
    const { plane, control, limits } = this.#options;
    const { counters, indication } = plane;
    const { allocation } = this.link;
    if ((message[0] as number) >= 0x40) {
      if (allocation === null) counters.dropped_no_allocation++;
      else allocation.fromChannelData(message);
    } else if (u16(message, 0) === sendIndicationType) {
      if (allocation === null) counters.dropped_no_allocation++;
      else if (indication.read(message)) allocation.fromSendIndication(message);
      else counters.dropped_malformed++;
    } else {
      const handled = control.handle(this.link, message, plane.now());
      if (handled === 'answered') this.#failures = 0;
      else if (++this.#failures > limits.streamFailures) this.end();
    }
  }
}
