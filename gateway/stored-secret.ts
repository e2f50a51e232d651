/** The secret that signs tokens, where none is configured: made at random once and kept in the data folder. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeDataFile } from './data-file.ts';
import { Secret } from './secret.ts';

function secretFile(dataDir: string): string {
  return path.join(dataDir, 'secret');
}

/** Null if there is none yet. */
export async function readStoredSecret(dataDir: string): Promise<Secret | null> {
  try {
    const text = (await readFile(secretFile(dataDir), 'utf8')).trim();
    return text === '' ? null : new Secret(text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Kept, so that `sallyport token` can sign for this edge, and tokens outlive a restart. */
export async function readOrMakeStoredSecret(dataDir: string): Promise<Secret> {
  const stored = await readStoredSecret(dataDir);
  if (stored !== null) return stored;
  const made = randomBytes(32).toString('base64url');
  await writeDataFile(secretFile(dataDir), `${made}\n`, 0o600);
  return new Secret(made);
}
