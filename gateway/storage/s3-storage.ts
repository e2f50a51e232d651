/**
 * Moves finished recordings into an object store. What was stored is written down beside the files, so that another process
 * goes on where this one died; a folder is removed only after the store has shown that it has every byte.
 */
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '../../sfu/index.ts';
import { writeDataFile } from '../data-file.ts';
import { compositeEtag, compositeSha256, S3Error, type S3Client, type StoredPart } from './s3-client.ts';
import type { Storage } from './storage.ts';

/** S3 wants 5 MiB at least. */
export const defaultPartBytes = 8 * 1024 * 1024;
/** It takes no more; larger files have larger parts. */
const maxParts = 10_000;
const mebibyte = 1024 * 1024;
export const retryMs = { first: 1000, most: 300_000 } as const;
const stateName = 'upload.json';
/** It says what the others are, so it comes last: whoever sees it may count on them. */
const lastName = 'recording.json';

export interface S3StorageDeps {
  readonly client: S3Client;
  /** Of the keys, without slashes at its ends; empty for none. */
  readonly prefix: string;
  readonly log: Logger;
  readonly random: () => number;
  readonly partBytes?: number;
  readonly retryMs?: { readonly first: number; readonly most: number };
}

interface FileState {
  uploadId: string | null;
  partBytes: number;
  parts: StoredPart[];
  done: boolean;
}

type UploadState = Record<string, FileState>;

/** The store has other bytes than were sent. */
class WrongChecksum extends Error {
  override readonly name = 'WrongChecksum';
}

export class S3Storage implements Storage {
  stored = 0;
  retries = 0;
  readonly #deps: S3StorageDeps;
  readonly #queue: string[] = [];
  #running: Promise<void> | null = null;
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(deps: S3StorageDeps) {
    this.#deps = deps;
  }

  get pending(): number {
    return this.#queue.length;
  }

  add(folder: string): void {
    this.#queue.push(folder);
    this.#running ??= this.#run();
  }

