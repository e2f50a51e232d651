/** The microphone: frames of the track into Opus into RTP. */
import type { OutgoingRtp } from '../../media-stack/outgoing-rtp.ts';
import { FrameReader } from './frame-reader.ts';
import type { FrameSource } from './messages.ts';

const bitrate = 32_000;
/** RFC 6464: −127 dBov is silence. */
const silence = 127;

/** Members that TypeScript's types lack (W3C WebCodecs Opus registration). */
interface OpusEncoderConfig extends AudioEncoderConfig {
  readonly opus: {
    readonly frameDuration: number;
    readonly application: 'voip';
    readonly useinbandfec: boolean;
    readonly packetlossperc: number;
  };
}

export class AudioSender {
  readonly #stream: OutgoingRtp;
  readonly #reader: FrameReader;
  readonly #encoder: AudioEncoder;
  #format = '';
  #power = 0;
  #level = silence;
  #payload = new Uint8Array(1_500);

  constructor(stream: OutgoingRtp, frames: FrameSource) {
    this.#stream = stream;
    stream.restart();
    this.#encoder = new AudioEncoder({
      output: (chunk) => {
        this.#send(chunk);
      },
      error: () => {
        this.#format = '';
      },
    });
    this.#reader = new FrameReader(frames, (frame) => {
      if (frame instanceof AudioData) this.#encode(frame);
      frame.close();
    });
  }

  stop(): void {
    this.#reader.stop();
    if (this.#encoder.state !== 'closed') this.#encoder.close();
  }

  #encode(data: AudioData): void {
    const { sampleRate, numberOfChannels, numberOfFrames } = data;
    const format = `${String(sampleRate)} ${String(numberOfChannels)}`;
    if (this.#encoder.state === 'closed') return;
    if (format !== this.#format) {
      this.#format = format;
      const config: OpusEncoderConfig = {
        codec: 'opus',
        sampleRate,
        numberOfChannels,
        bitrate,
        opus: { frameDuration: 20_000, application: 'voip', useinbandfec: true, packetlossperc: 5 },
      };
      this.#encoder.configure(config);
    }
    const samples = new Float32Array(numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    let energy = 0;
    for (const sample of samples) energy += sample * sample;
    this.#power = Math.max(this.#power, energy / Math.max(1, samples.length));
    this.#level = Math.round(Math.min(silence, Math.max(0, -10 * Math.log10(this.#power + 1e-13))));
    this.#encoder.encode(data);
  }

  #send(chunk: EncodedAudioChunk): void {
    if (chunk.byteLength > this.#payload.length) return;
    chunk.copyTo(this.#payload);
    const payload = this.#payload.subarray(0, chunk.byteLength);
    this.#stream.sendAudio(payload, chunk.timestamp / 1_000, this.#level, performance.now());
    this.#power = 0;
  }
}
