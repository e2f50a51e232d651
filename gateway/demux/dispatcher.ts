/** Hands a connection over to who serves its kind. */
import type { Server, Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { Libc } from '../libc/index.ts';
import type { Opening, Openings } from './openings.ts';
import type { Splicer } from './splice.ts';
import { TlsFront } from './tls-front.ts';
import type { Candidate, DemuxCounters, DemuxDeps, RefusalReason } from './types.ts';

/** What first bytes can lead to. */
export type Route = 'tls-http1' | 'tls-h2' | 'tls-other' | 'http' | 'stun' | 'ice-tcp';

export class Dispatcher {
  readonly #libc: Libc | null;
  readonly #deps: DemuxDeps;
  readonly #counters: DemuxCounters;
  readonly #openings: Openings;
  readonly #splicer: Splicer;
  readonly #tlsFront: TlsFront;
  /** Connections that live in Node, under TLS or not. */
  readonly #sockets = new Set<Socket>();

  constructor(deps: DemuxDeps, openings: Openings, splicer: Splicer, counters: DemuxCounters) {
    this.#libc = deps.libc;
    this.#deps = deps;
    this.#openings = openings;
    this.#splicer = splicer;
    this.#counters = counters;
    this.#tlsFront = new TlsFront(deps, counters);
  }

  get tlsFront(): TlsFront {
    return this.#tlsFront;
  }

  get socketCount(): number {
    return this.#sockets.size;
  }

  /** `opening` is null when the first look was enough. */
  dispatch(
    route: Route,
    candidate: Candidate,
    remote: TransportAddress,
    proxied: boolean,
    opening: Opening | null,
  ): void {
    const { handlers } = this.#deps;
    const { kinds } = this.#counters;
    switch (route) {
      case 'tls-http1':
      case 'http': {
        kinds[route === 'http' ? 'plain-http' : 'tls-http1']++;
        // uWebSockets.js tells its own application neither the descriptor nor the remote port, so there is nothing by
        // which a load balancer's client could be found again: Node serves it.
        if (handlers.uws !== null && !proxied && this.#toUws(route, candidate, remote, opening)) return;
        if (route === 'tls-http1') {
          this.#toTls(candidate, remote, proxied, opening);
        } else {
          const socket = this.#take(candidate, remote, proxied, opening);
          emitConnection(handlers.http1, socket);
          letFlow(socket);
        }
        return;
      }
      case 'tls-h2':
      case 'tls-other':
        kinds[route]++;
        this.#toTls(candidate, remote, proxied, opening);
        return;
      case 'stun':
      case 'ice-tcp': {
        kinds[route === 'stun' ? 'turn-tcp' : 'ice-tcp']++;
        const socket = this.#take(candidate, remote, proxied, opening);
        (route === 'stun' ? handlers.turnTcp : handlers.iceTcp)(socket, remote);
        letFlow(socket);
      }
    }
  }

  /** Ends everything that lives in Node. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#tlsFront.close();
  }

  #take(candidate: Candidate, remote: TransportAddress, proxied: boolean, opening: Opening | null): Socket {
    opening?.release();
    const socket = candidate.socket();
    if (proxied) setPeer(socket, remote);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }

  #toTls(candidate: Candidate, remote: TransportAddress, proxied: boolean, earlier: Opening | null): void {
    const opening = earlier ?? this.#openings.open(remote.address, () => undefined);
    if (opening === null) {
      this.#refuse(candidate, 'crowded-address');
      return;
    }
    const socket = candidate.socket();
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // Stays paused: TLS reads below it, and takes what it holds already in a later turn.
    this.#tlsFront.accept(socket, remote, proxied, opening);
  }

  /** False: the connection is as it was. */
  #toUws(
    route: 'tls-http1' | 'http',
    candidate: Candidate,
    remote: TransportAddress,
    opening: Opening | null,
  ): boolean {
    const { uws } = this.#deps.handlers;
    if (uws === null) return false;
    if (candidate.fd < 0 || this.#libc === null) {
      if (uws.splice === undefined) return false;
      opening?.release();
      const socket = candidate.socket();
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      this.#counters.spliced++;
      this.#splicer.splice(socket, remote, route === 'http' ? uws.splice.plainPort : uws.splice.tlsPort);
      return true;
    }
    opening?.release();
    // A bad descriptor would be the end of the process in uWebSockets.js.
    const fd = this.#libc.duplicate(candidate.fd);
    if (fd < 0) {
      this.#refuse(candidate, 'no-descriptor');
      return true;
    }
    candidate.drop();
    try {
      if (route === 'http') uws.adoptPlain(fd);
      else uws.adoptTls(fd);
      this.#counters.adopted++;
    } catch {
      this.#counters.refused['adopt-failed']++;
      this.#libc.close(fd);
    }
    return true;
  }

  #refuse(candidate: Candidate, reason: RefusalReason): void {
    this.#counters.refused[reason]++;
    candidate.drop();
  }
}

/** Makes the socket say whom a load balancer speaks for, to those who ask the socket itself. */
export function setPeer(socket: Socket, { address, port }: TransportAddress): void {
  Object.defineProperties(socket, {
    remoteAddress: { value: address, configurable: true },
    remotePort: { value: port, configurable: true },
    remoteFamily: { value: address.includes(':') ? 'IPv6' : 'IPv4', configurable: true },
  });
}

/** As if the server had accepted it, with TLS done where it is a TLS server. */
export function emitConnection(server: Server, socket: Socket): void {
  server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', socket);
}

/** Sockets of a listener that pauses what it accepts stay paused until somebody says otherwise. */
function letFlow(socket: Socket): void {
  if (!socket.destroyed && socket.readableFlowing === false) socket.resume();
}
