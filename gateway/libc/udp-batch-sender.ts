/** Sends the datagrams of one turn of the event loop by one sendmmsg(2), and runs of equal size as one segmented message. */
import type { Socket } from 'node:dgram';
import { errno, socketOption, type Libc } from './libc.ts';
import { MessageVector } from './message-vector.ts';
import type { UdpAddress, UdpFamily } from './udp-address.ts';
import { descriptorOf, newSendCounters, type UdpSender } from './udp.ts';

const maxMessages = 256;
const dataBytes = 524_288;
/** UDP_MAX_SEGMENTS of Linux before 6.9. */
const maxSegments = 64;
/** What IPv4's and UDP's headers leave of 65,535. */
const maxMessageBytes = 65_507;
/** An Ethernet frame without the headers of IPv4 and UDP: the kernel segments nothing larger than the route's MTU. */
const maxSegmentBytes = 1472;
const retryMs = 1;

export class UdpBatchSender implements UdpSender {
  readonly kind = 'batch';
  readonly counters = newSendCounters();
  readonly #libc: Libc;
  readonly #socket: Socket;
  readonly #vector: MessageVector;
  /** Of each queued message: where to, how long, how long a segment is, and how many there are. */
  readonly #to: (UdpAddress | null)[] = new Array<UdpAddress | null>(maxMessages).fill(null);
  readonly #at = new Int32Array(maxMessages);
  readonly #length = new Int32Array(maxMessages);
  readonly #segment = new Int32Array(maxMessages);
  readonly #segments = new Int32Array(maxMessages);
  #head = 0;
  #count = 0;
  #used = 0;
  /** The last message of the queue takes no more segments. */
  #sealed = true;
  #segmenting: boolean;
  #scheduled = false;
  #closed = false;
  #blocked: NodeJS.Timeout | null = null;
  readonly #flushLater = (): void => {
    this.#scheduled = false;
    this.flush();
  };
  readonly #retry = (): void => {
    this.#blocked = null;
    this.flush();
  };

  /** The socket must be bound. */
  constructor(socket: Socket, family: UdpFamily, libc: Libc) {
    this.#socket = socket;
    this.#libc = libc;
    this.#vector = new MessageVector(libc, family, maxMessages, dataBytes);
    // Kernels before 4.18 do not know the option; setting it to 0 changes nothing.
    this.#segmenting = libc.setOption(descriptorOf(socket), socketOption.udpSegment, 0) === 0;
  }

  send(datagram: Uint8Array, to: UdpAddress): boolean {
    if (this.#closed || datagram.length > maxMessageBytes) {
      this.counters.failed++;
      return false;
    }
    if (!this.#hasRoom(datagram.length)) {
      if (this.#blocked === null) this.flush();
      if (!this.#hasRoom(datagram.length)) {
        this.counters.queueFull++;
        return false;
      }
    }
    this.#vector.data.set(datagram, this.#used);
    if (!this.#extend(datagram.length, to)) this.#append(datagram.length, to);
    this.#used += datagram.length;
    if (!this.#scheduled && this.#blocked === null) {
      this.#scheduled = true;
      setImmediate(this.#flushLater);
    }
    return true;
  }

  flush(): void {
    if (this.#count === this.#head) return;
    const fd = descriptorOf(this.#socket);
    if (fd < 0) {
      while (this.#head < this.#count) this.#fail(this.#head++);
      this.#reset();
      return;
    }
    while (this.#head < this.#count) {
      const outcome = this.#libc.sendMessages(fd, this.#vector.headerAddress(this.#head), this.#count - this.#head);
      this.counters.calls++;
      if (outcome > 0) {
        for (let i = 0; i < outcome; i++) this.counters.sent += this.#segments[this.#head++] as number;
      } else if (outcome === -errno.EAGAIN) {
        this.#wait();
        return;
      } else if (outcome !== -errno.EINTR) {
        this.#refused(fd, this.#head++, -outcome);
      }
    }
    this.#reset();
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    if (this.#blocked !== null) clearTimeout(this.#blocked);
    while (this.#head < this.#count) this.#fail(this.#head++);
    this.#reset();
  }

  #hasRoom(length: number): boolean {
    return this.#count < maxMessages && this.#used + length <= dataBytes;
  }

  /** Segments but the last are of one size; the last may be shorter (udp(7), UDP_SEGMENT). */
  #extend(length: number, to: UdpAddress): boolean {
    const last = this.#count - 1;
    if (this.#sealed || last < this.#head) return false;
    const segment = this.#length[last] === 0 ? 0 : (this.#segment[last] as number);
    const whole = (this.#length[last] as number) + length;
    if (length === 0 || length > segment || whole > maxMessageBytes || this.#segments[last] === maxSegments)
      return false;
    if (this.#to[last]?.equals(to) !== true) return false;
    if (this.#segments[last] === 1) this.#vector.setSegment(last, segment);
    this.#segments[last] = (this.#segments[last] as number) + 1;
    this.#length[last] = whole;
    this.#vector.setRange(last, this.#at[last] as number, whole);
    this.#sealed = length < segment;
    return true;
  }

  #append(length: number, to: UdpAddress): void {
    const index = this.#count++;
    this.#to[index] = to;
    this.#at[index] = this.#used;
    this.#length[index] = length;
    this.#segment[index] = length;
    this.#segments[index] = 1;
    this.#vector.setAddress(index, to.sockaddr);
    this.#vector.setRange(index, this.#used, length);
    this.#vector.setSegment(index, 0);
    this.#sealed = !this.#segmenting || length === 0 || length > maxSegmentBytes;
  }

  /** The message at `index` did not go; those after it still may. */
  #refused(fd: number, index: number, code: number): void {
    const segmented = (this.#segments[index] as number) > 1;
    if (code === errno.ENOBUFS) {
      this.counters.noBuffers += this.#segments[index] as number;
    } else if (segmented && [errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP].includes(code as 5)) {
      // EIO: the device cannot checksum, so it never will. The others: this route's MTU is smaller than a segment.
      if (code === errno.EIO || code === errno.EOPNOTSUPP) this.#segmenting = false;
      this.counters.unsegmented++;
      this.#sendSegments(fd, index);
    } else {
      this.#fail(index);
    }
  }

  #sendSegments(fd: number, index: number): void {
    const segment = this.#segment[index] as number;
    const start = this.#at[index] as number;
    const end = start + (this.#length[index] as number);
    this.#vector.setSegment(index, 0);
    for (let at = start; at < end; at += segment) {
      this.#vector.setRange(index, at, Math.min(segment, end - at));
      const outcome = this.#libc.sendMessages(fd, this.#vector.headerAddress(index), 1);
      this.counters.calls++;
      if (outcome > 0) this.counters.sent++;
      else if (outcome === -errno.ENOBUFS || outcome === -errno.EAGAIN) this.counters.noBuffers++;
      else this.counters.failed++;
    }
  }

  #fail(index: number): void {
    this.counters.failed += this.#segments[index] as number;
  }

  /** The socket's buffer is full: what is queued stays, and more may come until the queue is full as well. */
  #wait(): void {
    this.counters.blocked++;
    this.#sealed = true;
    this.#blocked ??= setTimeout(this.#retry, retryMs);
  }

  #reset(): void {
    this.#head = 0;
    this.#count = 0;
    this.#used = 0;
    this.#sealed = true;
  }
}
