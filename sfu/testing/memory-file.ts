/** A store in memory, for tests: what each file was given. */
import type { RecordingFile } from '../recording/recording-store.ts';

export class MemoryFile implements RecordingFile {
  isFull = false;
  ended = false;
  #bytes = new Uint8Array(0);

  append(bytes: Uint8Array): void {
    const longer = new Uint8Array(this.#bytes.length + bytes.length);
    longer.set(this.#bytes);
    longer.set(bytes, this.#bytes.length);
    this.#bytes = longer;
  }

  overwrite(bytes: Uint8Array, at: number): void {
    if (at + bytes.length > this.#bytes.length) throw new Error('this was not appended');
    this.#bytes.set(bytes, at);
  }

  end(): void {
    this.ended = true;
  }

  get bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }
}
