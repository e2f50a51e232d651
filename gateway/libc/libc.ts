/**
 * The few system calls that Node does not offer, through koffi. Buffers are passed by address, which is four times
 * cheaper than by object, and every call returns `-errno` on failure. Linux with 64-bit pointers, little-endian.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import type * as KoffiModule from 'koffi';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { formatAddress } from '../addresses.ts';
import { sockaddrBytes } from './udp-address.ts';
import { bindUvPoll } from './uv-poll.ts';

type Koffi = typeof KoffiModule;

export interface Libc {
  /** Copies up to `length` bytes that wait in a socket to an address, and leaves them there. 0: the peer has ended. */
  peek(fd: number, address: number, length: number): number;
  /** The same, but takes the bytes out of the socket. */
  take(fd: number, address: number, length: number): number;
  /** A second descriptor of the same socket, closed on exec. */
  duplicate(fd: number): number;
  close(fd: number): number;
  /** The next connection of a listening socket, as a descriptor that does not block; {@link acceptedFrom} is its peer. */
  accept(fd: number): number;
  acceptedFrom(): TransportAddress;
  setOption(fd: number, option: SocketOption, value: number): number;
  getOption(fd: number, option: SocketOption): number;
  /** True when the peer has ended or reset the connection, whether or not bytes still wait. */
  hungUp(fd: number): boolean;
  /** True when a connection is over in both directions: nothing can be sent any more. */
  isOver(fd: number): boolean;
  /** A number that no other socket of this machine has or will have, however often its descriptor is used again. */
  cookie(fd: number): number;
  /** Bytes that a TCP connection has received, whether or not they were read. */
  bytesReceived(fd: number): number;
  /** Ends a connection both ways, whoever has descriptors of it. */
  shutdown(fd: number): number;
  /** sendmmsg(2) and recvmmsg(2), without blocking: how many messages went, or `-errno` of the first one. */
  sendMessages(fd: number, vectorAddress: number, count: number): number;
  receiveMessages(fd: number, vectorAddress: number, count: number): number;
  /** sendto(2) without blocking: 0 or more, or `-errno`. */
  sendTo(fd: number, address: number, length: number, sockaddr: number, sockaddrLength: number): number;
  /** An epoll set of its own, closed on exec. */
  createReadySet(): number;
  /** Watches a descriptor for reading; `key` is what {@link takeReady} tells of it. */
  addToReadySet(set: number, fd: number, key: number): number;
  removeFromReadySet(set: number, fd: number): number;
  /** How many descriptors can be read, at most {@link maxReady}; then {@link readyKey} tells which. */
  takeReady(set: number): number;
  readyKey(index: number): number;
  /**
   * Calls back, from the event loop's phase for sockets, while the descriptor can be read. Unlike a callback of Node's
   * own it does not run what `process.nextTick` and promises have waiting. It must not throw. For ever: there is no way
   * back. Null where that cannot be done.
   */
  watch(fd: number, onReadable: () => void): Watch | null;
  /** Where the bytes are. Valid while the array is referenced; it must have an ArrayBuffer of its own. */
  addressOf(bytes: Uint8Array): number;
}

/** Keeps the process alive unless `unref` was called. */
export interface Watch {
  ref(): void;
  unref(): void;
}

interface SocketOption {
  readonly level: number;
  readonly name: number;
}

const socketLevel = 1;
const cookieName = 57;
const cookieBytes = 8;
const tcpLevel = 6;
const tcpInfoName = 11;
/** `struct tcp_info` up to `tcpi_bytes_received`. */
const tcpInfoBytes = 136;
const bytesReceivedAt = 128;
const shutdownBoth = 2;
const udpLevel = 17;

export const socketOption = {
  tcpNoDelay: { level: tcpLevel, name: 1 },
  tcpDeferAccept: { level: tcpLevel, name: 9 },
  tcpNotSentLowWater: { level: tcpLevel, name: 25 },
  udpSegment: { level: udpLevel, name: 103 },
} as const satisfies Record<string, SocketOption>;

/** What the callers tell apart; the same numbers on every Linux that is supported here. */
export const errno = {
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  EINVAL: 22,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  ENOBUFS: 105,
} as const;

const msgPeek = 0x2;
const msgDontWait = 0x40;
const msgNoSignal = 0x4000;
const dupCloexec = 1030;
const sockCloexec = 0x80000;
const sockNonBlock = 0x800;
const familyInet = 2;
const pollReadHangUp = 0x2000;
const pollError = 0x8;
const pollHangUp = 0x10;

