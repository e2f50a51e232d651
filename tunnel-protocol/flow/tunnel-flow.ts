/**
 * Flow control of one connection of a tunnel, one for each end, sans-I/O: what is sent waits in a queue of our own, where
 * it can still be overtaken or dropped, and only as much is given to the connection as the peer's credits allow.
 *
 * Give it what is to be sent (`push`), what came (`credit` for credit frames, `received` for the sum of a message), and
 * write what `nextMessage` gives while the connection takes it. Until `agree`, the connection is sent all there is.
 */
import { putU16 } from '../bytes.ts';
import { frameHeaderBytes } from '../frames.ts';
import type { SendMeta } from '../path.ts';
import { CreditReader, CreditSource, creditFrameBytes } from './credit.ts';
import { DeliveryRate } from './delivery-rate.ts';
import { flowLimits } from './flow-limits.ts';
import type { FlowLimits } from './flow-limits.ts';
import { SendQueue } from './send-queue.ts';
import type { OnDrop } from './send-queue.ts';

export interface TunnelFlowOptions {
  readonly now: number;
  readonly onDrop: OnDrop;
  readonly limits?: Partial<FlowLimits>;
  /** Largest message, in bytes. */
  readonly messageBytes: number;
  /**
   * Memory for messages, of at least `messageBytes`, where the connection copies what it is given: each message is then
   * valid until the next one is made. Without it every message has memory of its own.
   */
  readonly scratch?: Uint8Array;
}

export class TunnelFlow {
  readonly #queue: SendQueue;
  readonly #limits: FlowLimits;
  readonly #rate: DeliveryRate;
  readonly #source: CreditSource;
  readonly #reader = new CreditReader();
  readonly #messageBytes: number;
  readonly #scratch: Uint8Array | null;
  #agreed = false;
  #frames = 0;
  /** Since when something had to wait for credits and none came. */
  #blockedSince: number | null = null;
  #uncreditedSince: number | null = null;

  constructor(options: TunnelFlowOptions) {
    this.#limits = { ...flowLimits, ...options.limits };
    this.#queue = new SendQueue({ ...this.#limits, onDrop: options.onDrop });
    this.#rate = new DeliveryRate(this.#limits, options.now);
    this.#source = new CreditSource(this.#limits);
    this.#messageBytes = options.messageBytes;
    this.#scratch = options.scratch ?? null;
  }

  /** Both ends have said that they credit. */
  agree(): void {
    this.#agreed = true;
  }

  get agreed(): boolean {
    return this.#agreed;
  }

  get isEmpty(): boolean {
    return this.#queue.isEmpty;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  get inFlightBytes(): number {
    return this.#rate.inFlightBytes;
  }

  get windowBytes(): number {
    return this.#agreed ? this.#rate.windowBytes : Infinity;
  }

  /** Bits per second that the connection delivers, where that is less than what was to be sent lately; else null. */
  rateLimit(now: number): number | null {
    return this.#rate.rateLimit(now);
  }

  /** The smallest round trip of late in ms, without the time that credits were held; null before the first. */
  get roundTripMs(): number | null {
    return this.#rate.roundTripMs;
  }

  /** Since when the window is used up and the peer credits nothing, in ms; null while all is well. */
  get blockedSince(): number | null {
    return this.#blockedSince;
  }

  /** Since when so much is on its way that it should be credited, and nothing of it is, in ms; null while all is well. */
  get uncreditedSince(): number | null {
    return this.#uncreditedSince;
  }

  /** Datagrams in the messages made so far. */
  get sentFrames(): number {
    return this.#frames;
  }

  /** Takes over one datagram that fits a frame. False: the reliable lanes are full, so the peer does not read. */
  push(datagram: Uint8Array, meta: SendMeta, now: number): boolean {
    return this.#queue.push(datagram, meta, now);
  }

  /** The connection is about to be closed: only control frames are still given out, and all of them at once. */
  end(): void {
    this.#agreed = false;
    this.#queue.keepControl();
  }

