import { stat } from 'node:fs/promises';
import type { CertificateFiles } from './certificates.ts';

/** Looks again and again, one look after the other, until the returned function is called. */
type Repeat = (look: () => Promise<void>, intervalMs: number) => () => void;

const byTimer: Repeat = (look, intervalMs) => {
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    void look().finally(() => {
      busy = false;
    });
  }, intervalMs).unref();
  return () => {
    clearInterval(timer);
  };
};

/**
 * Calls `changed` when any of the files has another time or size than before. Looks instead of listening, because files are
 * replaced by renaming and behind symbolic links, where listening loses them. Returns what ends it.
 */
export function watchCertificate(
  files: readonly CertificateFiles[],
  intervalMs: number,
  changed: () => Promise<void>,
  repeat: Repeat = byTimer,
): () => void {
  let seen: string | null = null;
  const look = async (): Promise<void> => {
    const now = await stamp(files);
    if (now === null || now === seen) return;
    const first = seen === null;
    seen = now;
    if (!first) await changed();
  };
  const first = look();
  return repeat(async () => {
    await first;
    await look();
  }, intervalMs);
}

/** Null while a file is not there: somebody is about to put it. */
async function stamp(files: readonly CertificateFiles[]): Promise<string | null> {
  try {
    const stats = await Promise.all(files.flatMap(({ certFile, keyFile }) => [stat(certFile), stat(keyFile)]));
    return stats.map(({ mtimeMs, size, ino }) => `${String(mtimeMs)} ${String(size)} ${String(ino)}`).join();
  } catch {
    return null;
  }
}
