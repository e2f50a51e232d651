/** Writes one file of a recording behind a queue: whoever appends never waits. */
import { open, type FileHandle } from 'node:fs/promises';
import type { RecordingFile } from '../../sfu/index.ts';

/** Written at once, at most. */
const maxChunks = 512;

export interface FileWriterDeps {
  readonly file: string;
  /** Resolves when the folder is there. */
  readonly folder: Promise<void>;
  /** The bytes that all files of the recording have waiting. */
  readonly queue: { bytes: number; readonly maxBytes: number };
  readonly onError: (error: unknown) => void;
}

interface Change {
  readonly bytes: Uint8Array;
  readonly at: number | null;
}

export class FileWriter implements RecordingFile {
  /** Resolves when all is written, or nothing more can be. */
  readonly done: Promise<void>;
  readonly #deps: FileWriterDeps;
  #changes: Change[] = [];
  #length = 0;
  #ended = false;
  #failed = false;
  #wake: (() => void) | null = null;

  constructor(deps: FileWriterDeps) {
    this.#deps = deps;
    this.done = this.#run();
  }

  get isFull(): boolean {
    return this.#failed || this.#deps.queue.bytes > this.#deps.queue.maxBytes;
  }

  append(bytes: Uint8Array): void {
    this.#add({ bytes, at: null });
  }

  overwrite(bytes: Uint8Array, at: number): void {
    this.#add({ bytes, at });
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  #add(change: Change): void {
    if (this.#failed || this.#ended) return;
    this.#changes.push(change);
    this.#deps.queue.bytes += change.bytes.length;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    let handle: FileHandle | null = null;
    try {
      await this.#deps.folder;
      handle = await open(this.#deps.file, 'wx', 0o600);
      while (await this.#hasWork()) await this.#write(handle);
      await handle.datasync();
    } catch (error) {
      this.#failed = true;
      for (const { bytes } of this.#changes.splice(0)) this.#deps.queue.bytes -= bytes.length;
      this.#deps.onError(error);
    } finally {
      await handle?.close().catch(this.#deps.onError);
    }
  }

  /** False when the end has come. */
  async #hasWork(): Promise<boolean> {
    while (this.#changes.length === 0) {
      if (this.#ended) return false;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    return true;
  }

  async #write(handle: FileHandle): Promise<void> {
    const first = this.#changes[0]?.at ?? null;
    let count = 1;
    // What follows one another in the file goes by one call.
    while (first === null && count < maxChunks && this.#changes[count]?.at === null) count++;
    const changes = this.#changes.splice(0, count);
    const bytes =
      changes.length === 1
        ? (changes[0]?.bytes ?? new Uint8Array(0))
        : Buffer.concat(changes.map((change) => change.bytes));
    const at = first ?? this.#length;
    let written = 0;
    try {
      while (written < bytes.length) {
        const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, at + written);
        written += bytesWritten;
      }
      if (first === null) this.#length += bytes.length;
    } catch (error) {
      if (first === null) await this.#cut(handle, changes, written);
      throw error;
    } finally {
      this.#deps.queue.bytes -= bytes.length;
    }
  }

  /** A full disk takes a part of what is to be written: the file ends with the last change that it took whole. */
  async #cut(handle: FileHandle, changes: readonly Change[], written: number): Promise<void> {
    let whole = 0;
    for (const { bytes } of changes) {
      if (whole + bytes.length > written) break;
      whole += bytes.length;
    }
    // Where even this fails, readers find half a block at the end, and say so.
    await handle.truncate(this.#length + whole).catch(() => undefined);
  }
}