  /** One credit frame. False: it is malformed, or credits what was never sent. */
  credit(frame: Uint8Array, now: number): boolean {
    const reader = this.#reader;
    if (!reader.read(frame)) return false;
    if (reader.asked) this.#source.ask();
    if (!this.#rate.credited(reader.bytes, reader.heldMs, reader.arrivalMs, now)) return false;
    if (reader.bytes > 0) {
      this.#blockedSince = null;
      this.#uncreditedSince = this.#mustBeCredited ? now : null;
    }
    return true;
  }

  /** Frames came whose bytes, lengths included and credits left out, are so many in sum. */
  received(bytes: number, now: number): void {
    this.#source.received(bytes, now);
  }

  /** Drops what is too old, and tells whether `nextMessage` has something. */
  wantsToSend(now: number): boolean {
    if (this.#agreed && this.#source.isDue(now)) return true;
    if (!this.#queue.isEmpty) this.#queue.expire(now);
    return !this.#queue.isEmpty && this.#hasRoom();
  }

  /** When a credit is due that found nothing to ride with; null for never. */
  nextTimeout(): number | null {
    return this.#agreed ? this.#source.dueAt : null;
  }

  /** The next message for the connection, given away (but see `scratch`); null when there is none now. */
  nextMessage(now: number): Uint8Array | null {
    const queue = this.#queue;
    queue.expire(now);
    const hasRoom = this.#hasRoom();
    const first = hasRoom ? queue.peek() : null;
    if (first === null) {
      this.#noteEnd(now);
      return this.#agreed && this.#source.isDue(now) ? this.#creditAlone(now) : null;
    }
    // Nothing of this changes while the message is made, but whether the head is urgent.
    const allowance = this.#allowanceOf(false);
    const urgentAllowance = this.#allowanceOf(true);
    const room = this.#roomForMessage(first.length, queue.headIsUrgent ? urgentAllowance : allowance);
    const message = this.#scratch ?? new Uint8Array(room);
    let at = this.#agreed ? frameHeaderBytes + creditFrameBytes : 0;
    const body = at;
    for (let next: Uint8Array | null = first; next !== null; next = queue.peek()) {
      const { length } = next;
      const end = at + frameHeaderBytes + length;
      if (at > body && (end > room || end - body > (queue.headIsUrgent ? urgentAllowance : allowance))) break;
      message[at] = length >>> 8;
      message[at + 1] = length;
      copyInto(message, at + frameHeaderBytes, next);
      at = end;
      this.#frames++;
      queue.shift();
    }
    this.#rate.sentMessage(at - body, now);
    if (this.#mustBeCredited) this.#uncreditedSince ??= now;
    this.#noteEnd(now);
    if (body === 0) return partOf(message, 0, at);
    // A receiver that is not asked credits late, which is good enough until half of the window is used up.
    const asks = this.#rate.inFlightBytes * 2 > this.#rate.windowBytes;
    if (!asks && !this.#source.rides(now)) return partOf(message, body, at);
    putU16(message, 0, creditFrameBytes);
    this.#source.writeInto(message, frameHeaderBytes, asks, now);
    return partOf(message, 0, at);
  }

  /** So little may wait at the peer for something to ride with. */
  get #mustBeCredited(): boolean {
    return this.#rate.inFlightBytes >= this.#limits.creditLeastBytes;
  }

  #creditAlone(now: number): Uint8Array {
    const message = this.#scratch ?? new Uint8Array(frameHeaderBytes + creditFrameBytes);
    putU16(message, 0, creditFrameBytes);
    return message.subarray(0, this.#source.writeInto(message, frameHeaderBytes, false, now));
  }

  #hasRoom(): boolean {
    return this.#allowance() > 0;
  }

  /** How much more of what comes next may be in flight. */
  #allowance(): number {
    return this.#allowanceOf(this.#queue.headIsUrgent);
  }

  #allowanceOf(isUrgent: boolean): number {
    if (!this.#agreed) return Infinity;
    const reserve = isUrgent ? this.#limits.reserveBytes : 0;
    return this.#rate.windowBytes + reserve - this.#rate.inFlightBytes;
  }

  /** Message bytes, at least for one datagram; the window may be passed by that. */
  #roomForMessage(firstBytes: number, allowance: number): number {
    const extra = this.#agreed ? frameHeaderBytes + creditFrameBytes : 0;
    const wanted = Math.min(this.#messageBytes, extra + this.#queuedFrameBytes());
    return Math.max(extra + frameHeaderBytes + firstBytes, Math.min(wanted, extra + allowance));
  }

  #queuedFrameBytes(): number {
    return this.#queue.bytes + this.#queue.count * frameHeaderBytes;
  }

  #noteEnd(now: number): void {
    if (!this.#agreed) return;
    if (this.#queue.isEmpty) {
      if (this.#hasRoom()) this.#rate.appLimited();
    } else if (!this.#hasRoom()) {
      this.#blockedSince ??= now;
      this.#rate.windowLimited(now);
    }
  }
}

/** At less than half of what `subarray` costs. */
function partOf({ buffer, byteOffset }: Uint8Array, from: number, to: number): Uint8Array {
  return new Uint8Array(buffer, byteOffset + from, to - from);
}

/** A loop for what is short: for it, `set` costs more than the bytes do. */
function copyInto(target: Uint8Array, at: number, source: Uint8Array): void {
  if (source.length > 48) {
    target.set(source, at);
    return;
  }
  for (let i = 0; i < source.length; i++) target[at + i] = source[i] as number;
}
