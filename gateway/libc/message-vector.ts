/**
 * An array of struct mmsghdr with what its entries point to, in one piece of memory: headers, iovecs, one address each,
 * one control message each, and the bytes of the datagrams. 64-bit, little-endian; the layouts of glibc and musl agree
 * there.
 */
import type { Libc } from './libc.ts';

const headerBytes = 64;
const iovecBytes = 16;
/** sizeof(struct sockaddr_in6), rounded up. */
const addressBytes = 32;
/** CMSG_SPACE and CMSG_LEN of 16 bits. */
const controlBytes = 24;
const controlUsedBytes = 18;
const udpLevel = 17;
const udpSegmentType = 103;
const truncatedFlag = 0x20;

export class MessageVector {
  readonly capacity: number;
  readonly dataBytes: number;
  /** The bytes of the datagrams. */
  readonly data: Uint8Array;
  /** Everything; socket addresses are at {@link addressAt}. */
  readonly memory: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  readonly #iovecs: number;
  readonly #addresses: number;
  readonly #controls: number;
  readonly #dataStart: number;

  /** As many entries as iovecs: entry `i` is given iovec `i`, and an empty one. */
  constructor(libc: Libc, capacity: number, dataBytes: number) {
    this.capacity = capacity;
    this.dataBytes = dataBytes;
    this.#iovecs = capacity * headerBytes;
    this.#addresses = this.#iovecs + capacity * iovecBytes;
    this.#controls = this.#addresses + capacity * addressBytes;
    this.#dataStart = this.#controls + capacity * controlBytes;
    const buffer = new ArrayBuffer(this.#dataStart + dataBytes);
    this.memory = new Uint8Array(buffer);
    this.data = this.memory.subarray(this.#dataStart);
    this.#view = new DataView(buffer);
    this.#base = libc.addressOf(this.memory);
    for (let i = 0; i < capacity; i++) this.#prepare(i);
  }

  /** The machine address of an entry's header. */
  headerPointer(index: number): number {
    return this.#base + index * headerBytes;
  }

  /** The machine address of an entry's socket address. */
  addressPointer(index: number): number {
    return this.#base + this.addressAt(index);
  }

  /** `at` counts from the start of {@link data}. */
  dataPointer(at: number): number {
    return this.#base + this.#dataStart + at;
  }

  /** Where in {@link memory} an entry's socket address is. */
  addressAt(index: number): number {
    return this.#addresses + index * addressBytes;
  }

  setAddress(index: number, sockaddr: Uint8Array): void {
    const { memory } = this;
    const { length } = sockaddr;
    const at = this.addressAt(index);
    for (let i = 0; i < length; i++) memory[at + i] = sockaddr[i] as number;
    this.#view.setUint32(index * headerBytes + 8, length, true);
  }

  /** For a connected socket. */
  setNoAddress(index: number): void {
    this.#view.setUint32(index * headerBytes + 8, 0, true);
  }

  /** The entry consists of these iovecs, one after the other. */
  setIovecs(index: number, first: number, count: number): void {
    this.#putPointer(index * headerBytes + 16, this.#base + this.#iovecs + first * iovecBytes);
    this.#view.setUint32(index * headerBytes + 24, count, true);
  }

  /** `at` counts from the start of {@link data}. */
  setRange(iovec: number, at: number, length: number): void {
    const start = this.#iovecs + iovec * iovecBytes;
    this.#putPointer(start, this.dataPointer(at));
    this.#view.setUint32(start + 8, length, true);
  }

  /** The kernel cuts the entry's bytes into datagrams of that size; 0: it is one datagram. */
  setSegment(index: number, bytes: number): void {
    this.#view.setUint32(index * headerBytes + 40, bytes === 0 ? 0 : controlBytes, true);
    if (bytes !== 0) this.#view.setUint16(this.#controls + index * controlBytes + 16, bytes, true);
  }

  /** What recvmmsg changed is put back. */
  rearm(index: number): void {
    this.#view.setUint32(index * headerBytes + 8, addressBytes, true);
  }

  /** Bytes of the entry that the kernel has sent. */
  sentBytes(index: number): number {
    return this.#view.getUint32(index * headerBytes + 56, true);
  }

  /** Bytes that the kernel received into the entry, or -1 if the datagram was longer than its room. */
  received(index: number): number {
    const header = index * headerBytes;
    if ((this.#view.getUint32(header + 48, true) & truncatedFlag) !== 0) return -1;
    return this.#view.getUint32(header + 56, true);
  }

  #prepare(index: number): void {
    const header = index * headerBytes;
    this.#putPointer(header, this.addressPointer(index));
    this.rearm(index);
    this.setIovecs(index, index, 1);
    const control = this.#controls + index * controlBytes;
    this.#putPointer(header + 32, this.#base + control);
    this.#view.setUint32(control, controlUsedBytes, true);
    this.#view.setUint32(control + 8, udpLevel, true);
    this.#view.setUint32(control + 12, udpSegmentType, true);
  }

  #putPointer(at: number, value: number): void {
    this.#view.setUint32(at, value % 0x1_0000_0000, true);
    this.#view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }
}
