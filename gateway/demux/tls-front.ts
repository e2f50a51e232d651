/**
 * All TLS that uWebSockets.js does not do: h2, TURN over TLS, clients without ALPN (which say only after the handshake
 * what they speak), HTTP/1.1 behind a load balancer. One TLS server, so one certificate, one set of tickets, one ALPN.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type SecureContextOptions, type Server, type TlsOptions, type TLSSocket } from 'node:tls';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { canonicalSocketAddress } from '../addresses.ts';
import { emitConnection, setPeer } from './dispatcher.ts';
import { classifyOpening } from './opening.ts';
import type { CutReason, Opening } from './openings.ts';
import type { DemuxCounters, DemuxDeps, DemuxHandlers, Origin } from './types.ts';

/** Longer than any opening may last: the demultiplexer's own limit is the one that counts. */
const handshakeTimeoutMs = 60_000;
const ticketKeyBytes = 48;

interface Handshake {
  readonly socket: Socket;
  readonly origin: Origin;
  readonly opening: Opening;
}

export class TlsFront {
  readonly #handlers: DemuxHandlers;
  readonly #counters: DemuxCounters;
  readonly #server: Server;
  /** Kept over a reload, so that tickets given before are good after. */
  readonly #ticketKeys: Buffer;
  /** By the connection's two ends: nothing public leads from a TLS socket to the one below. */
  readonly #handshakes = new Map<string, Handshake>();

  constructor({ handlers, tls }: DemuxDeps, counters: DemuxCounters) {
    this.#handlers = handlers;
    this.#counters = counters;
    this.#ticketKeys = tls.ticketKeys ?? randomBytes(ticketKeyBytes);
    const own: TlsOptions = { ticketKeys: this.#ticketKeys, handshakeTimeout: handshakeTimeoutMs };
    this.#server = createServer({
      ...tls,
      ...own,
      ALPNCallback: ({ protocols }) => selectProtocol(protocols, handlers.h2 !== null),
    });
    this.#server.on('secureConnection', (socket) => {
      this.#secured(socket);
    });
    // Failed handshakes; Node closes them, and their `close` is where they are counted.
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** Not yet through their handshake. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  accept(socket: Socket, origin: Origin, opening: Opening): void {
    const key = endsOf(socket);
    if (key === null) {
      this.#counters.refused.reset++;
      opening.release();
      socket.destroy();
      return;
    }
    const handshake: Handshake = { socket, origin, opening };
    this.#handshakes.set(key, handshake);
    opening.cut = (reason: CutReason) => {
      this.#counters.refused[reason]++;
      socket.destroy();
    };
    socket.once('close', () => {
      if (this.#handshakes.get(key) !== handshake) return;
      this.#handshakes.delete(key);
      // When it was cut, it was counted by that reason.
      if (opening.release()) this.#counters.refused['tls-failed']++;
    });
    this.#server.emit('connection', socket);
  }

  /** New handshakes get it; throws, and changes nothing, when it is not usable. */
  setSecureContext(options: SecureContextOptions): void {
    this.#server.setSecureContext({ ...options, ticketKeys: this.#ticketKeys });
  }

  close(): void {
    this.#handshakes.clear();
    this.#server.close();
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignore);
    const key = endsOf(socket);
    const handshake = key === null ? undefined : this.#handshakes.get(key);
    if (key === null || handshake === undefined) {
      socket.destroy();
      return;
    }
    this.#handshakes.delete(key);
    const { origin, opening } = handshake;
    const { remote, proxied } = origin;
    if (proxied) setPeer(socket, remote);
    const { http1, h2 } = this.#handlers;
    if (socket.alpnProtocol === 'h2' && h2 !== null) {
      opening.release();
      emitConnection(h2, socket);
    } else if (socket.alpnProtocol === 'http/1.1' || socket.alpnProtocol === 'http/1.0') {
      opening.release();
      emitConnection(http1, socket);
    } else {
      this.#sniff(socket, remote, opening);
    }
  }

  /** The client speaks first, in TURN as in HTTP. */
  #sniff(socket: TLSSocket, remote: TransportAddress, opening: Opening): void {
    let seen: Buffer = Buffer.alloc(0);
    opening.cut = (reason: CutReason) => {
      this.#counters.refused[reason]++;
      socket.destroy();
    };
    const closed = (): void => {
      if (opening.release()) this.#counters.refused.ended++;
    };
    const look = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const kind = classifyOpening(seen, seen.length);
      if (kind === 'more') return;
      socket.off('readable', look).off('close', closed);
      opening.release();
      socket.unshift(seen);
      if (kind === 'stun') {
        this.#counters.kinds['turn-tls']++;
        this.#handlers.turnTls(socket, remote);
      } else {
        // Whatever else it is: the HTTP server knows how to refuse it.
        this.#counters.kinds['tls-http1-late']++;
        emitConnection(this.#handlers.http1, socket);
      }
    };
    socket.on('close', closed).on('readable', look);
  }
}

/** No protocol in common is an alert (RFC 7301 section 3.2); RFC 7443 names TURN's. */
function selectProtocol(offered: readonly string[], withH2: boolean): string | undefined {
  const wanted = ['stun.turn', 'stun.nat-discovery', ...(withH2 ? ['h2'] : []), 'http/1.1', 'http/1.0'];
  return wanted.find((protocol) => offered.includes(protocol));
}

function endsOf(socket: Socket): string | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || localAddress === undefined) return null;
  const ends = [canonicalSocketAddress(remoteAddress), remotePort, canonicalSocketAddress(localAddress), localPort];
  return ends.join(' ');
}

function ignore(): void {
  // Said by `close`.
}
