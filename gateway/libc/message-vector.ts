/**
 * An array of struct mmsghdr with what its entries point to, in one piece of memory: headers, one iovec each, one
 * address each, one control message each, and the bytes of the datagrams. 64-bit, little-endian; the layouts of glibc
 * and musl agree there.
 */
import type { Libc } from './libc.ts';
import { sockaddrBytes, type UdpFamily } from './udp-address.ts';

const headerBytes = 64;
const iovecBytes = 16;
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
  /** Everything; addresses begin at {@link addressAt}. */
  readonly memory: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  readonly #iovecs: number;
  readonly #addresses: number;
  readonly #controls: number;
  readonly #dataStart: number;
  readonly #nameBytes: number;

  constructor(libc: Libc, family: UdpFamily, capacity: number, dataBytes: number) {
    this.capacity = capacity;
    this.dataBytes = dataBytes;
    this.#iovecs = capacity * headerBytes;
    this.#addresses = this.#iovecs + capacity * iovecBytes;
    this.#controls = this.#addresses + capacity * addressBytes;
    this.#dataStart = this.#controls + capacity * controlBytes;
    this.#nameBytes = sockaddrBytes[family];
    const buffer = new ArrayBuffer(this.#dataStart + dataBytes);
    this.memory = new Uint8Array(buffer);
    this.data = this.memory.subarray(this.#dataStart);
    this.#view = new DataView(buffer);
    this.#base = libc.addressOf(this.memory);
    for (let i = 0; i < capacity; i++) this.#prepare(i);
  }

  /** The machine address of an entry's header. */
  headerAddress(index: number): number {
    return this.#base + index * headerBytes;
  }

  /** Where in {@link memory} an entry's socket address is. */
  addressAt(index: number): number {
    return this.#addresses + index * addressBytes;
  }

  setAddress(index: number, sockaddr: Uint8Array): void {
    this.memory.set(sockaddr, this.addressAt(index));
  }

  /** `at` counts from the start of {@link data}. */
  setRange(index: number, at: number, length: number): void {
    const iovec = this.#iovecs + index * iovecBytes;
    this.#putPointer(iovec, this.#base + this.#dataStart + at);
    this.#view.setUint32(iovec + 8, length, true);
  }

  /** The kernel cuts the entry's bytes into datagrams of that size; 0: it is one datagram. */
  setSegment(index: number, bytes: number): void {
    this.#view.setUint32(index * headerBytes + 40, bytes === 0 ? 0 : controlBytes, true);
    if (bytes !== 0) this.#view.setUint16(this.#controls + index * controlBytes + 16, bytes, true);
  }

  /** What recvmmsg changed is put back. */
  rearm(index: number): void {
    this.#view.setUint32(index * headerBytes + 8, this.#nameBytes, true);
  }

  /** Bytes that the kernel received into the entry, or -1 if the datagram was longer than its room. */
  received(index: number): number {
    const header = index * headerBytes;
    if ((this.#view.getUint32(header + 48, true) & truncatedFlag) !== 0) return -1;
    return this.#view.getUint32(header + 56, true);
  }

  #prepare(index: number): void {
    const header = index * headerBytes;
    this.#putPointer(header, this.#base + this.addressAt(index));
    this.#view.setUint32(header + 8, this.#nameBytes, true);
    this.#putPointer(header + 16, this.#base + this.#iovecs + index * iovecBytes);
    this.#view.setUint32(header + 24, 1, true);
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
