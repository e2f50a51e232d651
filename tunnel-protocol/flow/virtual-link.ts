/**
 * Two ends with flow control on a virtual clock, and between them a reliable, ordered link as TCP makes one: each way a
 * rate, a delay and stalls (a lost segment holds up all that comes behind it). For tests.
 */
import { forEachFrame, frameHeaderBytes } from '../frames.ts';
import type { SendMeta } from '../path.ts';
import { creditType } from './credit.ts';
import type { FlowLimits } from './flow-limits.ts';
import type { QueueDropReason } from './send-queue.ts';
import { TunnelFlow } from './tunnel-flow.ts';

export interface Delivery {
  readonly datagram: Uint8Array;
  readonly at: number;
}

interface Flight {
  readonly message: Uint8Array;
  readonly at: number;
}

/** Added by TLS, TCP and IP to a message, roughly. */
const messageOverheadBytes = 80;

export class VirtualEnd {
  readonly flow: TunnelFlow;
  readonly drops: { readonly meta: SendMeta; readonly reason: QueueDropReason; readonly at: number }[] = [];
  readonly deliveries: Delivery[] = [];
  /** Bytes per ms that leave this end, and the way's delay in ms. */
  rate = Infinity;
  delayMs = 25;
  /** Bytes on the wire so far, and in messages that carry nothing but a credit. */
  wireBytes = 0;
  creditMessages = 0;
  messages = 0;
  faults = 0;
  readonly #flights: Flight[] = [];
  readonly #link: VirtualLink;
  #freeAt = 0;
  #stalledUntil = 0;

  constructor(link: VirtualLink, limits: Partial<FlowLimits>, clockShift: number) {
    this.#link = link;
    this.clockShift = clockShift;
    this.flow = new TunnelFlow({
      now: link.now + clockShift,
      messageBytes: 16_384,
      limits,
      onDrop: (meta, reason) => this.drops.push({ meta, reason, at: link.now }),
    });
  }

  /** This end's clock is ahead of the link's by so much. */
  readonly clockShift: number;

  /** Bytes given to the link that have not left it. */
  get backlogBytes(): number {
    return Math.max(0, this.#freeAt - this.#link.now) * this.rate;
  }

  send(datagram: Uint8Array, meta: SendMeta): boolean {
    return this.flow.push(datagram, meta, this.#link.now + this.clockShift);
  }

  /** Nothing that leaves this end arrives before. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#link.now + ms);
  }

  /** Writes what may leave. */
  flush(): void {
    const { now } = this.#link;
    const own = now + this.clockShift;
    for (let message = this.flow.nextMessage(own); message !== null; message = this.flow.nextMessage(own)) {
      const bytes = message.length + messageOverheadBytes;
      this.wireBytes += bytes;
      this.messages++;
      if (message.length === frameHeaderBytes + 12 && message[frameHeaderBytes] === creditType) this.creditMessages++;
      this.#freeAt = Math.max(now, this.#freeAt) + bytes / this.rate;
      const before = this.#flights.at(-1)?.at ?? 0;
      this.#flights.push({ message, at: Math.max(before, this.#freeAt + this.delayMs, this.#stalledUntil) });
    }
  }

  /** Hands what is there by now to the other end. */
  deliverTo(peer: VirtualEnd): void {
    const { now } = this.#link;
    while (this.#flights[0] !== undefined && this.#flights[0].at <= now) {
      const { message } = this.#flights.shift() as Flight;
      peer.take(message, now);
    }
  }

  take(message: Uint8Array, now: number): void {
    const own = now + this.clockShift;
    let bytes = message.length;
    forEachFrame(message, (frame) => {
      if (frame[0] !== creditType) this.deliveries.push({ datagram: frame.slice(), at: now });
      else {
        bytes -= frame.length + frameHeaderBytes;
        if (!this.flow.credit(frame, own)) this.faults++;
      }
    });
    this.flow.received(bytes, own);
  }
}

export class VirtualLink {
  now = 1000;
  readonly left: VirtualEnd;
  readonly right: VirtualEnd;

  constructor(limits: Partial<FlowLimits> = {}) {
    this.left = new VirtualEnd(this, limits, 0);
    this.right = new VirtualEnd(this, limits, 1_234_567);
    this.left.flow.agree();
    this.right.flow.agree();
  }

  /** Lets time pass in steps of one ms; `each` is called in each of them, before what it sent leaves. */
  run(ms: number, each: (now: number) => void = () => undefined): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now++;
      this.left.deliverTo(this.right);
      this.right.deliverTo(this.left);
      each(this.now);
      this.left.flush();
      this.right.flush();
    }
  }
}
