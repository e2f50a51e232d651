/**
 * When each audio packet of one slot is played: late enough for what the network is late, and no later. Sans-I/O; driven
 * by `pull`, once for each stretch of sound that was played. Timestamps are of 48 kHz; times are monotonic ms.
 */
import { opusSamples } from '../media/opus-packet.ts';
import { TimestampUnwrapper } from '../media/timestamp-unwrapper.ts';
import { DelayTarget } from './delay-target.ts';

export type PlayoutStep =
  /** Decode this. `shorten`: more waits than has to, so a little of it may be left out. */
  | { readonly type: 'packet'; readonly payload: Uint8Array; readonly samples: number; readonly shorten: boolean }
  /** Nothing came that belongs here: make something up, of {@link frameSamples}. */
  | { readonly type: 'conceal' }
  | { readonly type: 'silence' };

export const frameSamples = 960;
const samplesPerMs = 48;
const frameMs = frameSamples / samplesPerMs;
/** Packets that may wait; at 20 ms each, two seconds. */
const maxPackets = 100;
/** What is made up when nothing comes; after that the source is silent for all one knows. */
const maxConcealedFrames = 5;
/** Beyond the target, this much may wait before it is drained, and beyond that whole packets go. */
const shortenAboveMs = 20;
const skipAboveMs = 160;
/** An interruption up to this long is the network's; a longer one is the source's. */
const maxGapMs = 1_000;
/** A jump that no delay explains: another beginning. */
const maxJump = 10 * 48_000;

interface Waiting {
  readonly payload: Uint8Array;
  readonly samples: number;
}

export class AudioPlayout {
  readonly #target = new DelayTarget();
  readonly #packets = new Map<number, Waiting>();
  #unwrapper = new TimestampUnwrapper();
  /** RTP timestamp minus the unwrapped one. */
  #origin = 0;
  #next: number | null = null;
  #end = 0;
  #firstAt: number | null = null;
  #pending = 0;
  #stoppedAt: number | null = null;
  #played = 0;
  #concealed = 0;
  #late = 0;
  #skipped = 0;

  /** Of what waits now, in ms. */
  get levelMs(): number {
    const from = this.#next ?? this.#lowest();
    return from === null ? 0 : Math.max(0, (this.#end - from) / samplesPerMs);
  }

  get targetMs(): number {
    return this.#target.ms;
  }

  /** Samples that were played as they came. */
  get playedSamples(): number {
    return this.#played;
  }

  /** Samples that were made up or missing, in interruptions of less than a second. */
  get concealedSamples(): number {
    return this.#concealed;
  }

  /** Packets that came after their time, and those left out to catch up. */
  get discarded(): number {
    return this.#late + this.#skipped;
  }

  /** RTP timestamp of what the next `pull` plays; null while nothing is played. */
  get position(): number | null {
    return this.#next === null ? null : (this.#next + this.#origin) >>> 0;
  }

  /** Kept until it is played. */
  push(timestamp: number, payload: Uint8Array, now: number): void {
    const samples = opusSamples(payload);
    if (samples === 0) return;
    let at = this.#unwrapper.unwrap(timestamp);
    const present = this.#next ?? (this.#packets.size > 0 ? this.#end : at);
    if (Math.abs(at - present) > maxJump) {
      this.#restart();
      at = this.#unwrapper.unwrap(timestamp);
    }
    this.#origin = (timestamp - at) >>> 0;
    this.#target.arrived(now - at / samplesPerMs);
    if (this.#next !== null && at < this.#next) {
      this.#late += 1;
      return;
    }
    this.#packets.set(at, { payload, samples });
    this.#end = Math.max(this.#end, at + samples);
    this.#firstAt ??= now;
    if (this.#packets.size > maxPackets) this.#packets.delete(this.#lowest() ?? at);
  }

  pull(now: number): PlayoutStep {
    if (this.#next === null && !this.#begin(now)) return { type: 'silence' };
    this.#catchUp();
    const next = this.#next ?? 0;
    const packet = this.#packets.get(next);
    if (packet !== undefined) {
      this.#packets.delete(next);
      this.#next = next + packet.samples;
      this.#concealed += this.#pending * frameSamples;
      this.#pending = 0;
      this.#played += packet.samples;
      const shorten = this.levelMs > this.#target.ms + shortenAboveMs;
      return { type: 'packet', ...packet, shorten };
    }
    const lowest = this.#lowest();
    const hasWaited = this.levelMs + frameMs > this.#target.ms || this.#pending >= maxConcealedFrames;
    if (lowest !== null && hasWaited) {
      // Lost, for later ones are there, and it had all the time that packets may take.
      this.#next = Math.min(next + frameSamples, lowest);
      this.#concealed += frameSamples;
      return { type: 'conceal' };
    }
    if (this.#pending < maxConcealedFrames) {
      this.#pending += 1;
      return { type: 'conceal' };
    }
    this.#next = null;
    this.#firstAt = null;
    this.#stoppedAt = now - this.#pending * frameMs;
    this.#pending = 0;
    return { type: 'silence' };
  }

  /** Waits until there is as much as the network's unevenness asks for. */
  #begin(now: number): boolean {
    const lowest = this.#lowest();
    if (lowest === null || this.#firstAt === null) return false;
    if (this.levelMs < this.#target.ms && now - this.#firstAt < this.#target.ms) return false;
    this.#next = lowest;
    if (this.#stoppedAt !== null && now - this.#stoppedAt < maxGapMs) {
      this.#concealed += Math.round((now - this.#stoppedAt) * samplesPerMs);
    }
    this.#stoppedAt = null;
    return true;
  }

  #catchUp(): void {
    while (this.#next !== null && this.levelMs > this.#target.ms + skipAboveMs) {
      const packet = this.#packets.get(this.#next);
      this.#packets.delete(this.#next);
      this.#next += packet?.samples ?? frameSamples;
      this.#skipped += 1;
    }
  }

  #restart(): void {
    this.#packets.clear();
    this.#unwrapper = new TimestampUnwrapper();
    this.#next = null;
    this.#end = 0;
    this.#firstAt = null;
    this.#pending = 0;
    this.#target.restart();
  }

  /** Of those that can still be played: where packets overlap, some cannot. */
  #lowest(): number | null {
    let lowest: number | null = null;
    for (const at of this.#packets.keys()) {
      if (this.#next !== null && at < this.#next) {
        this.#packets.delete(at);
        this.#skipped += 1;
      } else if (lowest === null || at < lowest) lowest = at;
    }
    return lowest;
  }
}
