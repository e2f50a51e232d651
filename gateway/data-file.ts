import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * Writes a file of the data folder whole or not at all, with exactly this mode even where an older one had another;
 * makes the folder, for its owner alone.
 */
export async function writeDataFile(file: string, content: string, mode: number): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.${String(process.pid)}.new`;
  await rm(fresh, { force: true });
  await writeFile(fresh, content, { mode, flag: 'wx' });
  await rename(fresh, file);
}
