/** The sockets behind relayed addresses. */
import type { Socket } from 'node:dgram';
import type { RelaySocket, RelaySocketOptions, RelayTarget } from '../turn/index.ts';
import { createUdpReceiver, createUdpSender, UdpAddress, type Libc } from './libc/index.ts';
import { closeUdpSocket, openUdpSocket } from './udp-socket.ts';

const socketBufferBytes = 262_144;
/** There may be thousands of them. */
const maxWaitingBytes = 65_536;

export class RelaySockets {
  readonly #libc: Libc | null;
  readonly #open = new Set<Socket>();

  constructor(libc: Libc | null) {
    this.#libc = libc;
  }

  async open({ family, address, port, onMessage, onError }: RelaySocketOptions): Promise<RelaySocket> {
    const socket = await openUdpSocket(address, port, socketBufferBytes, onError);
    this.#open.add(socket);
    const sender = createUdpSender(socket, this.#libc, { onLost: onError, maxWaitingBytes });
    const receiver = createUdpReceiver(socket, this.#libc, onMessage);
    return {
      target: (toAddress, toPort): RelayTarget => {
        const to = UdpAddress.parse(family === 'ipv4' ? 'udp4' : 'udp6', toAddress, toPort);
        return {
          send: (datagram) => {
            if (to === null) return;
            if (!sender.open(datagram.length)) {
              onError();
              return;
            }
            sender.bytes.set(datagram, sender.at);
            sender.commit(to);
          },
        };
      },
      close: () => {
        if (!this.#open.delete(socket)) return;
        receiver.close();
        sender.close();
        void closeUdpSocket(socket);
      },
    };
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((socket) => closeUdpSocket(socket)));
    this.#open.clear();
  }
}
