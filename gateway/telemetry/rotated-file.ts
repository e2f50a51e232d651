/** Lines appended to a file that is put aside when it has grown: disk use is bounded, and a full disk costs lines, nothing else. */
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';

export interface RotatedFileOptions {
  /** The file that is written. Those put aside have `.1` (the latest), `.2`, … behind it. */
  readonly path: string;
  readonly maxBytes: number;
  /** Files that are kept beside it. */
  readonly keep: number;
  /** Bytes that may wait for the disk; lines beyond are lost. */
  readonly maxQueuedBytes: number;
  /** Told of a failed write, with the lines that it cost. Must not throw. */
  readonly onError: (error: unknown, lines: number) => void;
}

export class RotatedFile {
  readonly #options: RotatedFileOptions;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #handle: FileHandle | null = null;
  #size = 0;
  #writing: Promise<void> | null = null;

  constructor(options: RotatedFileOptions) {
    this.#options = options;
  }

  /** Appends a line feed. False when it was dropped, because the disk does not keep up. */
  append(line: string): boolean {
    const bytes = Buffer.from(`${line}\n`);
    if (this.#queuedBytes + bytes.length > this.#options.maxQueuedBytes) return false;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#writing ??= this.#drain();
    return true;
  }

  /** Resolves when what was appended is written, or lost. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#letGo();
  }

  async #drain(): Promise<void> {
    // What is appended in this turn goes with one write.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#write(Buffer.concat(batch));
      } catch (error) {
        this.#options.onError(error, batch.length);
        // Opened afresh next time: whoever cleans up may have removed the file.
        await this.#letGo();
      }
    }
    this.#writing = null;
  }

  /** At most as much as a file may hold, and at least one line. */
  #takeBatch(): Buffer[] {
    let bytes = 0;
    let count = 0;
    for (const line of this.#queue) {
      if (count > 0 && bytes + line.length > this.#options.maxBytes) break;
      bytes += line.length;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #write(bytes: Buffer): Promise<void> {
    let handle = await this.#file();
    if (this.#size > 0 && this.#size + bytes.length > this.#options.maxBytes) {
      await this.#rotate();
      handle = await this.#file();
    }
    try {
      await handle.appendFile(bytes);
      this.#size += bytes.length;
    } catch (error) {
      // A part of a line may have been written; it must not run into the next one.
      await handle.truncate(this.#size).catch(() => undefined);
      throw error;
    }
  }

  async #file(): Promise<FileHandle> {
    if (this.#handle !== null) return this.#handle;
    await mkdir(path.dirname(this.#options.path), { recursive: true, mode: 0o700 });
    const handle = await open(this.#options.path, 'a', 0o600);
    this.#handle = handle;
    this.#size = (await handle.stat()).size;
    return handle;
  }

  async #rotate(): Promise<void> {
    const { path: file, keep } = this.#options;
    await this.#letGo();
    await rm(`${file}.${String(keep)}`, { force: true });
    for (let number = keep - 1; number >= 0; number--) {
      const from = number === 0 ? file : `${file}.${String(number)}`;
      await rename(from, `${file}.${String(number + 1)}`).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      });
    }
  }

  async #letGo(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    // What cannot be closed is gone already.
    await handle?.close().catch(() => undefined);
  }
}
