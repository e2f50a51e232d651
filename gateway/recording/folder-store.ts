/** Recordings in a folder: a folder for each, with its files and `recording.json`. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { RecordingFault, RecordingFile, RecordingPlace, RecordingStore } from '../../sfu/index.ts';
import { writeDataFile } from '../data-file.ts';
import { FileWriter } from './file-writer.ts';

export const manifestName = 'recording.json';
/** Lies beside the files while they are written, to make room for the last words on a full disk. No storage takes `.new`. */
export const reserveName = 'reserve.new';
const reserveBytes = 64 * 1024;
/** What may wait for the disk, for each recording: beyond, frames are left out. */
export const maxQueuedBytes = 32 * 1024 * 1024;

export interface FolderStoreDeps {
  /** All of a recording is on the disk that could be written. Must not throw. */
  readonly finished?: (recordingFolder: string) => void;
}

export class FolderStore implements RecordingStore {
  readonly #folder: string;
  readonly #deps: FolderStoreDeps;

  constructor(folder: string, deps: FolderStoreDeps = {}) {
    this.#folder = folder;
    this.#deps = deps;
  }

  open({ id }: { readonly id: string }, onFault: (fault: RecordingFault) => void): RecordingPlace {
    return new FolderPlace(path.join(this.#folder, id), onFault, this.#deps);
  }
}

class FolderPlace implements RecordingPlace {
  readonly #folder: string;
  readonly #reserve: string;
  readonly #made: Promise<void>;
  readonly #onFault: (fault: RecordingFault) => void;
  readonly #deps: FolderStoreDeps;
  readonly #queue = { bytes: 0, maxBytes: maxQueuedBytes };
  readonly #files: FileWriter[] = [];
  /** What `recording.json` is to say, while an earlier version is being written. */
  #next: string | null = null;
  #describing: Promise<void> | null = null;
  #failed = false;
  #freed: Promise<void> = Promise.resolve();

  constructor(folder: string, onFault: (fault: RecordingFault) => void, deps: FolderStoreDeps) {
    this.#folder = folder;
    this.#onFault = onFault;
    this.#deps = deps;
    this.#reserve = path.join(folder, reserveName);
    this.#made = mkdir(folder, { recursive: true, mode: 0o700 }).then(() =>
      writeFile(this.#reserve, new Uint8Array(reserveBytes), { mode: 0o600 }),
    );
    // Each file that is opened in it rejects with the same.
    this.#made.catch(this.#fail);
  }

  file(name: string): RecordingFile {
    const file = path.join(this.#folder, name);
    const writer = new FileWriter({ file, folder: this.#made, queue: this.#queue, onError: this.#fail });
    this.#files.push(writer);
    return writer;
  }

  describe(json: string): void {
    this.#next = json;
    this.#describing ??= this.#describe();
  }

  async end(): Promise<void> {
    await Promise.all(this.#files.map(({ done }) => done));
    while (this.#describing !== null) await this.#describing;
    await this.#free();
    this.#deps.finished?.(this.#folder);
  }

  async #describe(): Promise<void> {
    await this.#made.catch(this.#fail);
    while (this.#next !== null) {
      const json = this.#next;
      this.#next = null;
      try {
        await this.#freed;
        await writeDataFile(path.join(this.#folder, manifestName), json, 0o600);
      } catch (error) {
        // Whoever is told of it may describe why it ended.
        this.#fail(error);
      }
    }
    this.#describing = null;
  }

  async #free(): Promise<void> {
    await this.#made.catch(this.#fail);
    await rm(this.#reserve, { force: true }).catch(this.#fail);
  }

  readonly #fail = (error: unknown): void => {
    if (this.#failed) return;
    this.#failed = true;
    this.#freed = this.#free();
    this.#onFault(faultOf(error));
  };
}

const faults: ReadonlyMap<unknown, RecordingFault> = new Map([
  ['ENOSPC', 'disk-full'],
  ['EDQUOT', 'disk-full'],
  ['EFBIG', 'disk-full'],
  ['EACCES', 'not-writable'],
  ['EPERM', 'not-writable'],
  ['EROFS', 'not-writable'],
  ['ENOTDIR', 'not-writable'],
  ['ENOENT', 'not-writable'],
  ['EEXIST', 'not-writable'],
]);

function faultOf(error: unknown): RecordingFault {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return faults.get(code) ?? 'write-failed';
}
