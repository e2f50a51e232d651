/** Writes chunks to a file one after the other, without making the caller wait. */
import type { FileHandle } from 'node:fs/promises';

export class FileQueue {
  readonly #handle: FileHandle;
  #waiting: Uint8Array[] = [];
  #writing: Promise<void> | null = null;
  #error: unknown = null;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** The bytes are given away. After a failed write, everything is dropped; `drained` tells. */
  write(bytes: Uint8Array): void {
    if (this.#error !== null) return;
    this.#waiting.push(bytes);
    this.#writing ??= this.#writeAll();
  }

  /** Rejects with the first write's error. */
  async drained(): Promise<void> {
    await this.#writing;
    if (this.#error !== null) throw this.#error as Error;
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const chunk = Buffer.concat(this.#waiting);
        this.#waiting = [];
        // `writeFile` on a handle goes on from its position and writes everything.
        await this.#handle.writeFile(chunk);
      }
    } catch (error) {
      this.#error = error;
      this.#waiting = [];
    }
    this.#writing = null;
  }
}
