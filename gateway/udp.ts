/** The UDP media port: one socket per local address, and for each the paths that the SFU has bound. */
import type { Socket } from 'node:dgram';
import { classifyDatagram, datagramClass, type Path } from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import { createUdpReceiver, createUdpSender, type Libc, type UdpAddress, type UdpReceiver } from './libc/index.ts';
import type { RateLimiter } from './rate-limit.ts';
import { UdpPath, UdpPathTable, type UdpPort } from './udp-path.ts';
import { closeUdpSocket, listenUdpOnEach, openUdpSocket } from './udp-socket.ts';

const socketBufferBytes = 4_194_304;

export interface UdpMediaOptions {
  /** The bytes are borrowed until it returns. */
  readonly receive: (path: Path, datagram: Uint8Array) => void;
  readonly traffic: Traffic;
  /** For STUN from sources that are not bound, per source address. */
  readonly strangers: RateLimiter;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** `loadLibc()`; null is the fallback, one system call per datagram. */
  readonly libc: Libc | null;
}

interface OpenPort {
  readonly socket: Socket;
  readonly receiver: UdpReceiver;
  readonly port: UdpPort;
}

export class UdpMedia {
  readonly #options: UdpMediaOptions;
  readonly #ports: OpenPort[] = [];

  constructor(options: UdpMediaOptions) {
    this.#options = options;
  }

  /** How many remote addresses are bound. */
  get boundPaths(): number {
    return this.#ports.reduce((sum, { port }) => sum + port.paths.size, 0);
  }

  /** Bytes that the system grants for receiving, of the socket that got the least; 0 before `listen`. */
  get receiveBufferBytes(): number {
    return this.#ports.length === 0 ? 0 : Math.min(...this.#ports.map(({ socket }) => socket.getRecvBufferSize()));
  }

  /**
   * Opens a socket on each address, with the same port; 0 lets the system choose it. An address that went away in the
   * meantime is passed over as long as another one is there. Rejects with `ListenError`.
   */
  async listen(addresses: readonly string[], port: number): Promise<number> {
    try {
      return await listenUdpOnEach(addresses, port, (address, wanted) => this.#open(address, wanted));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const closing = this.#ports.splice(0).map(({ socket, receiver, port }) => {
      port.paths.clear();
      receiver.close();
      port.sender.close();
      return closeUdpSocket(socket);
    });
    await Promise.all(closing);
  }

  async #open(address: string, port: number): Promise<Socket> {
    const { traffic, libc } = this.#options;
    const lost = (count = 1): void => {
      traffic.dropped['send-failed'] += count;
    };
    const socket = await openUdpSocket(address, port, socketBufferBytes, () => {
      lost();
    });
    const opened: UdpPort = {
      sender: createUdpSender(socket, libc, { onLost: lost }),
      traffic,
      paths: new UdpPathTable(),
    };
    const receiver = createUdpReceiver(
      socket,
      libc,
      (datagram, from) => {
        this.#receive(opened, datagram, from);
      },
      () => {
        traffic.dropped.oversized++;
      },
    );
    this.#ports.push({ socket, receiver, port: opened });
    return socket;
  }

  /** Runs for every datagram. */
  #receive(port: UdpPort, datagram: Uint8Array, from: UdpAddress): void {
    const { dropped } = port.traffic;
    const kind = classifyDatagram(datagram);
    // ChannelData is TURN's, which has a port of its own; control frames are never taken from UDP (anybody could).
    if (kind === datagramClass.unknown || kind === datagramClass.control || kind === datagramClass.channelData) {
      dropped[kind === datagramClass.control ? 'control-not-allowed' : 'class']++;
      return;
    }
    let path = port.paths.find(from.address, from.port);
    if (path === null) {
      if (kind !== datagramClass.stun) {
        dropped['unknown-source']++;
        return;
      }
      if (!this.#options.strangers.take(from.address, this.#options.now())) {
        dropped['rate-limited']++;
        return;
      }
      path = new UdpPath(port, from);
    }
    port.traffic.received++;
    this.#options.receive(path, datagram);
  }
}
