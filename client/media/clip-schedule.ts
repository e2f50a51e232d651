/**
 * What of a looping clip is due when. Pictures and sound share one timeline, so that lips stay in sync; a jump to a key
 * frame moves both. Sans-I/O: times are ms of the caller's clock.
 */
import type { Clip } from './clip.ts';
import type { IvfFrame } from './ivf.ts';
import type { OpusPacket } from './ogg-opus.ts';

export type DueItem =
  | { readonly kind: 'video'; readonly atMs: number; readonly frame: IvfFrame }
  | { readonly kind: 'audio'; readonly atMs: number; readonly packet: OpusPacket };

/** Opus packets stand on this grid, in ms; laps and jumps keep to it, so that sound has no seams. */
const gridMs = 20;
/** Further behind than this (a process that was stopped), time is skipped rather than caught up. */
const maxBehindMs = 500;

interface Lane<T> {
  readonly items: readonly T[];
  readonly times: readonly number[];
  next: number;
  /** When the item of time 0 of the present lap plays. */
  lapStart: number;
}

export class ClipSchedule {
  readonly #video: Lane<IvfFrame>;
  readonly #audio: Lane<OpusPacket>;
  readonly #periodMs: number;
  #shift: number;

  constructor(clip: Clip, startMs: number) {
    const durationMs = clip.video?.durationMs ?? clip.audio?.durationMs ?? 0;
    const periodMs = Math.max(gridMs, Math.ceil(durationMs / gridMs) * gridMs);
    const frames = clip.video?.frames ?? [];
    const packets = clip.audio?.packets ?? [];
    const packetTimes: number[] = [];
    let samples = 0;
    for (const packet of packets) {
      packetTimes.push(samples / 48);
      samples += packet.samples;
    }
    // Sound that outlasts the pictures is cut.
    const kept = packetTimes.filter((time) => time < periodMs);
    const frameTimes = frames.map((frame) => frame.timeMs);
    this.#periodMs = periodMs;
    this.#shift = startMs;
    this.#video = { items: frames, times: frameTimes, next: 0, lapStart: 0 };
    this.#audio = { items: packets.slice(0, kept.length), times: kept, next: 0, lapStart: 0 };
  }

  /** When `take` gives the next item; null for an empty clip. */
  nextDueMs(): number | null {
    const video = dueOf(this.#video);
    const audio = dueOf(this.#audio);
    const due = Math.min(video ?? Infinity, audio ?? Infinity);
    return due === Infinity ? null : due + this.#shift;
  }

  /** The next item that is due, or null. `atMs` is when it should have played, from the start of the schedule. */
  take(nowMs: number): DueItem | null {
    const due = this.nextDueMs();
    if (due === null || due > nowMs) return null;
    if (nowMs - due > maxBehindMs) this.#shift += nowMs - due;
    const video = dueOf(this.#video) ?? Infinity;
    const audio = dueOf(this.#audio) ?? Infinity;
    if (audio <= video) return { kind: 'audio', atMs: audio, packet: advance(this.#audio, this.#periodMs) };
    return { kind: 'video', atMs: video, frame: advance(this.#video, this.#periodMs) };
  }

  /** The next frame to be shown becomes the next key frame of the clip; sound jumps along. */
  jumpToKeyFrame(): void {
    const lane = this.#video;
    const due = dueOf(lane);
    if (due === null) return;
    let key = lane.items.findIndex((frame, index) => index >= lane.next && frame.keyFrame);
    // The first frame of a clip is one: in the next lap then.
    const ahead = key < 0 ? this.#periodMs : 0;
    if (key < 0) key = 0;
    const jumpMs = lane.lapStart + (lane.times[key] as number) + ahead - due;
    lane.lapStart += ahead - jumpMs;
    lane.next = key;
    const audio = this.#audio;
    if (audio.items.length === 0) return;
    const audioDue = dueOf(audio) as number;
    audio.lapStart -= Math.round(jumpMs / gridMs) * gridMs;
    while ((dueOf(audio) as number) < audioDue) advance(audio, this.#periodMs);
  }
}

function dueOf<T>(lane: Lane<T>): number | null {
  const time = lane.times[lane.next];
  return time === undefined ? null : lane.lapStart + time;
}

function advance<T>(lane: Lane<T>, periodMs: number): T {
  const item = lane.items[lane.next] as T;
  lane.next += 1;
  if (lane.next === lane.items.length) {
    lane.next = 0;
    lane.lapStart += periodMs;
  }
  return item;
}
