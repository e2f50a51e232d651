/** The system calls of the link emulator, through koffi. Each returns `-errno` on failure. Linux, 64-bit, little-endian. */
import { createRequire } from 'node:module';
import type * as KoffiModule from 'koffi';

export interface SystemCalls {
  /** A TUN device of this name in this process's network namespace; it lives as long as the descriptor. */
  openTun(name: string): number;
  /** One packet; `-EAGAIN` when none waits. */
  read(fd: number, address: number, length: number): number;
  write(fd: number, address: number, length: number): number;
  /** Waits until one of the descriptors can be read or `timeoutMs` (fractions count) have passed. */
  wait(descriptors: DescriptorSet, timeoutMs: number): number;
  /** Lets this thread go before all that is not real-time (sched(7), SCHED_RR), as a network card does. */
  runFirst(): number;
  /** Where the bytes are; the array must have an ArrayBuffer of its own and stay referenced. */
  addressOf(bytes: Uint8Array): number;
}

/** What {@link SystemCalls.wait} watches: an array of `struct pollfd`. */
export class DescriptorSet {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(descriptors: readonly number[]) {
    this.#view = new DataView(new ArrayBuffer(descriptors.length * pollEntryBytes));
    this.bytes = new Uint8Array(this.#view.buffer);
    for (const [index, fd] of descriptors.entries()) {
      this.#view.setInt32(index * pollEntryBytes, fd, true);
      this.#view.setInt16(index * pollEntryBytes + 4, pollIn, true);
    }
  }

  get size(): number {
    return this.bytes.length / pollEntryBytes;
  }

  /** Whether the last wait found the descriptor readable, ended or failed. */
  isReady(index: number): boolean {
    return this.#view.getInt16(index * pollEntryBytes + 6, true) !== 0;
  }
}

const pollEntryBytes = 8;
const pollIn = 0x1;
const roundRobin = 2;
const realTimePriority = 1;
const openReadWrite = 0o2;
const openNonBlocking = 0o4000;
/** `TUNSETIFF` of linux/if_tun.h, and `struct ifreq` with the flags behind the name. */
const tunSetInterface = 0x400454ca;
const interfaceRequestBytes = 40;
const interfaceNameBytes = 16;
const tunWithoutPacketInfo = 0x1001;

/** Throws where koffi has no binary. */
export function loadSystemCalls(): SystemCalls {
  const koffi = createRequire(import.meta.url)('koffi') as typeof KoffiModule;
  const library = koffi.load('libc.so.6');
  const open: (path: string, flags: number) => number = library.func('int open(const char *path, int flags)');
  const ioctl: (fd: number, request: number, argument: number) => number = library.func(
    'int ioctl(int fd, ulong request, uintptr_t argument)',
  );
  const close: (fd: number) => number = library.func('int close(int fd)');
  const read: (fd: number, address: number, length: number) => number = library.func(
    'long read(int fd, uintptr_t buffer, size_t length)',
  );
  const write: (fd: number, address: number, length: number) => number = library.func(
    'long write(int fd, uintptr_t buffer, size_t length)',
  );
  const ppoll: (address: number, count: number, timeout: number, signals: number) => number = library.func(
    'int ppoll(uintptr_t fds, ulong count, uintptr_t timeout, uintptr_t signals)',
  );
  const schedule: (pid: number, policy: number, parameters: number) => number = library.func(
    'int sched_setscheduler(int pid, int policy, uintptr_t parameters)',
  );
  const result = (value: number): number => (value < 0 ? -koffi.errno() : value);
  const addressOf = (bytes: Uint8Array): number => Number(koffi.address(bytes));
  // A struct timespec of two 64-bit numbers; both stay below 2³².
  const timeout = new Uint32Array(new ArrayBuffer(16));
  const timeoutAddress = addressOf(new Uint8Array(timeout.buffer));
  return {
    openTun: (name) => {
      const fd = result(open('/dev/net/tun', openReadWrite | openNonBlocking));
      if (fd < 0) return fd;
      const request = new Uint8Array(new ArrayBuffer(interfaceRequestBytes));
      request.set(new TextEncoder().encode(name).subarray(0, interfaceNameBytes - 1));
      new DataView(request.buffer).setInt16(interfaceNameBytes, tunWithoutPacketInfo, true);
      const outcome = result(ioctl(fd, tunSetInterface, addressOf(request)));
      if (outcome < 0) close(fd);
      return outcome < 0 ? outcome : fd;
    },
    read: (fd, address, length) => result(read(fd, address, length)),
    write: (fd, address, length) => result(write(fd, address, length)),
    wait: (descriptors, timeoutMs) => {
      const nanoseconds = Math.round(Math.max(0, timeoutMs) * 1e6);
      timeout[0] = Math.floor(nanoseconds / 1e9);
      timeout[2] = nanoseconds % 1e9;
      return result(ppoll(addressOf(descriptors.bytes), descriptors.size, timeoutAddress, 0));
    },
    runFirst: () => {
      const parameters = new Int32Array(new ArrayBuffer(4)).fill(realTimePriority);
      return result(schedule(0, roundRobin, addressOf(new Uint8Array(parameters.buffer))));
    },
    addressOf,
  };
}
