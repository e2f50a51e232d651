/** Looks at a connection's first bytes in the kernel, again and again until they say what it is. */
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { Libc } from '../libc/index.ts';
import { parseClientHello } from './client-hello.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { NetworkSet } from './networks.ts';
import { classifyOpening, hasWholeHead } from './opening.ts';
import type { Opening, Openings } from './openings.ts';
import { parseProxyHeader } from './proxy-protocol.ts';
import type { Candidate, DemuxCounters, RefusalReason, Route } from './types.ts';

const peekBytes = 20_480;
const firstDelayMs = 1;
const maxDelayMs = 64;
const again = -11;

export interface IntakeDeps {
  readonly openings: Openings;
  readonly dispatcher: Dispatcher;
  readonly counters: DemuxCounters;
  readonly proxySenders: NetworkSet;
}

export class PeekIntake {
  readonly libc: Libc;
  readonly deps: IntakeDeps;
  /** One for all: what is in it is looked at within one call. */
  readonly bytes = new Uint8Array(new ArrayBuffer(peekBytes));
  readonly address: number;

  constructor(libc: Libc, deps: IntakeDeps) {
    this.libc = libc;
    this.deps = deps;
    this.address = libc.addressOf(this.bytes);
  }

  accept(candidate: Candidate, remote: TransportAddress): void {
    new PeekedConnection(this, candidate, remote).start();
  }
}

/** Where whatever cannot be read here goes: Node's TLS may understand it, or answer with an alert. */
export const otherTls: Route = { kind: 'tls-other', serverName: '', alpn: true, incomplete: true };

/** What the bytes so far lead to. */
export function routeOf(bytes: Uint8Array, length: number): Route | 'more' | 'unknown' {
  const opening = classifyOpening(bytes, length);
  if (opening === 'more' || opening === 'unknown') return opening;
  if (opening !== 'tls') {
    const incomplete = opening === 'http' && !hasWholeHead(bytes, length);
    return { kind: opening, serverName: '', alpn: false, incomplete };
  }
  const hello = parseClientHello(bytes, length);
  if (hello === 'more') return 'more';
  if (hello === 'unparsable') return otherTls;
  const { offers, serverName } = hello;
  if (offers === 'none') return { kind: 'tls-other', serverName, alpn: false, incomplete: true };
  return { kind: `tls-${offers}`, serverName, alpn: true, incomplete: true };
}

class PeekedConnection {
  readonly #intake: PeekIntake;
  readonly #candidate: Candidate;
  #remote: TransportAddress;
  /** A PROXY header is still to come. */
  #expectsProxy: boolean;
  #proxied = false;
  #opening: Opening | null = null;
  #timer: NodeJS.Timeout | null = null;
  #delayMs = firstDelayMs;
  readonly #retry = (): void => {
    this.#timer = null;
    this.#intake.deps.counters.retries++;
    this.#look();
  };

  constructor(intake: PeekIntake, candidate: Candidate, remote: TransportAddress) {
    this.#intake = intake;
    this.#candidate = candidate;
    this.#remote = remote;
    this.#expectsProxy = intake.deps.proxySenders.has(remote.address);
  }

  start(): void {
    this.#look();
  }

  #look(): void {
    const { libc, bytes, address } = this.#intake;
    const { fd } = this.#candidate;
    // Asked before the bytes are looked at, so that those which came together with the end are seen.
    const hungUp = this.#opening !== null && libc.hungUp(fd);
    for (;;) {
      const length = libc.peek(fd, address, bytes.length);
      if (length === 0 || (length < 0 && length !== again)) {
        this.#refuse(length === 0 ? 'ended' : 'reset');
        return;
      }
      if (!this.#expectsProxy) {
        const route = length < 0 ? 'more' : routeOf(bytes, length);
        if (route === 'unknown') this.#refuse('unknown');
        else if (route !== 'more') this.#decided(route);
        // A hello in so many small records that it does not fit: Node's TLS takes its time with it.
        else if (length === bytes.length) this.#decided(otherTls);
        else this.#wait(hungUp);
        return;
      }
      const header = length < 0 ? 'more' : parseProxyHeader(bytes, length);
      if (header === 'more') {
        this.#wait(hungUp);
        return;
      }
      // Exactly the header is taken out; the same bytes were there a moment ago.
      if (header === 'bad' || libc.take(fd, address, header.length) !== header.length) {
        this.#refuse('proxy-header');
        return;
      }
      if (!this.#introduce(header.source)) return;
    }
  }

  #introduce(source: TransportAddress | null): boolean {
    this.#expectsProxy = false;
    this.#intake.deps.counters.proxied++;
    if (source === null) return true;
    this.#remote = source;
    this.#proxied = true;
    if (this.#opening === null || this.#opening.assign(source.address)) return true;
    this.#refuse('crowded-client');
    return false;
  }

  #wait(hungUp: boolean): void {
    const { openings } = this.#intake.deps;
    if (hungUp) {
      this.#refuse('ended');
      return;
    }
    if (this.#opening === null) {
      this.#opening = openings.open(this.#expectsProxy ? null : this.#remote.address, (reason) => {
        this.#opening = null;
        this.#refuse(reason);
      });
      if (this.#opening === null) {
        this.#refuse('crowded-client');
        return;
      }
    }
    this.#timer = setTimeout(this.#retry, this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, maxDelayMs);
  }

  #decided(route: Route): void {
    const opening = this.#opening;
    this.#opening = null;
    const origin = { remote: this.#remote, proxied: this.#proxied };
    this.#intake.deps.dispatcher.dispatch(route, this.#candidate, origin, opening);
  }

  #refuse(reason: RefusalReason): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#opening?.release();
    this.#opening = null;
    this.#intake.deps.counters.refused[reason]++;
    this.#candidate.drop();
  }
}
