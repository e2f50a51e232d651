/** The UDP media port: one socket per local address, and for each the paths that the SFU has bound. */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { classifyDatagram, datagramClass, maxDatagramBytes, type Path } from '../tunnel-protocol/index.ts';
import { canonicalSocketAddress } from './addresses.ts';
import type { Traffic } from './counters.ts';
import { ListenError } from './engine/index.ts';
import type { RateLimiter } from './rate-limit.ts';
import { UdpPath, UdpPathTable, type UdpPort } from './udp-path.ts';

const socketBufferBytes = 4_194_304;

export interface UdpMediaOptions {
  readonly receive: (path: Path, datagram: Uint8Array) => void;
  readonly traffic: Traffic;
  /** For STUN from sources that are not bound, per source address. */
  readonly strangers: RateLimiter;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class UdpMedia {
  readonly #options: UdpMediaOptions;
  readonly #ports: UdpPort[] = [];

  constructor(options: UdpMediaOptions) {
    this.#options = options;
  }

  /** How many remote addresses are bound. */
  get boundPaths(): number {
    return this.#ports.reduce((sum, { paths }) => sum + paths.size, 0);
  }

  /** Bytes that the system grants for receiving, of the socket that got the least; 0 before `listen`. */
  get receiveBufferBytes(): number {
    return this.#ports.length === 0 ? 0 : Math.min(...this.#ports.map(({ socket }) => socket.getRecvBufferSize()));
  }

  /**
   * Opens a socket on each address, with the same port; 0 lets the system choose it. An address that went away in the
   * meantime is passed over as long as another one is there. Rejects with {@link ListenError}.
   */
  async listen(addresses: readonly string[], port: number): Promise<number> {
    let bound = port;
    let fault: ListenError | null = null;
    for (const address of addresses) {
      try {
        const opened = await this.#open(address, bound);
        this.#ports.push(opened);
        bound = opened.socket.address().port;
      } catch (error) {
        if (!(error instanceof ListenError) || error.code !== 'EADDRNOTAVAIL') {
          await this.close();
          throw error;
        }
        fault = error;
      }
    }
    if (this.#ports.length === 0) throw fault ?? new ListenError('EADDRNOTAVAIL', 'no address', port);
    return bound;
  }

  async close(): Promise<void> {
    const closing = this.#ports.splice(0).map(
      ({ socket, paths }) =>
        new Promise<void>((resolve) => {
          paths.clear();
          socket.close(resolve);
        }),
    );
    await Promise.all(closing);
  }

  #open(address: string, port: number): Promise<UdpPort> {
    const { traffic } = this.#options;
    const ipv6 = isIPv6(address);
    const socket = createSocket({
      type: ipv6 ? 'udp6' : 'udp4',
      ipv6Only: ipv6,
      recvBufferSize: socketBufferBytes,
      sendBufferSize: socketBufferBytes,
      // Destinations are addresses already; Node would ask its resolver, with a turn of the loop for each datagram.
      lookup: (host, _options, callback) => {
        callback(null, host, ipv6 ? 6 : 4);
      },
    });
    const sent = (error: Error | null): void => {
      if (error !== null) traffic.dropped['send-failed']++;
    };
    const opened: UdpPort = { socket, traffic, sent, paths: new UdpPathTable() };
    return new Promise((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => {
        reject(new ListenError(error.code ?? 'EUNKNOWN', address, port));
      });
      socket.once('listening', () => {
        socket.removeAllListeners('error');
        socket.on('error', sent);
        socket.on('message', (datagram, remote) => {
          this.#receive(opened, datagram, remote);
        });
        resolve(opened);
      });
      socket.bind({ address, port, exclusive: true });
    });
  }

  /** Runs for every datagram. */
  #receive(port: UdpPort, datagram: Uint8Array, remote: RemoteInfo): void {
    const { dropped } = port.traffic;
    if (datagram.length > maxDatagramBytes) {
      dropped.oversized++;
      return;
    }
    const kind = classifyDatagram(datagram);
    // ChannelData is TURN's, which has a port of its own; control frames are never taken from UDP (anybody could).
    if (kind === datagramClass.unknown || kind === datagramClass.control || kind === datagramClass.channelData) {
      dropped[kind === datagramClass.control ? 'control-not-allowed' : 'class']++;
      return;
    }
    let path = port.paths.find(remote.address, remote.port);
    if (path === null) {
      if (kind !== datagramClass.stun) {
        dropped['unknown-source']++;
        return;
      }
      if (!this.#options.strangers.take(remote.address, this.#options.now())) {
        dropped['rate-limited']++;
        return;
      }
      path = new UdpPath(port, { address: canonicalSocketAddress(remote.address), port: remote.port });
    }
    port.traffic.received++;
    this.#options.receive(path, datagram);
  }
}