const epollCloexec = 0x80000;
const epollAdd = 1;
const epollDelete = 2;
const epollReadable = 1;
/** Descriptors that {@link Libc.takeReady} tells of at once. */
export const maxReady = 64;
/** struct epoll_event is packed on x86-64 alone. */
const epollEventBytes = process.arch === 'x64' ? 12 : 16;
const epollKeyAt = process.arch === 'x64' ? 4 : 8;

const libraryNames = ['libc.so.6', `libc.musl-${muslArchitecture()}.so.1`, null];

let loaded: { readonly libc: Libc | null; readonly reason: string | null } | null = null;

/** Loads once. Null where this system is not supported or koffi has no binary; {@link libcAbsence} says why. */
export function loadLibc(): Libc | null {
  loaded ??= load();
  return loaded.libc;
}

/** Why {@link loadLibc} returns null, for the log; null if it does not. */
export function libcAbsence(): string | null {
  loaded ??= load();
  return loaded.reason;
}

function load(): { readonly libc: Libc | null; readonly reason: string | null } {
  if (process.platform !== 'linux') return { libc: null, reason: `the platform is ${process.platform}, not linux` };
  if (endianness() !== 'LE') return { libc: null, reason: 'the machine is big-endian' };
  try {
    // Not a static import: a module without a binary for this system would end the process.
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    if (koffi.sizeof('void *') !== 8) return { libc: null, reason: 'pointers do not have 64 bits' };
    if (!isMainThread) return { libc: null, reason: 'this is a worker thread' };
    return { libc: bind(koffi), reason: null };
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
    return { libc: null, reason: `koffi does not load: ${why}` };
  }
}

