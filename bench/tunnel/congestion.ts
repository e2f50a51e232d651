/** Which congestion control TCP uses, chosen for the sockets of this process: a namespace's own setting cannot be changed. */
import { readdirSync, readlinkSync } from 'node:fs';
import koffi from 'koffi';

const tcpLevel = 6;
const tcpCongestion = 13;

/** For every socket that is open; connections that a listening one accepts later inherit it. Throws if one refuses. */
export function setCongestion(algorithm: string): void {
  const library = koffi.load('libc.so.6');
  const setsockopt = library.func(
    'int setsockopt(int fd, int level, int name, const char *value, uint32_t length)',
  ) as (...values: (number | string)[]) => number;
  const getsockopt = library.func(
    'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
  ) as (fd: number, level: number, name: number, value: Uint8Array, length: number[]) => number;
  let set = 0;
  for (const fd of sockets()) {
    // Sockets of other families refuse.
    if (setsockopt(fd, tcpLevel, tcpCongestion, algorithm, algorithm.length) !== 0) continue;
    const value = new Uint8Array(16);
    if (getsockopt(fd, tcpLevel, tcpCongestion, value, [value.length]) !== 0) continue;
    if (Buffer.from(value).toString('latin1').startsWith(algorithm)) set++;
  }
  if (set === 0) throw new Error(`no socket took the congestion control ${algorithm}`);
}

function sockets(): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:')) found.push(Number(name));
    } catch {
      // The descriptor of the folder itself is gone by now.
    }
  }
  return found;
}
