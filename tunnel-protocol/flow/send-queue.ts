/**
 * What waits to be sent on a reliable connection: four lanes, served in order, of which audio and video are dropped from
 * the head when they are too old. A video packet that is dropped takes with it the rest of its frame, and what builds on
 * it: where the frame is not discardable, everything of its RTP stream before the next key frame. All of it is reported.
 */
import { u32 } from '../bytes.ts';
import { lane, type SendMeta } from '../path.ts';
import { DatagramRing } from './datagram-ring.ts';
import { flowLimits } from './flow-limits.ts';

/**
 * `stale`: past its deadline. `frame`: the rest of a frame of which a packet was dropped. `dependent`: builds on a frame
 * that was dropped. `queue-full`: too much waited.
 */
export const queueDropReasons = ['stale', 'frame', 'dependent', 'queue-full'] as const;
export type QueueDropReason = (typeof queueDropReasons)[number];

/** Called while the queue is being worked on: it must not push. */
export type OnDrop = (meta: SendMeta, reason: QueueDropReason) => void;

export interface SendQueueOptions {
  readonly onDrop: OnDrop;
  /** For datagrams whose meta has none; Infinity: never. */
  readonly audioDeadlineMs?: number;
  readonly videoDeadlineMs?: number;
  readonly maxMediaBytes?: number;
  readonly maxReliableBytes?: number;
}

/** RTP's synchronisation source is in clear in SRTP as well (RFC 3711 section 3.1). */
const ssrcOffset = 8;
const rtpHeaderBytes = 12;
/** Frames and streams that are cut at a time; a participant has six video slots. */
const maxCuts = 16;

export class SendQueue {
  readonly #control = new DatagramRing();
  readonly #transport = new DatagramRing();
  readonly #audio = new DatagramRing();
  readonly #video = new DatagramRing();
  readonly #onDrop: OnDrop;
  readonly #audioDeadlineMs: number;
  readonly #videoDeadlineMs: number;
  readonly #maxMediaBytes: number;
  readonly #maxReliableBytes: number;
  /** Frames of which a packet was dropped; newest last. */
  readonly #cutFrames: number[] = [];
  /** Streams that go on with a key frame only. */
  readonly #cutStreams: number[] = [];

  constructor(options: SendQueueOptions) {
    this.#onDrop = options.onDrop;
    this.#audioDeadlineMs = options.audioDeadlineMs ?? flowLimits.audioDeadlineMs;
    this.#videoDeadlineMs = options.videoDeadlineMs ?? flowLimits.videoDeadlineMs;
    this.#maxMediaBytes = options.maxMediaBytes ?? flowLimits.maxMediaBytes;
    this.#maxReliableBytes = options.maxReliableBytes ?? flowLimits.maxReliableBytes;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  get count(): number {
    return this.#control.count + this.#transport.count + this.#audio.count + this.#video.count;
  }

  /** Of the datagrams alone. */
  get bytes(): number {
    return this.#control.bytes + this.#transport.bytes + this.#audio.bytes + this.#video.bytes;
  }

  /** Takes the datagram over. False, and nothing changed: control and transport have more waiting than is allowed. */
  push(datagram: Uint8Array, meta: SendMeta, now: number): boolean {
    if (meta.lane < lane.audio) {
      if (this.#control.bytes + this.#transport.bytes + datagram.length > this.#maxReliableBytes) return false;
      (meta.lane === lane.control ? this.#control : this.#transport).push(datagram, meta, now);
      return true;
    }
    const [audio, video] = [this.#audio, this.#video];
    (meta.lane === lane.audio ? audio : video).push(datagram, meta, now);
    this.expire(now);
    while (audio.bytes + video.bytes > this.#maxMediaBytes) {
      if (video.count > 0) this.#dropVideo('queue-full');
      else this.#drop(audio, 'queue-full');
      this.#dropCutVideo();
    }
    return true;
  }

  /** Drops what is too old. */
  expire(now: number): void {
    const [audio, video] = [this.#audio, this.#video];
    while (audio.count > 0 && isStale(audio, this.#audioDeadlineMs, now)) this.#drop(audio, 'stale');
    if (video.count === 0) return;
    this.#dropCutVideo();
    while (video.count > 0 && isStale(video, this.#videoDeadlineMs, now)) {
      this.#dropVideo('stale');
      this.#dropCutVideo();
    }
  }

  /** The next datagram, which `shift` takes out; null when nothing waits. Call `expire` first. */
  peek(): Uint8Array | null {
    return this.#control.head ?? this.#transport.head ?? this.#audio.head ?? this.#video.head;
  }

  /** Whether what `peek` shows is anything but video. */
  get headIsUrgent(): boolean {
    return this.#audio.count > 0 || this.#control.count + this.#transport.count > 0;
  }

  /** Takes out what `peek` showed. */
  shift(): void {
    if (this.#control.count > 0) this.#control.shift();
    else if (this.#transport.count > 0) this.#transport.shift();
    else if (this.#audio.count > 0) this.#audio.shift();
    else {
      this.#video.shift();
      if (this.#video.count > 0) this.#dropCutVideo();
    }
  }

  /** Lets go of everything but control frames, and tells nobody. */
  keepControl(): void {
    for (const ring of [this.#transport, this.#audio, this.#video]) while (ring.count > 0) ring.shift();
  }

  #drop(ring: DatagramRing, reason: QueueDropReason): void {
    const meta = ring.headMeta;
    ring.shift();
    this.#onDrop(meta, reason);
  }

  #dropVideo(reason: QueueDropReason): void {
    const video = this.#video;
    const { frameId, discardable } = video.headMeta;
    const datagram = video.head;
    // Where the sender knows no frames, nothing is known of what builds on what.
    if (frameId !== 0) {
      remember(this.#cutFrames, frameId);
      if (!discardable && datagram !== null && datagram.length >= rtpHeaderBytes) {
        remember(this.#cutStreams, u32(datagram, ssrcOffset));
      }
    }
    this.#drop(video, reason);
  }

  /** Until what stands at the head of the video lane can be decoded. */
  #dropCutVideo(): void {
    const video = this.#video;
    while (this.#cutFrames.length + this.#cutStreams.length > 0 && video.count > 0) {
      const { frameId, keyFrame } = video.headMeta;
      if (frameId !== 0 && this.#cutFrames.includes(frameId)) {
        this.#drop(video, 'frame');
        continue;
      }
      const datagram = video.head;
      if (frameId === 0 || datagram === null || datagram.length < rtpHeaderBytes) return;
      const cut = this.#cutStreams.indexOf(u32(datagram, ssrcOffset));
      if (cut === -1) return;
      if (keyFrame) {
        this.#cutStreams.splice(cut, 1);
        return;
      }
      this.#drop(video, 'dependent');
    }
  }
}

/** `deadlineMs` for datagrams that have none of their own. */
function isStale(ring: DatagramRing, deadlineMs: number, now: number): boolean {
  return now - ring.headPushedAt > (ring.headMeta.deadlineMs || deadlineMs);
}

function remember(list: number[], value: number): void {
  if (list.includes(value)) return;
  if (list.length === maxCuts) list.shift();
  list.push(value);
}
