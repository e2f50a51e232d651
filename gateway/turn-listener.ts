/** One UDP socket that TURN clients send to. */
import type { Socket } from 'node:dgram';
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import type { TurnServer, TurnUdpSocket } from '../turn/index.ts';
import {
  createUdpReceiver,
  createUdpSender,
  type Libc,
  type UdpAddress,
  type UdpReceiver,
  type UdpSender,
} from './libc/index.ts';
import { closeUdpSocket, openUdpSocket } from './udp-socket.ts';

const socketBufferBytes = 4_194_304;

export class TurnListener implements TurnUdpSocket<UdpAddress> {
  readonly socket: Socket;
  readonly local: TransportAddress;
  readonly #sender: UdpSender;
  readonly #receiver: UdpReceiver;

  private constructor(server: TurnServer, socket: Socket, address: string, libc: Libc | null) {
    this.socket = socket;
    this.local = { address, port: socket.address().port };
    this.#sender = createUdpSender(socket, libc, {
      onLost: (count) => {
        server.counters.dropped_backlog += count;
      },
    });
    const input = server.acceptUdp(this);
    this.#receiver = createUdpReceiver(
      socket,
      libc,
      (datagram, from) => {
        input.receive(datagram, from);
      },
      () => {
        server.counters.dropped_oversized++;
      },
    );
  }

  /** Rejects with `ListenError`. */
  static async open(server: TurnServer, address: string, port: number, libc: Libc | null): Promise<TurnListener> {
    const socket = await openUdpSocket(address, port, socketBufferBytes, ignore);
    return new TurnListener(server, socket, address, libc);
  }

  get bytes(): Uint8Array {
    return this.#sender.bytes;
  }

  get at(): number {
    return this.#sender.at;
  }

  open(length: number): boolean {
    return this.#sender.open(length);
  }

  commit(to: UdpAddress): void {
    this.#sender.commit(to);
  }

  close(): Promise<void> {
    this.#receiver.close();
    this.#sender.close();
    return closeUdpSocket(this.socket);
  }
}

function ignore(): void {
  // The sender counts what was not sent.
}
