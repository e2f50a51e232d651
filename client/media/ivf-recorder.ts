/** Writes an incoming VP8 track to an IVF file. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { MediaStreamTrack } from 'werift';
import { ClientError } from '../errors.ts';
import { FileQueue } from './file-queue.ts';
import { encodeIvfFrame, encodeIvfHeader } from './ivf.ts';
import { TimestampUnwrapper } from './timestamp-unwrapper.ts';
import { Vp8Depacketizer } from './vp8-depacketizer.ts';
import type { Vp8Frame } from './vp8-depacketizer.ts';

/**
 * ```ts
 * const recorder = await IvfRecorder.open('out.ivf');
 * call.on('track', ({ track, mid }) => {
 *   if (mid === '3') recorder.record(track, () => call.requestKeyFrame(mid));
 * });
 * await recorder.close();
 * ```
 * The file begins at a key frame, and goes on at one after a loss.
 */
export class IvfRecorder {
  readonly #handle: FileHandle;
  readonly #queue: FileQueue;
  readonly #time = new TimestampUnwrapper();
  readonly #depacketizer: Vp8Depacketizer;
  #unsubscribe: () => void = () => undefined;
  #requestKeyFrame: () => void = () => undefined;
  #size: { width: number; height: number } | null = null;
  #recording = false;
  #frames = 0;
  #keyFrames = 0;
  #firstTicks = 0;
  #lastMs = -1;
  #closed: Promise<void> | null = null;

  /** Creates the file. Rejects with ClientError `file-unreadable`. */
  static async open(file: string): Promise<IvfRecorder> {
    try {
      return new IvfRecorder(await open(file, 'w'));
    } catch (error) {
      throw new ClientError('file-unreadable', { detail: messageOf(error), cause: error });
    }
  }

  private constructor(handle: FileHandle) {
    this.#handle = handle;
    this.#queue = new FileQueue(handle);
    this.#depacketizer = new Vp8Depacketizer({
      frame: (frame) => {
        this.#write(frame);
      },
      needKeyFrame: () => {
        this.#requestKeyFrame();
      },
    });
  }

  /** Records this track from now on. `requestKeyFrame` asks its publisher for one. Throws on a second call. */
  record(track: MediaStreamTrack, requestKeyFrame: () => void): void {
    if (this.#recording) throw new Error('IvfRecorder: it records a track already');
    this.#recording = true;
    this.#requestKeyFrame = requestKeyFrame;
    const { unSubscribe } = track.onReceiveRtp.subscribe(({ header, payload }) => {
      const { sequenceNumber, timestamp, marker } = header;
      this.#depacketizer.push({ sequenceNumber, timestamp, marker, payload });
    });
    this.#unsubscribe = unSubscribe;
  }

  /** Frames and key frames that could be put together so far. */
  get frames(): number {
    return this.#frames;
  }
  get keyFrames(): number {
    return this.#keyFrames;
  }

  /** Writes what waits and completes the header. Idempotent. Rejects with ClientError when the disk refused. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  #write(frame: Vp8Frame): void {
    const ticks = this.#time.unwrap(frame.timestamp);
    if (this.#size === null) {
      this.#size = { width: frame.width, height: frame.height };
      this.#firstTicks = ticks;
      this.#queue.write(encodeIvfHeader(this.#size, 0));
    }
    // Times in the file rise strictly, whatever the sender's do.
    this.#lastMs = Math.max(this.#lastMs + 1, Math.round((ticks - this.#firstTicks) / 90));
    this.#queue.write(encodeIvfFrame(this.#lastMs, frame.data));
    this.#frames += 1;
    if (frame.keyFrame) this.#keyFrames += 1;
  }

  /** Until the last frame's end, taken to last as long as the others on average. */
  get #durationMs(): number {
    return this.#frames < 2 ? 0 : Math.round((this.#lastMs * this.#frames) / (this.#frames - 1));
  }

  async #close(): Promise<void> {
    this.#unsubscribe();
    try {
      await this.#queue.drained();
      const header = encodeIvfHeader(this.#size ?? { width: 0, height: 0 }, this.#durationMs);
      await this.#handle.write(header, 0, header.length, 0);
    } catch (error) {
      throw new ClientError('file-unreadable', { detail: messageOf(error), cause: error });
    } finally {
      await this.#handle.close();
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
