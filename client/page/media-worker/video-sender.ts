/** A camera or screen: frames of the track into VP8 into RTP; a camera's in two layers, each with an encoder of its own. */
import type { OutgoingRtp } from '../../media-stack/outgoing-rtp.ts';
import { FrameReader } from './frame-reader.ts';
import type { FrameSource } from './messages.ts';

export interface LayerOptions {
  readonly stream: OutgoingRtp;
  /** Larger pictures are scaled down to this height. */
  readonly maxHeight: number;
  /** Bits per second; 0: off. */
  readonly bitrate: number;
  readonly maxFramesPerSecond: number;
}

/** An encoder that has this many frames before it is behind; the next one is left to others. */
const maxQueued = 2;
/** Changes of the bitrate smaller than this are not worth a reconfiguration. */
const bitrateStep = 0.1;

export class VideoSender {
  readonly #layers: readonly Layer[];
  readonly #reader: FrameReader;

  constructor(layers: readonly LayerOptions[], frames: FrameSource) {
    this.#layers = layers.map((options) => new Layer(options));
    this.#reader = new FrameReader(frames, (frame) => {
      if (frame instanceof VideoFrame) for (const layer of this.#layers) layer.encode(frame);
      frame.close();
    });
  }

  /** Bits per second of a stream; 0 switches its encoder off. */
  setBitrate(stream: OutgoingRtp, bitrate: number): void {
    this.#of(stream)?.setBitrate(bitrate);
  }

  requestKeyFrame(stream: OutgoingRtp): void {
    this.#of(stream)?.requestKeyFrame();
  }

  size(stream: OutgoingRtp): { readonly width: number; readonly height: number } {
    return this.#of(stream)?.size ?? { width: 0, height: 0 };
  }

  stop(): void {
    this.#reader.stop();
    for (const layer of this.#layers) layer.stop();
  }

  #of(stream: OutgoingRtp): Layer | undefined {
    return this.#layers.find((layer) => layer.stream === stream);
  }
}

class Layer {
  readonly stream: OutgoingRtp;
  size = { width: 0, height: 0 };
  readonly #options: LayerOptions;
  #encoder: VideoEncoder | null = null;
  #bitrate: number;
  #configured = '';
  #keyFrame = true;
  #encodedAt = -Infinity;
  #bytes = new Uint8Array(65_536);

  constructor(options: LayerOptions) {
    this.#options = options;
    this.stream = options.stream;
    this.#bitrate = options.bitrate;
    options.stream.restart();
  }

  setBitrate(bitrate: number): void {
    const changes = bitrate === 0 || this.#bitrate === 0 || Math.abs(bitrate / this.#bitrate - 1) > bitrateStep;
    if (changes) this.#bitrate = bitrate;
    if (bitrate === 0) this.stop();
  }

  requestKeyFrame(): void {
    this.#keyFrame = true;
  }

  encode(frame: VideoFrame): void {
    if (this.#bitrate === 0) return;
    const at = frame.timestamp / 1_000;
    // Half a frame's tolerance: cameras are not punctual.
    if (at - this.#encodedAt < 1_000 / this.#options.maxFramesPerSecond - 10 && at > this.#encodedAt) return;
    const encoder = this.#open();
    if (encoder.encodeQueueSize >= maxQueued) return;
    this.#configure(encoder, frame);
    this.#encodedAt = at;
    const { keyFrame } = { keyFrame: this.#keyFrame };
    this.#keyFrame = false;
    encoder.encode(frame, { keyFrame });
  }

  stop(): void {
    if (this.#encoder !== null && this.#encoder.state !== 'closed') this.#encoder.close();
    this.#encoder = null;
    this.#configured = '';
    this.#keyFrame = true;
  }

  #open(): VideoEncoder {
    return (this.#encoder ??= new VideoEncoder({
      output: (chunk) => {
        this.#send(chunk);
      },
      error: () => {
        this.#encoder = null;
        this.#configured = '';
        this.#keyFrame = true;
      },
    }));
  }

  #configure(encoder: VideoEncoder, { displayWidth, displayHeight }: VideoFrame): void {
    const scale = Math.min(1, this.#options.maxHeight / displayHeight);
    const even = (pixels: number): number => Math.max(2, 2 * Math.round((pixels * scale) / 2));
    const width = even(displayWidth);
    const height = even(displayHeight);
    const bitrate = Math.round(this.#bitrate);
    const wanted = `${String(width)} ${String(height)} ${String(bitrate)}`;
    if (wanted === this.#configured) return;
    this.#configured = wanted;
    if (width !== this.size.width || height !== this.size.height) this.#keyFrame = true;
    this.size = { width, height };
    const framerate = Math.min(25, this.#options.maxFramesPerSecond);
    encoder.configure({ codec: 'vp8', width, height, bitrate, framerate, latencyMode: 'realtime' });
  }

  #send(chunk: EncodedVideoChunk): void {
    if (chunk.byteLength > this.#bytes.length) this.#bytes = new Uint8Array(2 * chunk.byteLength);
    chunk.copyTo(this.#bytes);
    const frame = this.#bytes.subarray(0, chunk.byteLength);
    const sent = this.stream.sendFrame(frame, chunk.type === 'key', chunk.timestamp / 1_000, performance.now());
    if (!sent) this.#keyFrame = true;
  }
}