  /** What is not stored yet is stored by the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#deps.client.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, random } = this.#deps;
    const pause = this.#deps.retryMs ?? retryMs;
    let failures = 0;
    for (let folder = this.#queue[0]; folder !== undefined && !this.#isClosed(); folder = this.#queue[0]) {
      const recording = path.basename(folder);
      try {
        await this.#store(folder);
        failures = 0;
        this.stored++;
        this.#queue.shift();
        log.info({ recording }, 'a recording was stored');
      } catch (error) {
        if (this.#isClosed()) break;
        if (!existsSync(folder)) {
          this.#queue.shift();
          log.warn({ recording }, 'a recording was removed before it was stored');
          continue;
        }
        failures++;
        this.retries++;
        const waitMs = Math.min(pause.most, pause.first * 2 ** Math.min(failures - 1, 20)) * (0.5 + random() / 2);
        log.warn({ recording, err: error, waitMs: Math.round(waitMs) }, 'a recording could not be stored; again later');
        // Others may be luckier: one that cannot be read must not hold them up.
        this.#queue.push(...this.#queue.splice(0, 1));
        await this.#pause(waitMs);
      }
    }
    this.#running = null;
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #store(folder: string): Promise<void> {
    const state = await readState(folder);
    const present = await readdir(folder);
    const names = present.filter((name) => name !== stateName && name !== lastName && !name.endsWith('.new'));
    if (present.includes(lastName)) names.push(lastName);
    for (const name of names) {
      if (state[name]?.done !== true) await this.#storeFile(folder, name, state);
    }
    await rm(folder, { recursive: true });
  }

  async #storeFile(folder: string, name: string, state: UploadState): Promise<void> {
    const { client, prefix } = this.#deps;
    const key = [prefix, path.basename(folder), name].filter((part) => part !== '').join('/');
    const file = path.join(folder, name);
    const { size } = await stat(file);
    const own = (state[name] ??= { uploadId: null, partBytes: 0, parts: [], done: false });
    // Parts that are stored already say how large the others are, whatever the setting is now.
    if (own.uploadId === null) own.partBytes = this.#partBytesFor(size);
    const save = (): Promise<void> => writeDataFile(path.join(folder, stateName), JSON.stringify(state), 0o600);
    try {
      // The answer to the last request of all may have been lost.
      if (own.parts.length > 0 && own.parts.length === partsOf(size, own) && (await this.#isStored(key, size, own))) {
        own.done = true;
        await save();
        return;
      }
      if (size <= own.partBytes) own.parts = [await client.put(key, await readFile(file), typeOf(name))];
      else await this.#storeParts(key, file, size, own, save);
      if (!(await this.#isStored(key, size, own)))
        throw new WrongChecksum('the object store has something else than was sent');
    } catch (error) {
      // Nothing of it can be used any more; what the store refused for another reason may be taken the next time.
      const isLost = error instanceof WrongChecksum || (error instanceof S3Error && lostUpload.includes(error.code));
      if (isLost) {
        if (own.uploadId !== null) await client.abort(key, own.uploadId).catch(this.#isGone);
        own.uploadId = null;
        own.parts = [];
        await save();
      }
      throw error;
    }
    own.done = true;
    await save();
  }

  async #storeParts(key: string, file: string, size: number, own: FileState, save: () => Promise<void>): Promise<void> {
    const { client } = this.#deps;
    if (own.uploadId === null) {
      own.parts = [];
      own.uploadId = await client.begin(key, typeOf(file));
      await save();
    }
    const handle = await open(file, 'r');
    try {
      const buffer = Buffer.alloc(own.partBytes);
      for (let from = own.parts.length * own.partBytes; from < size; from += own.partBytes) {
        if (this.#isClosed()) throw new Error('this process stops');
        const { bytesRead } = await handle.read(buffer, 0, own.partBytes, from);
        own.parts.push(await client.putPart(key, own.uploadId, own.parts.length + 1, buffer.subarray(0, bytesRead)));
        await save();
      }
    } finally {
      await handle.close();
    }
    await client.complete(key, own.uploadId, own.parts);
  }

  #partBytesFor(size: number): number {
    const least = Math.ceil(size / maxParts / mebibyte) * mebibyte;
    return Math.max(this.#deps.partBytes ?? defaultPartBytes, least);
  }

  /** What is left of an upload that is of no use costs until the bucket's lifecycle clears it away; nothing else. */
  readonly #isGone = (error: unknown): void => {
    this.#deps.log.debug({ err: error }, 'an upload was not cleared away');
  };

  /** The store is asked what it has: an answer to a request says only what it was sent. */
  async #isStored(key: string, size: number, { parts, uploadId }: FileState): Promise<boolean> {
    const head = await this.#deps.client.head(key);
    if (head?.bytes !== size) return false;
    const whole = uploadId === null ? parts[0] : undefined;
    const sha256 = whole?.sha256 ?? compositeSha256(parts);
    if (head.sha256 !== null) return head.sha256.replace(/-[0-9]+$/, '') === sha256;
    const etag = whole === undefined ? compositeEtag(parts) : Buffer.from(whole.md5, 'base64').toString('hex');
    return head.etag.replaceAll('"', '') === etag;
  }
}

const lostUpload = ['NoSuchUpload', 'InvalidPart', 'InvalidPartOrder', 'EntityTooSmall'];

function partsOf(size: number, { uploadId, partBytes }: FileState): number {
  return uploadId === null ? 1 : Math.ceil(size / partBytes);
}

function typeOf(name: string): string {
  if (name.endsWith('.json')) return 'application/json';
  return name.endsWith('.mkv') ? 'video/x-matroska' : 'video/webm';
}

async function readState(folder: string): Promise<UploadState> {
  try {
    const state: unknown = JSON.parse(await readFile(path.join(folder, stateName), 'utf8'));
    return typeof state === 'object' && state !== null && Object.values(state).every(isFileState)
      ? (state as UploadState)
      : {};
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    // It was written whole or not at all, so somebody else wrote in it: what it said is uploaded again.
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

function isFileState(value: unknown): value is FileState {
  const { uploadId, partBytes, parts, done } = (value ?? {}) as Partial<Record<keyof FileState, unknown>>;
  return (
    (uploadId === null || typeof uploadId === 'string') &&
    Number.isSafeInteger(partBytes) &&
    (uploadId === null || (partBytes as number) > 0) &&
    Array.isArray(parts) &&
    parts.every(isStoredPart) &&
    typeof done === 'boolean'
  );
}

function isStoredPart(value: unknown): value is StoredPart {
  const { etag, sha256, md5 } = (value ?? {}) as Partial<Record<keyof StoredPart, unknown>>;
  return typeof etag === 'string' && typeof sha256 === 'string' && typeof md5 === 'string';
}
