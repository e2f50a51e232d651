/** Reads the frames of a track until told otherwise, from a stream or a port. */
import type { FrameSource, SoundBlock } from './messages.ts';

const sampleRate = 48_000;

export class FrameReader {
  readonly #onFrame: (frame: VideoFrame | AudioData) => void;
  readonly #port: MessagePort | null = null;
  readonly #reader: ReadableStreamDefaultReader<VideoFrame | AudioData> | null = null;
  #stopped = false;
  #samples = 0;

  /** `onFrame` closes what it is given. */
  constructor(source: FrameSource, onFrame: (frame: VideoFrame | AudioData) => void) {
    this.#onFrame = onFrame;
    if (source instanceof MessagePort) {
      this.#port = source;
      source.onmessage = ({ data }: MessageEvent<VideoFrame | SoundBlock>) => {
        if (data instanceof VideoFrame) this.#give(data);
        else this.#give(this.#asAudioData(data));
      };
    } else {
      this.#reader = source.getReader();
      void this.#read(this.#reader);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#port?.close();
    this.#reader?.cancel().catch(() => undefined);
  }

  async #read(reader: ReadableStreamDefaultReader<VideoFrame | AudioData>): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        this.#give(value);
      }
    } catch {
      // The track ended; its owner hears of that from the track.
    }
  }

  #give(frame: VideoFrame | AudioData): void {
    if (this.#stopped) frame.close();
    else this.#onFrame(frame);
  }

  #asAudioData({ samples }: SoundBlock): AudioData {
    const timestamp = Math.round((this.#samples * 1e6) / sampleRate);
    this.#samples += samples.length;
    return new AudioData({
      format: 'f32-planar',
      sampleRate,
      numberOfFrames: samples.length,
      numberOfChannels: 1,
      timestamp,
      data: samples,
    });
  }
}
