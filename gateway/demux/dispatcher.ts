/** Hands a connection over to who serves its kind. */
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Server as TlsServer, type SecureContextOptions } from 'node:tls';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { loadOpensslTls, type Libc } from '../libc/index.ts';
import { AdoptedConnections } from './adopted-connections.ts';
import { ClientCounts, clientOf } from './client-counts.ts';
import { NativeTls } from './native-tls.ts';
import { NodeConnections } from './node-connections.ts';
import type { Opening, Openings } from './openings.ts';
import type { Splicer } from './splice.ts';
import { TlsFront } from './tls-front.ts';
import type {
  Candidate,
  DemuxConfig,
  DemuxCounters,
  DemuxDeps,
  NativeCertificates,
  Origin,
  RefusalReason,
  Route,
  UwsHandler,
} from './types.ts';

export class Dispatcher {
  readonly #libc: Libc | null;
  readonly #deps: DemuxDeps;
  readonly #counters: DemuxCounters;
  readonly #openings: Openings;
  readonly #splicer: Splicer;
  readonly #tlsFront: TlsFront;
  readonly #nativeTls: NativeTls | null;
  readonly #counts: ClientCounts;
  readonly #adopted: AdoptedConnections | null;
  readonly #kept: NodeConnections;

  constructor(config: DemuxConfig, deps: DemuxDeps, openings: Openings, splicer: Splicer, counters: DemuxCounters) {
    this.#libc = deps.libc;
    this.#deps = deps;
    this.#openings = openings;
    this.#splicer = splicer;
    this.#counters = counters;
    this.#tlsFront = new TlsFront(deps, counters);
    this.#nativeTls = nativeTlsOf(deps, counters);
    this.#counts = new ClientCounts(config);
    this.#kept = new NodeConnections(deps.libc, this.#counts, () => {
      counters.missed++;
    });
    this.#adopted =
      deps.libc === null
        ? null
        : new AdoptedConnections(deps.libc, config.openingTimeoutMs, this.#counts, () => {
            counters.refused['timed-out']++;
          });
  }

  /** New handshakes get it; throws, and changes nothing, when it is not usable. */
  setCertificates(options: SecureContextOptions, certificates: NativeCertificates | null): void {
    this.#tlsFront.setSecureContext(options);
    if (certificates !== null) this.#nativeTls?.setCertificates(certificates);
  }

  get socketCount(): number {
    return this.#kept.size;
  }

  get adoptedCount(): number {
    return this.#adopted?.size ?? 0;
  }

  /** `opening` is null when the first look was enough. */
  dispatch(route: Route, candidate: Candidate, origin: Origin, opening: Opening | null): void {
    const refusal = this.#refusal(clientOf(origin.remote.address));
    if (refusal !== null) {
      opening?.release();
      this.#refuse(candidate, refusal);
      return;
    }
    const { handlers } = this.#deps;
    const { kinds } = this.#counters;
    switch (route.kind) {
      case 'tls-http1':
      case 'http': {
        kinds[route.kind === 'http' ? 'plain-http' : 'tls-http1']++;
        // uWebSockets.js tells its own application neither the descriptor nor the remote port, so there is nothing by
        // which a load balancer's client could be found again: Node serves it.
        if (!origin.proxied && this.#toUws(route, candidate, origin.remote, opening)) return;
        if (route.kind === 'tls-http1') {
          this.#toTls(candidate, origin, opening, null);
        } else {
          const socket = this.#take(candidate, origin, opening);
          emitConnection(handlers.http1, socket);
          letFlow(socket);
        }
        return;
      }
      case 'tls-h2':
      case 'tls-other':
        kinds[route.kind]++;
        this.#toTls(candidate, origin, opening, route.alpn ? null : route.serverName);
        return;
      case 'stun':
      case 'ice-tcp': {
        kinds[route.kind === 'stun' ? 'turn-tcp' : 'ice-tcp']++;
        const socket = this.#take(candidate, origin, opening);
        (route.kind === 'stun' ? handlers.turnTcp : handlers.iceTcp)(socket, origin.remote);
        letFlow(socket);
      }
    }
  }

  /** Ends everything that lives in Node. */
  close(): void {
    this.#kept.close();
    this.#adopted?.close();
    this.#tlsFront.close();
    this.#nativeTls?.close();
  }

  #refusal(client: string): 'full' | 'full-client' | null {
    if (this.#counts.refusal(client) === null) return null;
    this.#adopted?.refresh();
    return this.#counts.refusal(client);
  }

  #take(candidate: Candidate, { remote, proxied }: Origin, opening: Opening | null): Socket {
    opening?.release();
    const socket = this.#keep(candidate, remote);
    if (proxied) setPeer(socket, remote);
    return socket;
  }

  #keep(candidate: Candidate, remote: TransportAddress): Socket {
    const socket = candidate.socket();
    this.#kept.add(socket, candidate.fd, clientOf(remote.address));
    return socket;
  }

  /** `serverName` null: ALPN has to be answered, which only Node does. */
  #toTls(candidate: Candidate, origin: Origin, earlier: Opening | null, serverName: string | null): void {
    const opening = earlier ?? this.#openings.open(origin.remote.address, () => undefined);
    if (opening === null) {
      this.#refuse(candidate, 'crowded-client');
      return;
    }
    const socket = this.#keep(candidate, origin.remote);
    if (serverName !== null && this.#nativeTls !== null) {
      if (origin.proxied) setPeer(socket, origin.remote);
      if (this.#nativeTls.accept(socket, origin, opening, serverName)) return;
    }
    // Stays paused: TLS reads below it, and takes what it holds already in a later turn.
    this.#tlsFront.accept(socket, origin, opening);
  }

  /** False: the connection is as it was. */
  #toUws(route: Route, candidate: Candidate, remote: TransportAddress, opening: Opening | null): boolean {
    const { uws } = this.#deps.handlers;
    if (uws === null) return false;
    if (candidate.fd >= 0 && this.#libc !== null && this.#adopted !== null) {
      return this.#adopt(uws, this.#libc, this.#adopted, route, candidate, remote, opening);
    }
    if (uws.splice === undefined) return false;
    opening?.release();
    this.#counters.spliced++;
    const port = route.kind === 'http' ? uws.splice.plainPort : uws.splice.tlsPort(route.serverName);
    this.#splicer.splice(this.#keep(candidate, remote), remote, port);
    return true;
  }

  #adopt(
    uws: UwsHandler,
    libc: Libc,
    adopted: AdoptedConnections,
    route: Route,
    candidate: Candidate,
    remote: TransportAddress,
    opening: Opening | null,
  ): boolean {
    // A bad descriptor would be the end of the process in uWebSockets.js.
    const fd = libc.duplicate(candidate.fd);
    if (fd < 0) {
      opening?.release();
      this.#refuse(candidate, 'no-descriptor');
      return true;
    }
    if (!adopted.add(fd, clientOf(remote.address), route.incomplete)) {
      libc.close(fd);
      return false;
    }
    opening?.release();
    candidate.drop();
    try {
      if (route.kind === 'http') uws.adoptPlain(fd);
      else uws.adoptTls(fd, route.serverName);
      this.#counters.adopted++;
    } catch {
      this.#counters.refused['adopt-failed']++;
      libc.close(fd);
    }
    return true;
  }

  #refuse(candidate: Candidate, reason: RefusalReason): void {
    this.#counters.refused[reason]++;
    candidate.drop();
  }
}

/** Null where Node does all TLS. */
function nativeTlsOf({ libc, handlers, certificates }: DemuxDeps, counters: DemuxCounters): NativeTls | null {
  const openssl = libc === null ? null : loadOpensslTls();
  if (libc === null || openssl === null || certificates === null) return null;
  return new NativeTls({ libc, openssl, handlers, counters }, certificates);
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
export function emitConnection(server: Server, socket: Duplex): void {
  server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', socket);
}

/** Sockets of a listener that pauses what it accepts stay paused until somebody says otherwise. */
function letFlow(socket: Socket): void {
  if (!socket.destroyed && socket.readableFlowing === false) socket.resume();
}
