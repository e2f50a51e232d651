/**
 * What one turn of the event loop has to send, of all sockets: written into one piece of memory, and at the end of the
 * turn sent socket by socket. Each UDP socket's datagrams go by one sendmmsg(2), runs of equal size to one peer as one
 * segmented message; each connection's bytes by one call.
 */
import { errno, type Libc } from './libc.ts';
import { MessageVector } from './message-vector.ts';
import type { UdpAddress } from './udp-address.ts';

const maxDatagrams = 1024;
const dataBytes = 1_048_576;
/** UDP_MAX_SEGMENTS of Linux before 6.9. */
const maxSegments = 64;
/** What IPv4's and UDP's headers leave of 65,535. */
export const maxMessageBytes = 65_507;
/** An Ethernet frame without the headers of IPv4 and UDP: the kernel segments nothing larger than the route's MTU. */
const maxSegmentBytes = 1472;

/** One socket's part in the queue. */
export interface SendLane {
  /** A TCP connection: where its pieces begin and end means nothing. */
  readonly stream: boolean;
  /** Ends of its chain of datagrams; -1 when it has none. Belong to the queue. */
  first: number;
  last: number;
  /** False where the kernel does not segment for this socket. */
  segmenting: boolean;
  /** The socket's descriptor; -1 when it is closed. */
  descriptor(): number;
  /** One system call was made. */
  called(): void;
  /** Datagrams, or pieces of a connection, that went. */
  sent(count: number): void;
  /** Datagrams, or pieces, that are lost, by the kernel's reason; -1: the socket is closed. */
  lost(count: number, code: number): void;
  /** A segmented message was refused, and its datagrams go one by one. */
  unsegmented(): void;
  /** The socket is full. {@link keep} follows. */
  blocked(): void;
  /** Keeps a copy of what did not go, in order; `to` is null for a connection. */
  keep(bytes: Uint8Array, to: UdpAddress | null): void;
}

