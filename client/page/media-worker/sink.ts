/** Where a slot's pictures or sound go: a track generator's stream, or a port to the page. */
import type { FrameSink, SoundBlock } from './messages.ts';

/** Frames that the page has not taken yet; more of them are of no use. */
const maxUnwritten = 3;

export class Sink {
  readonly #port: MessagePort | null;
  readonly #writer: WritableStreamDefaultWriter<VideoFrame | AudioData> | null;
  #unwritten = 0;

  constructor(sink: FrameSink) {
    this.#port = sink instanceof MessagePort ? sink : null;
    this.#writer = sink instanceof MessagePort ? null : sink.getWriter();
  }

  get takesSamples(): boolean {
    return this.#port !== null;
  }

  /** Given away. False when it was left out, because those before it still wait. */
  write(frame: VideoFrame | AudioData): boolean {
    if (this.#port !== null) {
      this.#port.postMessage(frame, [frame]);
      return true;
    }
    if (this.#writer === null || (this.#unwritten >= maxUnwritten && frame instanceof VideoFrame)) {
      frame.close();
      return false;
    }
    this.#unwritten += 1;
    const done = (): void => {
      this.#unwritten -= 1;
    };
    this.#writer.write(frame).then(done, done);
    return true;
  }

  writeSamples(block: SoundBlock): void {
    this.#port?.postMessage(block, [block.samples.buffer]);
  }

  close(): void {
    this.#port?.close();
    this.#writer?.close().catch(() => undefined);
  }
}
