/** One audio slot: RTP into sound, at the pace at which it is heard. */
import type { RtpView } from '../../../tunnel-protocol/index.ts';
import { Reception } from '../../media/reception.ts';
import { AudioPlayout, frameSamples } from '../../media-stack/audio-playout.ts';
import type { PlayoutStep } from '../../media-stack/audio-playout.ts';
import type { LipSync } from '../../media-stack/lip-sync.ts';
import { PcmShaper } from '../../media-stack/pcm-shaper.ts';
import type { FrameSink, WorkerTrackStats } from './messages.ts';
import { Sink } from './sink.ts';

const sampleRate = 48_000;
const samplesPerMs = 48;
/** Playing goes on in silence for so long before it stops. */
const idleMs = 2_000;
/** A timer that comes later than this is not made up for. */
const maxLateMs = 100;
/** From here to the ear. */
const outputMs = 20;

type Queued = Exclude<PlayoutStep, { type: 'silence' }>;

export class AudioSlot {
  readonly mid: string;
  readonly kind = 'audio';
  readonly reception: Reception;
  readonly #sync: LipSync;
  readonly #onAlive: () => void;
  readonly #playout = new AudioPlayout();
  readonly #shaper = new PcmShaper();
  /** What was handed to the decoder, and what is to be made up between that. */
  readonly #queue: Queued[] = [];
  #decoder: AudioDecoder | null = null;
  #sink: Sink | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #dueAt = 0;
  #soundAt = 0;
  #written = 0;
  #chunks = 0;
  #alive = false;
  #energy = 0;
  #level = 0;
  #samples = 0;

  constructor(mid: string, ssrc: number, sync: LipSync, onAlive: () => void) {
    this.mid = mid;
    this.reception = new Reception('audio', ssrc);
    this.#sync = sync;
    this.#onAlive = onAlive;
    sync.add(mid, 'audio');
  }

  get level(): number {
    return performance.now() - this.#soundAt < 500 ? this.#level : 0;
  }

  get stats(): WorkerTrackStats {
    const { packets, bytes, lost, jitterMs } = this.reception;
    return {
      mid: this.mid,
      kind: 'audio',
      direction: 'receive',
      packets,
      bytes,
      lost,
      jitterMs,
      frames: 0,
      framesPerSecond: 0,
      width: 0,
      height: 0,
      audioEnergy: this.#energy,
      audioSamples: this.#samples,
      concealedSamples: this.#playout.concealedSamples,
      playoutDelayMs: this.#playout.levelMs,
      freezes: 0,
      freezeMs: 0,
    };
  }

  setSink(sink: FrameSink): void {
    this.#sink = new Sink(sink);
  }

  receive(view: RtpView, now: number): void {
    this.reception.count(view, now);
    if (view.payloadLength === 0) return;
    const payload = view.packet.subarray(view.payloadOffset, view.payloadOffset + view.payloadLength);
    this.#playout.push(view.timestamp, payload, now);
    if (this.#timer !== null) return;
    this.#dueAt = now;
    this.#soundAt = now;
    this.#run();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#decoder !== null && this.#decoder.state !== 'closed') this.#decoder.close();
    this.#sink?.close();
  }

  readonly #run = (): void => {
    this.#timer = null;
    const now = performance.now();
    if (now - this.#dueAt > maxLateMs) this.#dueAt = now;
    while (this.#dueAt <= now) this.#play(this.#dueAt);
    if (now - this.#soundAt > idleMs) return;
    this.#timer = setTimeout(this.#run, this.#dueAt - performance.now());
  };

  #play(at: number): void {
    const { position } = this.#playout;
    const step = this.#playout.pull(at);
    this.#dueAt += (step.type === 'packet' ? step.samples : frameSamples) / samplesPerMs;
    if (step.type === 'silence') return;
    this.#soundAt = at;
    if (position !== null) this.#sync.heard(this.mid, position, at + outputMs);
    this.#queue.push(step);
    if (step.type === 'packet') this.#decode(step.payload);
    this.#makeUp();
  }

  #decode(payload: Uint8Array): void {
    this.#decoder ??= this.#openDecoder();
    const timestamp = this.#chunks++ * 20_000;
    const data = payload as Uint8Array<ArrayBuffer>;
    this.#decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp, data }));
  }

  #openDecoder(): AudioDecoder {
    const decoder = new AudioDecoder({
      output: (data) => {
        this.#decoded(data);
      },
      error: () => {
        // What was being decoded is lost; the next packet opens another one.
        this.#decoder = null;
        this.#queue.length = 0;
      },
    });
    decoder.configure({ codec: 'opus', sampleRate, numberOfChannels: 1 });
    return decoder;
  }

  #decoded(data: AudioData): void {
    const step = this.#queue.shift();
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    data.close();
    const shaped = this.#shaper.take(samples, step?.type === 'packet' && step.shorten);
    // What was left out is not heard, so what follows is due so much earlier.
    this.#dueAt -= (samples.length - shaped.length) / samplesPerMs;
    this.#write(shaped);
    if (!this.#alive) {
      this.#alive = true;
      this.#onAlive();
    }
    this.#makeUp();
  }

  #makeUp(): void {
    while (this.#queue[0]?.type === 'conceal') {
      this.#queue.shift();
      this.#write(this.#shaper.conceal());
    }
  }

  #write(samples: Float32Array<ArrayBuffer>): void {
    let energy = 0;
    for (const sample of samples) energy += sample * sample;
    this.#energy += energy / sampleRate;
    this.#level = Math.sqrt(energy / Math.max(1, samples.length));
    this.#samples += samples.length;
    const sink = this.#sink;
    if (sink === null) return;
    if (sink.takesSamples) {
      sink.writeSamples({ samples });
      return;
    }
    const timestamp = Math.round((this.#written * 1e6) / sampleRate);
    this.#written += samples.length;
    const layout = { format: 'f32-planar', sampleRate, numberOfChannels: 1 } as const;
    sink.write(new AudioData({ ...layout, numberOfFrames: samples.length, timestamp, data: samples }));
  }
}
