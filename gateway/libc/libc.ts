/**
 * The few system calls that Node does not offer, through koffi. Buffers are passed by address, which is four times
 * cheaper than by object, and every call returns `-errno` on failure. Linux with 64-bit pointers, little-endian.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import type * as KoffiModule from 'koffi';

type Koffi = typeof KoffiModule;

export interface Libc {
  /** Copies up to `length` bytes that wait in a socket to an address, and leaves them there. 0: the peer has ended. */
  peek(fd: number, address: number, length: number): number;
  /** The same, but takes the bytes out of the socket. */
  take(fd: number, address: number, length: number): number;
  /** A second descriptor of the same socket, closed on exec. */
  duplicate(fd: number): number;
  close(fd: number): number;
  setOption(fd: number, option: SocketOption, value: number): number;
  getOption(fd: number, option: SocketOption): number;
  /** True when the peer has ended or reset the connection, whether or not bytes still wait. */
  hungUp(fd: number): boolean;
  /** sendmmsg(2) and recvmmsg(2), without blocking: how many messages went, or `-errno` of the first one. */
  sendMessages(fd: number, vectorAddress: number, count: number): number;
  receiveMessages(fd: number, vectorAddress: number, count: number): number;
  /** Where the bytes are. Valid while the array is referenced; it must have an ArrayBuffer of its own. */
  addressOf(bytes: Uint8Array): number;
}

interface SocketOption {
  readonly level: number;
  readonly name: number;
}

const tcpLevel = 6;
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
const pollReadHangUp = 0x2000;
const pollError = 0x8;
const pollHangUp = 0x10;

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
  const poll: (address: number, count: number, timeout: number) => number = library.func(
    'int poll(uintptr_t fds, ulong count, int timeout)',
  );
  const sendmmsg: (fd: number, vector: number, count: number, flags: number) => number = library.func(
    'int sendmmsg(int fd, uintptr_t vector, uint count, int flags)',
  );
  const recvmmsg: (fd: number, vector: number, count: number, flags: number, timeout: number) => number = library.func(
    'int recvmmsg(int fd, uintptr_t vector, uint count, int flags, uintptr_t timeout)',
  );
  // Small typed arrays live in the engine's heap and move; one with a buffer of its own stays where it is.
  const scratch = new DataView(new ArrayBuffer(4096));
  const addressOf = (bytes: Uint8Array): number => Number(koffi.address(bytes));
  const scratchAddress = addressOf(new Uint8Array(scratch.buffer));
  const result = (value: number): number => (value < 0 ? -koffi.errno() : value);
  return {
    peek: (fd, address, length) => result(recv(fd, address, length, msgPeek | msgDontWait)),
    take: (fd, address, length) => result(recv(fd, address, length, msgDontWait)),
    duplicate: (fd) => result(fcntl(fd, dupCloexec, 0)),
    close: (fd) => result(close(fd)),
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
    hungUp: (fd) => {
      scratch.setInt32(0, fd, true);
      scratch.setInt16(4, pollReadHangUp, true);
      scratch.setInt16(6, 0, true);
      if (poll(scratchAddress, 1, 0) <= 0) return false;
      return (scratch.getInt16(6, true) & (pollReadHangUp | pollError | pollHangUp)) !== 0;
    },
    sendMessages: (fd, vector, count) => result(sendmmsg(fd, vector, count, msgDontWait | msgNoSignal)),
    receiveMessages: (fd, vector, count) => result(recvmmsg(fd, vector, count, msgDontWait, 0)),
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