function bind(koffi: Koffi): Libc {
  const library = openLibrary(koffi);
  const recv: (fd: number, address: number, length: number, flags: number) => number = library.func(
    'long recv(int fd, uintptr_t buffer, size_t length, int flags)',
  );
  const fcntl: (fd: number, command: number, value: number) => number = library.func(
    'int fcntl(int fd, int command, int value)',
  );
  const close: (fd: number) => number = library.func('int close(int fd)');
  const setsockopt: (fd: number, level: number, name: number, address: number, length: number) => number = library.func(
    'int setsockopt(int fd, int level, int name, uintptr_t value, uint32_t length)',
  );
  const getsockopt: (fd: number, level: number, name: number, address: number, lengthAt: number) => number =
    library.func('int getsockopt(int fd, int level, int name, uintptr_t value, uintptr_t length)');
  const accept4: (fd: number, sockaddr: number, length: number, flags: number) => number = library.func(
    'int accept4(int fd, uintptr_t sockaddr, uintptr_t length, int flags)',
  );
  const poll: (address: number, count: number, timeout: number) => number = library.func(
    'int poll(uintptr_t fds, ulong count, int timeout)',
  );
  const shutdown: (fd: number, how: number) => number = library.func('int shutdown(int fd, int how)');
  const sendmmsg: (fd: number, vector: number, count: number, flags: number) => number = library.func(
    'int sendmmsg(int fd, uintptr_t vector, uint count, int flags)',
  );
  const recvmmsg: (fd: number, vector: number, count: number, flags: number, timeout: number) => number = library.func(
    'int recvmmsg(int fd, uintptr_t vector, uint count, int flags, uintptr_t timeout)',
  );
  const sendto: (
    fd: number,
    address: number,
    length: number,
    flags: number,
    sockaddr: number,
    sockaddrLength: number,
  ) => number = library.func(
    'long sendto(int fd, uintptr_t buffer, size_t length, int flags, uintptr_t sockaddr, uint32_t sockaddrLength)',
  );
  const epollCreate: (flags: number) => number = library.func('int epoll_create1(int flags)');
  const epollControl: (set: number, operation: number, fd: number, event: number) => number = library.func(
    'int epoll_ctl(int set, int operation, int fd, uintptr_t event)',
  );
  const epollWait: (set: number, events: number, count: number, timeout: number) => number = library.func(
    'int epoll_wait(int set, uintptr_t events, int count, int timeout)',
  );
  // Small typed arrays live in the engine's heap and move; one with a buffer of its own stays where it is.
  const scratch = new DataView(new ArrayBuffer(4096));
  const addressOf = (bytes: Uint8Array): number => Number(koffi.address(bytes));
  const scratchAddress = addressOf(new Uint8Array(scratch.buffer));
  const ready = new DataView(new ArrayBuffer(maxReady * epollEventBytes));
  const readyAddress = addressOf(new Uint8Array(ready.buffer));
  const result = (value: number): number => (value < 0 ? -koffi.errno() : value);
  /** What poll(2) says of a socket. */
  const polled = (fd: number): number => {
    scratch.setInt32(0, fd, true);
    scratch.setInt16(4, pollReadHangUp, true);
    scratch.setInt16(6, 0, true);
    return poll(scratchAddress, 1, 0) <= 0 ? 0 : scratch.getInt16(6, true);
  };
  /** An option whose value is longer than a number; `at` is where the wanted 64 bits are in it. */
  const wideOption = (fd: number, level: number, name: number, bytes: number, at: number): number => {
    scratch.setInt32(0, bytes, true);
    const outcome = result(getsockopt(fd, level, name, scratchAddress + 8, scratchAddress));
    if (outcome < 0) return outcome;
    if (scratch.getInt32(0, true) < at + 8) return -errno.EINVAL;
    return scratch.getUint32(8 + at, true) + scratch.getUint32(12 + at, true) * 2 ** 32;
  };
  return {
    peek: (fd, address, length) => result(recv(fd, address, length, msgPeek | msgDontWait)),
    take: (fd, address, length) => result(recv(fd, address, length, msgDontWait)),
    duplicate: (fd) => result(fcntl(fd, dupCloexec, 0)),
    close: (fd) => result(close(fd)),
    accept: (fd) => {
      scratch.setUint32(0, sockaddrBytes.udp6, true);
      return result(accept4(fd, scratchAddress + 8, scratchAddress, sockNonBlock | sockCloexec));
    },
    acceptedFrom: () => {
      const ipv4 = scratch.getUint16(8, true) === familyInet;
      const bytes = ipv4 ? new Uint8Array(scratch.buffer, 12, 4) : new Uint8Array(scratch.buffer, 16, 16);
      return { address: formatAddress(bytes), port: scratch.getUint16(10) };
    },
    setOption: (fd, { level, name }, value) => {
      scratch.setInt32(0, value, true);
      return result(setsockopt(fd, level, name, scratchAddress, 4));
    },
    getOption: (fd, { level, name }) => {
      scratch.setInt32(0, 0, true);
      scratch.setInt32(4, 4, true);
      const outcome = result(getsockopt(fd, level, name, scratchAddress, scratchAddress + 4));
      return outcome < 0 ? outcome : scratch.getInt32(0, true);
    },
    hungUp: (fd) => (polled(fd) & (pollReadHangUp | pollError | pollHangUp)) !== 0,
    isOver: (fd) => (polled(fd) & pollHangUp) !== 0,
    cookie: (fd) => wideOption(fd, socketLevel, cookieName, cookieBytes, 0),
    bytesReceived: (fd) => wideOption(fd, tcpLevel, tcpInfoName, tcpInfoBytes, bytesReceivedAt),
    shutdown: (fd) => result(shutdown(fd, shutdownBoth)),
    sendMessages: (fd, vector, count) => result(sendmmsg(fd, vector, count, msgDontWait | msgNoSignal)),
    receiveMessages: (fd, vector, count) => result(recvmmsg(fd, vector, count, msgDontWait, 0)),
    sendTo: (fd, address, length, sockaddr, sockaddrLength) =>
      result(sendto(fd, address, length, msgDontWait | msgNoSignal, sockaddr, sockaddrLength)),
    createReadySet: () => result(epollCreate(epollCloexec)),
    addToReadySet: (set, fd, key) => {
      scratch.setUint32(0, epollReadable, true);
      scratch.setUint32(epollKeyAt, key, true);
      scratch.setUint32(epollKeyAt + 4, 0, true);
      return result(epollControl(set, epollAdd, fd, scratchAddress));
    },
    removeFromReadySet: (set, fd) => result(epollControl(set, epollDelete, fd, scratchAddress)),
    takeReady: (set) => result(epollWait(set, readyAddress, maxReady, 0)),
    readyKey: (index) => ready.getUint32(index * epollEventBytes + epollKeyAt, true),
    watch: bindUvPoll(koffi, addressOf),
    addressOf,
  };
}

/** By glibc's name, by musl's, and at last whatever the process itself was linked with. */
function openLibrary(koffi: Koffi): KoffiModule.LibraryHandle {
  let fault: unknown;
  for (const name of libraryNames) {
    try {
      const library = koffi.load(name);
      library.func('int recvmmsg(int fd, uintptr_t vector, uint count, int flags, uintptr_t timeout)');
      return library;
    } catch (error) {
      fault ??= error;
    }
  }
  throw fault;
}

function muslArchitecture(): string {
  return { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? process.arch;
}
