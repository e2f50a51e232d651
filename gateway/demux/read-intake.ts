/** Where the kernel cannot be asked: first bytes are read through Node, and put back. */
import type { Socket } from 'node:net';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { Opening } from './openings.ts';
import { otherTls, routeOf, type IntakeDeps } from './peek-intake.ts';
import { parseProxyHeader } from './proxy-protocol.ts';
import type { Candidate, RefusalReason } from './types.ts';

const maxBytes = 20_480;

export class ReadIntake {
  readonly deps: IntakeDeps;

  constructor(deps: IntakeDeps) {
    this.deps = deps;
  }

  accept(candidate: Candidate, remote: TransportAddress): void {
    new ReadConnection(this.deps, candidate, remote).start();
  }
}

class ReadConnection {
  readonly #deps: IntakeDeps;
  readonly #candidate: Candidate;
  readonly #socket: Socket;
  #remote: TransportAddress;
  #expectsProxy: boolean;
  #proxied = false;
  #opening: Opening | null = null;
  #bytes: Buffer = Buffer.alloc(0);
  readonly #readable = (): void => {
    const chunk = this.#socket.read() as Buffer | null;
    if (chunk === null) return;
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#look();
  };
  readonly #closed = (): void => {
    this.#refuse('ended');
  };

  constructor(deps: IntakeDeps, candidate: Candidate, remote: TransportAddress) {
    this.#deps = deps;
    this.#candidate = candidate;
    this.#socket = candidate.socket();
    this.#remote = remote;
    this.#expectsProxy = deps.proxySenders.has(remote.address);
  }

  start(): void {
    this.#opening = this.#deps.openings.open(this.#expectsProxy ? null : this.#remote.address, (reason) => {
      this.#refuse(reason);
    });
    if (this.#opening === null) this.#refuse('crowded-client');
    else this.#socket.on('readable', this.#readable).once('end', this.#closed).once('close', this.#closed);
  }

  #look(): void {
    if (this.#expectsProxy) {
      const header = parseProxyHeader(this.#bytes, this.#bytes.length);
      if (header === 'more') return;
      if (header === 'bad') {
        this.#refuse('proxy-header');
        return;
      }
      this.#bytes = this.#bytes.subarray(header.length);
      this.#expectsProxy = false;
      this.#deps.counters.proxied++;
      if (header.source !== null) {
        this.#remote = header.source;
        this.#proxied = true;
        if (this.#opening?.assign(header.source.address) !== true) {
          this.#refuse('crowded-client');
          return;
        }
      }
    }
    const route = routeOf(this.#bytes, this.#bytes.length);
    if (route === 'unknown') {
      this.#refuse('unknown');
      return;
    }
    if (route === 'more' && this.#bytes.length < maxBytes) return;
    const opening = this.#opening;
    this.#opening = null;
    this.#detach();
    this.#socket.unshift(this.#bytes);
    const decided = route === 'more' ? otherTls : route;
    const origin = { remote: this.#remote, proxied: this.#proxied };
    this.#deps.dispatcher.dispatch(decided, this.#candidate, origin, opening);
  }

  #detach(): void {
    this.#socket.off('readable', this.#readable).off('end', this.#closed).off('close', this.#closed);
  }

  #refuse(reason: RefusalReason): void {
    this.#detach();
    this.#opening?.release();
    this.#opening = null;
    this.#deps.counters.refused[reason]++;
    this.#candidate.drop();
  }
}
