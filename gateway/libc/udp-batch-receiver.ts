/** Receives one datagram through dgram, and whatever else waits in the socket by one recvmmsg(2). */
import type { RemoteInfo, Socket } from 'node:dgram';
import { maxDatagramBytes } from '../../tunnel-protocol/index.ts';
import type { Libc } from './libc.ts';
import { MessageVector } from './message-vector.ts';
import { UdpAddressCache, type UdpFamily } from './udp-address.ts';
import { descriptorOf, newReceiveCounters, type UdpHandler, type UdpReceiver } from './udp.ts';

const batch = 64;

/**
 * Bytes given to the handler are borrowed until it returns: the next batch overwrites them. One call of recvmmsg per
 * event, so that a flood cannot hold up the event loop for longer than dgram itself allows (32 events a turn).
 */
export class UdpBatchReceiver implements UdpReceiver {
  readonly kind = 'batch';
  readonly counters = newReceiveCounters();
  readonly #libc: Libc;
  readonly #socket: Socket;
  readonly #handler: UdpHandler;
  readonly #vector: MessageVector;
  readonly #addresses: UdpAddressCache;
  readonly #onMessage = (datagram: Uint8Array, remote: RemoteInfo): void => {
    this.counters.received++;
    if (datagram.length > maxDatagramBytes) this.counters.oversized++;
    else this.#handler(datagram, this.#addresses.fromText(remote.address, remote.port));
    this.#drain();
  };

  #closed = false;

  constructor(socket: Socket, family: UdpFamily, libc: Libc, handler: UdpHandler) {
    this.#socket = socket;
    this.#libc = libc;
    this.#handler = handler;
    this.#addresses = new UdpAddressCache(family);
    this.#vector = new MessageVector(libc, family, batch, batch * maxDatagramBytes);
    for (let i = 0; i < batch; i++) this.#vector.setRange(i, i * maxDatagramBytes, maxDatagramBytes);
    socket.on('message', this.#onMessage);
  }

  close(): void {
    this.#closed = true;
    this.#socket.off('message', this.#onMessage);
  }

  #drain(): void {
    const fd = this.#closed ? -1 : descriptorOf(this.#socket);
    // The handler may have closed the socket; its number may be another file's by now.
    if (fd < 0) return;
    const vector = this.#vector;
    const count = this.#libc.receiveMessages(fd, vector.headerAddress(0), batch);
    this.counters.calls++;
    for (let i = 0; i < count; i++) {
      this.counters.received++;
      const length = vector.received(i);
      const from = length < 0 ? null : this.#addresses.fromSockaddr(vector.memory, vector.addressAt(i));
      vector.rearm(i);
      if (from === null) {
        this.counters.oversized++;
      } else if (!this.#closed) {
        const at = i * maxDatagramBytes;
        this.#handler(vector.data.subarray(at, at + length), from);
      }
    }
  }
}