export class SendQueue {
  readonly bytes: Uint8Array;
  readonly #libc: Libc;
  readonly #vector: MessageVector;
  /** Of each datagram: where to, where it is, how long it is, and which one of its socket comes next. */
  readonly #to: (UdpAddress | null)[] = new Array<UdpAddress | null>(maxDatagrams).fill(null);
  readonly #at = new Int32Array(maxDatagrams);
  readonly #length = new Int32Array(maxDatagrams);
  readonly #next = new Int32Array(maxDatagrams);
  /** Of each message that was built of them: its first datagram, and how many there are. */
  readonly #first = new Int32Array(maxDatagrams);
  readonly #count = new Int32Array(maxDatagrams);
  /** The sockets that have something in the queue: the first {@link #laneCount} entries. */
  readonly #lanes: (SendLane | null)[] = [];
  #laneCount = 0;
  #datagrams = 0;
  #used = 0;
  #opened = 0;
  #scheduled = false;
  readonly #beforeEnd: (() => void)[] = [];
  readonly #endOfTurn = (): void => {
    // What these queue goes with the rest.
    for (const run of this.#beforeEnd.splice(0)) run();
    this.#scheduled = false;
    this.flush();
  };

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#vector = new MessageVector(libc, maxDatagrams, dataBytes);
    this.bytes = this.#vector.data;
  }

  /** Where in {@link bytes} the datagram that {@link open} made room for is to be written. */
  get at(): number {
    return this.#used;
  }

  /** Makes room for a datagram of at most {@link maxMessageBytes}. */
  open(length: number): void {
    if (this.#datagrams === maxDatagrams || this.#used + length > dataBytes) this.flush();
    this.#opened = length;
  }

  /** `to` is null for a connection. */
  commit(lane: SendLane, to: UdpAddress | null): void {
    const index = this.#datagrams++;
    this.#to[index] = to;
    this.#at[index] = this.#used;
    this.#length[index] = this.#opened;
    this.#next[index] = -1;
    this.#used += this.#opened;
    if (lane.first === -1) {
      lane.first = index;
      this.#lanes[this.#laneCount++] = lane;
    } else {
      this.#next[lane.last] = index;
    }
    lane.last = index;
    this.scheduleEnd();
  }

  /** Calls `run` once, at the end of this turn and before anything is sent then. It must not throw. */
  beforeEnd(run: () => void): void {
    this.#beforeEnd.push(run);
    this.scheduleEnd();
  }

  /** Sends what is queued by then at the end of this turn. */
  scheduleEnd(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#endOfTurn);
  }

  flush(): void {
    // Nothing is committed while this runs: what a full socket gives back is kept outside the queue.
    for (let i = 0; i < this.#laneCount; i++) {
      this.flushLane(this.#lanes[i] as SendLane);
      this.#lanes[i] = null;
    }
    this.#laneCount = 0;
    this.#datagrams = 0;
    this.#used = 0;
  }

  /** Only this socket's; the room it took is free at the end of the turn. */
  flushLane(lane: SendLane): void {
    const { first } = lane;
    if (first === -1) return;
    lane.first = -1;
    const fd = lane.descriptor();
    if (fd < 0) lane.lost(this.#lengthOf(first), -1);
    else if (lane.stream) this.#sendStream(lane, fd, first);
    else if (this.#next[first] === -1) this.#sendOne(lane, fd, first);
    else this.#sendMessages(lane, fd, this.#build(lane, first));
  }

  #sendOne(lane: SendLane, fd: number, index: number): void {
    for (;;) {
      const outcome = this.#sendDatagram(fd, index);
      lane.called();
      if (outcome >= 0) lane.sent(1);
      else if (outcome === -errno.EINTR) continue;
      else if (outcome === -errno.EAGAIN) this.#keepFrom(lane, index);
      else lane.lost(1, -outcome);
      return;
    }
  }

  #sendDatagram(fd: number, index: number): number {
    const vector = this.#vector;
    const { sockaddr } = this.#to[index] as UdpAddress;
    vector.setAddress(0, sockaddr);
    return this.#libc.sendTo(
      fd,
      vector.dataPointer(this.#at[index] as number),
      this.#length[index] as number,
      vector.addressPointer(0),
      sockaddr.length,
    );
  }

  /** Segments but the last are of one size; the last may be shorter (udp(7), UDP_SEGMENT). Returns how many messages. */
  #build(lane: SendLane, first: number): number {
    const vector = this.#vector;
    let messages = 0;
    let iovecs = 0;
    let index = first;
    while (index !== -1) {
      const to = this.#to[index] as UdpAddress;
      const segment = this.#length[index] as number;
      const joins = lane.segmenting && segment > 0 && segment <= maxSegmentBytes;
      let whole = 0;
      let count = 0;
      let last = segment;
      let end = -1;
      const firstIovec = iovecs;
      let rangeAt = 0;
      const start = index;
      do {
        const at = this.#at[index] as number;
        last = this.#length[index] as number;
        if (at === end) {
          vector.setRange(iovecs - 1, rangeAt, at + last - rangeAt);
        } else {
          rangeAt = at;
          vector.setRange(iovecs++, at, last);
        }
        end = at + last;
        whole += last;
        count++;
        index = this.#next[index] as number;
      } while (joins && index !== -1 && last === segment && this.#fits(index, to, segment, whole, count));
      vector.setAddress(messages, to.sockaddr);
      vector.setIovecs(messages, firstIovec, iovecs - firstIovec);
      vector.setSegment(messages, count === 1 ? 0 : segment);
      this.#first[messages] = start;
      this.#count[messages++] = count;
    }
    return messages;
  }

  #fits(index: number, to: UdpAddress, segment: number, whole: number, count: number): boolean {
    const length = this.#length[index] as number;
    if (length === 0 || length > segment || whole + length > maxMessageBytes || count === maxSegments) return false;
    return (this.#to[index] as UdpAddress).equals(to);
  }

  #sendMessages(lane: SendLane, fd: number, messages: number): void {
    let message = 0;
    while (message < messages) {
      const outcome = this.#libc.sendMessages(fd, this.#vector.headerPointer(message), messages - message);
      lane.called();
      if (outcome > 0) {
        for (let i = 0; i < outcome; i++) lane.sent(this.#count[message++] as number);
      } else if (outcome === -errno.EAGAIN) {
        this.#keepFrom(lane, this.#first[message] as number);
        return;
      } else if (outcome !== -errno.EINTR) {
        this.#refused(lane, fd, message++, -outcome);
      }
    }
  }

  /** The message did not go; those after it still may. */
  #refused(lane: SendLane, fd: number, message: number, code: number): void {
    const count = this.#count[message] as number;
    if (count === 1 || !segmentErrors.has(code)) {
      lane.lost(count, code);
      return;
    }
    // EIO: the device cannot checksum, so it never will. The others: this route's MTU is smaller than a segment.
    if (code === errno.EIO || code === errno.EOPNOTSUPP) lane.segmenting = false;
    lane.unsegmented();
    let index = this.#first[message] as number;
    // The first entry's address is used for sending one: those before this message have gone.
    for (let i = 0; i < count; i++) {
      const outcome = this.#sendDatagram(fd, index);
      lane.called();
      if (outcome >= 0) lane.sent(1);
      else lane.lost(1, outcome === -errno.EAGAIN ? errno.ENOBUFS : -outcome);
      index = this.#next[index] as number;
    }
  }

  #keepFrom(lane: SendLane, first: number): void {
    lane.blocked();
    for (let index = first; index !== -1; index = this.#next[index] as number) {
      const at = this.#at[index] as number;
      lane.keep(this.bytes.subarray(at, at + (this.#length[index] as number)), this.#to[index] ?? null);
    }
  }

  #sendStream(lane: SendLane, fd: number, first: number): void {
    const vector = this.#vector;
    let iovecs = 0;
    let rangeAt = 0;
    let end = -1;
    let whole = 0;
    for (let index = first; index !== -1; index = this.#next[index] as number) {
      const at = this.#at[index] as number;
      const length = this.#length[index] as number;
      if (at !== end) {
        rangeAt = at;
        iovecs++;
      }
      end = at + length;
      vector.setRange(iovecs - 1, rangeAt, end - rangeAt);
      whole += length;
    }
    let outcome: number;
    do {
      outcome =
        iovecs === 1 ? this.#libc.sendTo(fd, vector.dataPointer(rangeAt), whole, 0, 0) : this.#gather(fd, iovecs);
      lane.called();
    } while (outcome === -errno.EINTR);
    if (outcome === whole) lane.sent(this.#lengthOf(first));
    else if (outcome < 0 && outcome !== -errno.EAGAIN) lane.lost(this.#lengthOf(first), -outcome);
    else this.#keepRest(lane, first, Math.max(0, outcome));
  }

  /** Returns how many bytes went, or `-errno`. */
  #gather(fd: number, iovecs: number): number {
    const vector = this.#vector;
    vector.setNoAddress(0);
    vector.setIovecs(0, 0, iovecs);
    vector.setSegment(0, 0);
    const outcome = this.#libc.sendMessages(fd, vector.headerPointer(0), 1);
    return outcome < 0 ? outcome : vector.sentBytes(0);
  }

  #keepRest(lane: SendLane, first: number, gone: number): void {
    lane.blocked();
    let skip = gone;
    for (let index = first; index !== -1; index = this.#next[index] as number) {
      const at = this.#at[index] as number;
      const length = this.#length[index] as number;
      if (skip < length) lane.keep(this.bytes.subarray(at + skip, at + length), null);
      skip = Math.max(0, skip - length);
    }
  }

  #lengthOf(first: number): number {
    let count = 0;
    for (let index = first; index !== -1; index = this.#next[index] as number) count++;
    return count;
  }
}

const segmentErrors: ReadonlySet<number> = new Set([errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP]);
