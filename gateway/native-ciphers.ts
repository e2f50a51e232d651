import type { BindNativeCiphers } from '../tunnel-protocol/index.ts';
import type { Logger } from '../sfu/index.ts';
import { loadOpenssl, opensslAbsence, type Libc } from './libc/index.ts';

/** OpenSSL for SRTP, where system calls are made directly as well; the log hears of it where it is missing. */
export function nativeCiphers(libc: Libc | null, log: Logger): BindNativeCiphers | null {
  if (libc === null) return null;
  const reason = opensslAbsence();
  if (reason !== null) log.warn({ reason }, 'media is encrypted by WebAssembly, at ten times the CPU');
  return loadOpenssl();
}
