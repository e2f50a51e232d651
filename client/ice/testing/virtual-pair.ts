/** An IceClient and an IceLite on a virtual clock, joined by links that lose, delay, reorder and double datagrams. */
import { createHmac } from 'node:crypto';
// eslint-disable-next-line no-restricted-imports -- only this test kit joins both real ends; nothing shipped does
import { createIceCounters, IceLite } from '../../../sfu/ice/index.ts';
import { IceClient } from '../ice-client.ts';
import type { Path, Rung, TransportAddress } from '../../../tunnel-protocol/index.ts';
import type { IceClientEvent } from '../types.ts';

export const hmacSha1 = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  createHmac('sha1', key).update(data).digest();

/** A seeded generator (mulberry32), so that every run is the same. Returns numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a link does to each datagram, in both directions. May be changed at any time. */
export interface Link {
  readonly kind: Rung;
  up: boolean;
  delayMs: number;
  /** Up to so much is added to the delay: more than the distance of two datagrams reorders them. */
  jitterMs: number;
  /** Probabilities. */
  loss: number;
  /** Longer datagrams are lost. */
  maxBytes: number;
  duplication: number;
}

/** A UDP-like path of the server: once unbound it is another object when its source is heard again. */
class ServerPath implements Path {
  readonly kind: Rung;
  readonly reliable = false;
  readonly ordered = false;
  readonly mtu = 1200;
  readonly id: string;
  readonly remote: TransportAddress;
  owner: unknown = null;
  bound = false;
  readonly #toClient: (datagram: Uint8Array) => void;

  constructor(id: string, kind: Rung, port: number, toClient: (datagram: Uint8Array) => void) {
    this.id = id;
    this.kind = kind;
    this.remote = { address: '198.51.100.1', port };
    this.#toClient = toClient;
  }

  send(datagram: Uint8Array): boolean {
    this.#toClient(datagram);
    return true;
  }

  bind(): void {
    this.bound = true;
  }

  unbind(): void {
    this.bound = false;
  }

  close(): void {
    this.unbind();
  }
}

interface Delivery {
  readonly at: number;
  readonly deliver: () => void;
}

export class VirtualPair {
  now = 1_000_000;
  readonly counters = createIceCounters();
  readonly client: IceClient;
  readonly lite: IceLite;
  readonly agent;
  readonly links = new Map<string, Link>();
  /** The client's events but round trips, as text: `nominated udp <- ws`, `failed udp consent-lost`, … */
  readonly clientEvents: string[] = [];
  readonly serverEvents: string[] = [];
  readonly roundTrips = new Map<string, number[]>();
  /** Every datagram the client sent: when, on which path and how long. */
  readonly sent: { at: number; pathId: string; bytes: number }[] = [];
  /** The lengths of the server's answers. */
  readonly answered: number[] = [];
  readonly #random: () => number;
  readonly #serverPaths = new Map<string, ServerPath>();
  readonly #inFlight: Delivery[] = [];
  #nextTickAt = this.now;

  constructor(seed = 1) {
    this.#random = seeded(seed);
    const random = (length: number): Uint8Array => Uint8Array.from({ length }, () => Math.floor(this.#random() * 256));
    this.client = new IceClient({ random, hmacSha1 });
    this.lite = new IceLite({ random, hmacSha1 }, this.counters);
    const name = (path: Path | null): string => (path instanceof ServerPath ? path.id : 'none');
    this.agent = this.lite.createAgent(
      { transport: 'of the test' },
      {
        onValidated: (path) => this.serverEvents.push(`validated ${name(path)}`),
        onNominated: (path, previous) => this.serverEvents.push(`nominated ${name(path)} <- ${name(previous)}`),
        onConsentLost: () => this.serverEvents.push('consent-lost'),
      },
    );
  }

  /** Offer and answer: both learn the other's credentials. */
  signal(): void {
    this.agent.setRemote(this.client.local);
    this.client.setRemote(this.agent.local, this.now);
  }

  /** Joins both ends and tells the client of the path. */
  link(id: string, options: Partial<Link> = {}): Link {
    const link: Link = {
      kind: 'udp',
      up: true,
      delayMs: 10,
      jitterMs: 0,
      loss: 0,
      maxBytes: 2048,
      duplication: 0,
      ...options,
    };
    this.links.set(id, link);
    this.client.addPath(id, link.kind, this.now);
    return link;
  }

  /** The id of the path on which the server sends. */
  get serverNominated(): string | null {
    const { nominated } = this.agent;
    return nominated instanceof ServerPath ? nominated.id : null;
  }

  serverHas(id: string): boolean {
    return this.#serverPaths.get(id)?.bound === true;
  }

  /** A datagram from somebody else, as though it came from this link's client side. */
  inject(id: string, datagram: Uint8Array): void {
    this.#toServer(id, datagram);
  }

  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      this.#drain();
      const due = Math.max(
        this.now,
        Math.min(this.#nextTickAt, this.client.nextTimeout() ?? Infinity, this.#arrival()),
      );
      if (due > end) break;
      this.now = due;
      if (this.now >= this.#nextTickAt) {
        this.lite.tick(this.now);
        this.#nextTickAt = this.now + 1000;
      }
      while (this.#arrival() <= this.now) this.#inFlight.shift()?.deliver();
      if ((this.client.nextTimeout() ?? Infinity) <= this.now) this.client.handleTimeout(this.now);
    }
    this.now = end;
  }

  #arrival(): number {
    return this.#inFlight[0]?.at ?? Infinity;
  }

  #drain(): void {
    for (let out = this.client.nextOutput(); out !== null; out = this.client.nextOutput()) {
      const { pathId, datagram } = out;
      this.sent.push({ at: this.now, pathId, bytes: datagram.length });
      this.#carry(pathId, datagram.length, () => {
        this.#toServer(pathId, datagram);
      });
    }
    for (let event = this.client.nextEvent(); event !== null; event = this.client.nextEvent()) this.#note(event);
  }

  #note(event: IceClientEvent): void {
    if (event.type === 'round-trip') {
      const list = this.roundTrips.get(event.pathId) ?? [];
      this.roundTrips.set(event.pathId, [...list, event.ms]);
      return;
    }
    let text = `${event.type} ${event.pathId}`;
    if (event.type === 'proof') {
      const { proven, lost, sent } = event.result;
      text += ` ${proven ? 'proven' : 'unproven'} ${String(lost)}/${String(sent)}`;
    }
    if (event.type === 'nominated') text += ` <- ${event.previous ?? 'none'}`;
    if (event.type === 'failed') text += ` ${event.reason}`;
    this.clientEvents.push(text);
  }

  #carry(id: string, bytes: number, deliver: () => void): void {
    const link = this.links.get(id);
    if (link?.up !== true || bytes > link.maxBytes) return;
    const copies = this.#random() < link.duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#random() < link.loss) continue;
      this.#inFlight.push({ at: this.now + link.delayMs + this.#random() * link.jitterMs, deliver });
    }
    this.#inFlight.sort((a, b) => a.at - b.at);
  }

  #toServer(id: string, datagram: Uint8Array): void {
    let path = this.#serverPaths.get(id);
    if (path?.bound !== true) {
      const port = 40_000 + [...this.links.keys()].indexOf(id);
      path = new ServerPath(id, this.links.get(id)?.kind ?? 'udp', port, (answer) => {
        this.answered.push(answer.length);
        this.#carry(id, answer.length, () => {
          this.client.receive(id, answer, this.now);
        });
      });
      this.#serverPaths.set(id, path);
    }
    this.lite.receive(path, datagram, this.now);
  }
}
