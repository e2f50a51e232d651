/** What an SFU's process does with recordings: a folder where they are written, and the storage that they go to. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger, RecordingDeps } from '../../sfu/index.ts';
import type { Config } from '../config.ts';
import { writeDataFile } from '../data-file.ts';
import { FolderStorage, S3Client, S3Storage, type Storage } from '../storage/index.ts';
import { FolderStore, manifestName, reserveName } from './folder-store.ts';

export interface Recordings {
  /** For the SFU. */
  readonly deps: RecordingDeps;
  readonly storage: Storage;
  close(): Promise<void>;
}

/** Sees to what an earlier process left behind, too. Never fails: a folder that cannot be used fails each recording. */
export async function openRecordings(
  { storage: wanted, dataDir }: Pick<Config, 'storage' | 'dataDir'>,
  log: Logger,
): Promise<Recordings> {
  const folder = wanted.kind === 'folder' ? wanted.folder : path.join(dataDir, 'recordings');
  const storage =
    wanted.kind === 'folder'
      ? new FolderStorage()
      : new S3Storage({
          client: new S3Client({
            endpoint: wanted.endpoint,
            bucket: wanted.bucket,
            key: {
              accessKeyId: wanted.accessKeyId,
              secretAccessKey: wanted.secretAccessKey.reveal(),
              region: wanted.region,
            },
          }),
          prefix: wanted.prefix,
          log,
          random: Math.random,
        });
  const store = new FolderStore(folder, {
    finished: (recording) => {
      storage.add(recording);
    },
  });
  for (const left of await leftBehind(folder, log)) storage.add(left);
  return { deps: { store, wallClock: Date.now }, storage, close: () => storage.close() };
}

/** Recordings of an earlier process. Those that it could not end say so from now on. */
async function leftBehind(folder: string, log: Logger): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$/.test(name)) continue;
    const recording = path.join(folder, name);
    try {
      await rm(path.join(recording, reserveName), { force: true });
      await endManifest(path.join(recording, manifestName));
    } catch (error) {
      log.warn({ recording: name, err: error }, 'what an earlier process recorded has no readable description');
    }
    found.push(recording);
  }
  return found;
}

async function endManifest(file: string): Promise<void> {
  const manifest = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  if (manifest['endedBy'] != null) return;
  const { mtime } = await stat(file);
  const ended = { ...manifest, endedAt: mtime.toISOString(), endedBy: 'crash' };
  await writeDataFile(file, `${JSON.stringify(ended, null, 2)}\n`, 0o600);
}
