/** A path through a TURN server, over UDP, TCP or TLS: runs the sans-I/O client on a socket and on real time. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { fitsBacklog } from './backlog.ts';
import type { ClientClock } from '../clock.ts';
import { TurnClient, TurnStreamSplitter } from '../turn-client/index.ts';
import type { TurnClientEvent } from '../turn-client/index.ts';
import type { TurnServer } from './ice-servers.ts';
import type { PathLink, PathLinkEvents } from './path-link.ts';
import type { ProxyRoute } from './proxy-route.ts';
import { StreamConnection } from './stream-connection.ts';
import type { TlsTrust } from './tls-trust.ts';
import { TurnUdpSocket } from './turn-udp-socket.ts';

export interface TurnLinkOptions {
  readonly server: TurnServer;
  /** The media server's UDP addresses, best first; those of the first one's family are used. */
  readonly peers: readonly TransportAddress[];
  readonly trust: TlsTrust;
  readonly route: ProxyRoute;
  readonly clock: ClientClock;
}

/** Addresses that are tried before the server's refusal is believed. */
const maxPeers = 3;

export class TurnLink implements PathLink {
  readonly #client: TurnClient;
  readonly #clock: ClientClock;
  readonly #events: PathLinkEvents;
  readonly #carrier: StreamConnection | TurnUdpSocket;
  readonly #splitter: TurnStreamSplitter | null;
  #timer: unknown = null;
  #timerAt = Infinity;
  #closed = false;

  constructor({ server, peers, trust, route, clock }: TurnLinkOptions, events: PathLinkEvents) {
    this.#clock = clock;
    this.#events = events;
    const reliable = server.rung !== 'turn-udp';
    const ipv6 = isIPv6(peers[0]?.address ?? '');
    this.#client = new TurnClient({
      username: server.username,
      credential: server.credential,
      reliable,
      peers: peers.filter(({ address }) => isIPv6(address) === ipv6).slice(0, maxPeers),
      random: (length) => randomBytes(length),
      hmacSha1: (key, data) => createHmac('sha1', key).update(data).digest(),
      md5: (data) => createHash('md5').update(data).digest(),
    });
    this.#splitter = reliable ? new TurnStreamSplitter() : null;
    const common = {
      opened: () => {
        this.#client.start(clock.now());
        this.#run();
      },
      failed: (reason: string) => {
        this.#fail(reason);
      },
    };
    this.#carrier = reliable
      ? new StreamConnection(
          {
            host: server.host,
            port: server.port,
            tls: server.rung === 'turn-tls' ? { trust } : null,
            proxy: { route, trust, secure: true },
          },
          {
            ...common,
            data: (chunk) => {
              this.#receiveChunk(chunk);
            },
          },
        )
      : new TurnUdpSocket(server.host, server.port, {
          ...common,
          message: (message) => {
            this.#receive(message);
          },
        });
  }

  send(datagram: Uint8Array): boolean {
    if (this.#closed) return false;
    if (!fitsBacklog(datagram, this.#carrier.bufferedBytes)) return false;
    const message = this.#client.wrap(datagram);
    if (message === null) return false;
    this.#carrier.write(message);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#client.close();
    this.#writeOutput();
    this.#end();
  }

  #receiveChunk(chunk: Uint8Array): void {
    const splitter = this.#splitter as TurnStreamSplitter;
    splitter.push(chunk);
    for (let message = splitter.next(); message !== null; message = splitter.next()) {
      this.#receive(message);
      // A message may have led the owner to close.
      if (this.#closed) return;
    }
    if (splitter.failed) this.#fail('the server speaks no TURN');
  }

  /** Runs for every message. */
  #receive(message: Uint8Array): void {
    const datagram = this.#client.receive(message, this.#clock.now());
    if (datagram !== null) this.#events.datagram(datagram);
    else this.#run();
  }

  #run(): void {
    if (this.#closed) return;
    this.#writeOutput();
    for (let event = this.#client.nextEvent(); event !== null; event = this.#client.nextEvent()) this.#handle(event);
    this.#schedule();
  }

  #writeOutput(): void {
    for (let out = this.#client.nextOutput(); out !== null; out = this.#client.nextOutput()) this.#carrier.write(out);
  }

  #handle(event: TurnClientEvent): void {
    switch (event.type) {
      case 'allocated':
        this.#events.opened();
        return;
      case 'failed':
        this.#fail(event.code === null ? event.reason : `${event.reason} (${String(event.code)})`);
        return;
      case 'bound':
        return;
    }
  }

  #schedule(): void {
    const due = this.#closed ? Infinity : (this.#client.nextTimeout() ?? Infinity);
    if (due === this.#timerAt) return;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = due;
    if (due === Infinity) return;
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null;
        this.#timerAt = Infinity;
        this.#client.handleTimeout(this.#clock.now());
        this.#run();
      },
      Math.max(0, due - this.#clock.now()),
    );
  }

  #fail(reason: string): void {
    if (this.#closed) return;
    this.#end();
    this.#events.failed(reason);
  }

  #end(): void {
    this.#closed = true;
    this.#schedule();
    this.#carrier.close();
  }
}
