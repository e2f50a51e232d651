/** One video slot: RTP into pictures, shown when the sound that belongs to them is heard. */
import type { RtpView } from '../../../tunnel-protocol/index.ts';
import { Reception } from '../../media/reception.ts';
import { TimestampUnwrapper } from '../../media/timestamp-unwrapper.ts';
import { Vp8Depacketizer } from '../../media/vp8-depacketizer.ts';
import type { Vp8Frame } from '../../media/vp8-depacketizer.ts';
import type { LipSync } from '../../media-stack/lip-sync.ts';
import type { FrameSink, WorkerTrackStats } from './messages.ts';
import { Sink } from './sink.ts';

export interface VideoSlotEvents {
  alive(): void;
  needKeyFrame(): void;
}

interface Due {
  readonly frame: Vp8Frame;
  readonly at: number;
}

/** More that wait for their time are not late, but too many: the oldest are shown at once. */
const maxWaiting = 15;
/** As webrtc-stats defines a freeze: longer than this, and than three times what frames take on average. */
const freezeAboveMs = 150;

export class VideoSlot {
  readonly mid: string;
  readonly kind = 'video';
  readonly reception: Reception;
  readonly #sync: LipSync;
  readonly #events: VideoSlotEvents;
  readonly #depacketizer: Vp8Depacketizer;
  #unwrapper = new TimestampUnwrapper();
  readonly #waiting: Due[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #decoder: VideoDecoder | null = null;
  #sink: Sink | null = null;
  #frames = 0;
  #recent: number[] = [];
  #width = 0;
  #height = 0;
  #alive = false;
  #shownAt: number | null = null;
  #averageMs = 40;
  #freezes = 0;
  #freezeMs = 0;

  constructor(mid: string, ssrc: number, sync: LipSync, events: VideoSlotEvents) {
    this.mid = mid;
    this.reception = new Reception('video', ssrc);
    this.#sync = sync;
    this.#events = events;
    sync.add(mid, 'video');
    this.#depacketizer = new Vp8Depacketizer({
      frame: (frame) => {
        this.#schedule(frame);
      },
      needKeyFrame: () => {
        events.needKeyFrame();
      },
    });
  }

  get stats(): WorkerTrackStats {
    const { packets, bytes, lost, jitterMs } = this.reception;
    const now = performance.now();
    this.#recent = this.#recent.filter((at) => now - at <= 1_000);
    return {
      mid: this.mid,
      kind: 'video',
      direction: 'receive',
      packets,
      bytes,
      lost,
      jitterMs,
      frames: this.#frames,
      framesPerSecond: this.#recent.length,
      width: this.#width,
      height: this.#height,
      audioEnergy: 0,
      audioSamples: 0,
      concealedSamples: 0,
      playoutDelayMs: 0,
      freezes: this.#freezes,
      freezeMs: this.#freezeMs,
    };
  }

  setSink(sink: FrameSink): void {
    this.#sink = new Sink(sink);
  }

  /** Somebody else is in the slot: a pause before their first picture is no freeze. */
  reassigned(): void {
    this.#shownAt = null;
  }

  receive(view: RtpView, now: number): void {
    this.reception.count(view, now);
    const { sequenceNumber, timestamp, marker, packet, payloadOffset, payloadLength } = view;
    const payload = packet.subarray(payloadOffset, payloadOffset + payloadLength);
    this.#depacketizer.push({ sequenceNumber, timestamp, marker, payload });
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#closeDecoder();
    this.#sink?.close();
  }

  #schedule(frame: Vp8Frame): void {
    const now = performance.now();
    const at = Math.max(now + this.#sync.wait(this.mid, frame.timestamp, now), this.#waiting.at(-1)?.at ?? 0);
    this.#waiting.push({ frame, at });
    if (this.#timer === null) this.#run();
  }

  readonly #run = (): void => {
    this.#timer = null;
    const now = performance.now();
    for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
      // A timer is no more exact than this.
      if (next.at > now + 2 && this.#waiting.length <= maxWaiting) {
        this.#timer = setTimeout(this.#run, next.at - now);
        return;
      }
      this.#waiting.shift();
      this.#decode(next.frame);
    }
  };

  #decode({ keyFrame, timestamp, data }: Vp8Frame): void {
    if (this.#decoder === null && !keyFrame) {
      this.#events.needKeyFrame();
      return;
    }
    this.#decoder ??= this.#openDecoder();
    const microseconds = Math.round((this.#unwrapper.unwrap(timestamp) * 1_000) / 90);
    this.#decoder.decode(
      new EncodedVideoChunk({
        type: keyFrame ? 'key' : 'delta',
        timestamp: microseconds,
        data: data,
      }),
    );
  }

  #openDecoder(): VideoDecoder {
    const decoder = new VideoDecoder({
      output: (frame) => {
        this.#show(frame);
      },
      error: () => {
        this.#decoder = null;
        this.#events.needKeyFrame();
      },
    });
    decoder.configure({ codec: 'vp8', optimizeForLatency: true });
    return decoder;
  }

  #closeDecoder(): void {
    if (this.#decoder !== null && this.#decoder.state !== 'closed') this.#decoder.close();
    this.#decoder = null;
  }

  #show(frame: VideoFrame): void {
    const now = performance.now();
    this.#frames += 1;
    this.#recent.push(now);
    this.#width = frame.displayWidth;
    this.#height = frame.displayHeight;
    this.#noteFreeze(now);
    if (this.#sink === null) frame.close();
    else this.#sink.write(frame);
    if (this.#alive) return;
    this.#alive = true;
    this.#events.alive();
  }

  #noteFreeze(now: number): void {
    if (this.#shownAt !== null) {
      const ms = now - this.#shownAt;
      if (ms > Math.max(freezeAboveMs + this.#averageMs, 3 * this.#averageMs)) {
        this.#freezes += 1;
        this.#freezeMs += ms;
      } else {
        this.#averageMs += (ms - this.#averageMs) / 30;
      }
    }
    this.#shownAt = now;
  }
}
