/** Sends captured packets through a forwarder and watches what comes of them. */
import { u16 } from '../../tunnel-protocol/index.ts';
import { percentile } from '../harness/statistics.ts';
import type { Captured } from './socket-tap.ts';

export interface BlastOptions {
  /** How many receive each packet. */
  readonly receivers: number;
  /** Packets that go at once. */
  readonly burst: number;
  /** Packets per second; 0: as fast as they come out, with `window` packets under way. */
  readonly perSecond: number;
  readonly window: number;
}

export interface BlastResult {
  readonly sent: number;
  readonly received: number;
  readonly ms: number;
  /** From the sending of a packet to its coming out, in ms; with what the load's own process adds. */
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  /** The longest that the load itself did not come to its turn, in ms. */
  readonly heldUpMs: number;
}

/** Nothing has come for so long: what is missing is lost. */
const stallMs = 300;

/**
 * What the receivers' sockets got. Outgoing numbers differ from the source's by the same amount throughout. Nothing is allocated
 * by packet: with a hundred thousand in a second, the load's own garbage collection would be what is measured.
 */
export class Arrivals {
  received = 0;
  readonly #lastAt = new Float64Array(1);
  readonly #shifts = new Map<number, number>();
  #firstNumber = 0;
  #sentAt: Float64Array = new Float64Array(0);
  #delays: Float64Array = new Float64Array(0);
  #delayCount = 0;

  packet(socket: number, sequenceNumber: number, ssrc: number): void {
    this.received++;
    const now = performance.now();
    this.#lastAt[0] = now;
    const key = socket * 0x1_0000_0000 + ssrc;
    let shift = this.#shifts.get(key);
    if (shift === undefined) {
      shift = (sequenceNumber - this.#firstNumber) & 0xffff;
      this.#shifts.set(key, shift);
    }
    const sentAt = this.#sentAt[(sequenceNumber - shift - this.#firstNumber) & 0xffff] ?? 0;
    if (sentAt > 0) this.#delays[this.#delayCount++] = now - sentAt;
  }

  async blast(packets: readonly Captured[], options: BlastOptions): Promise<BlastResult> {
    const { receivers, burst, perSecond, window } = options;
    const first = packets[0];
    if (first === undefined) throw new Error('nothing was captured');
    this.#firstNumber = u16(first.datagram, 2);
    // Numbers repeat after 65,536 packets: then the new ones' times stand here, which is what is wanted.
    this.#sentAt = new Float64Array(0x1_0000);
    this.#delays = new Float64Array(packets.length * receivers * 2);
    this.#delayCount = 0;
    this.received = 0;
    let lost = 0;
    let sent = 0;
    const start = performance.now();
    this.#lastAt[0] = start;
    let heldUpMs = 0;
    let before = start;
    while (sent < packets.length || this.received + lost < sent * receivers) {
      const now = performance.now();
      heldUpMs = Math.max(heldUpMs, now - before);
      before = now;
      const due = perSecond > 0 ? ((now - start) * perSecond) / 1000 : (this.received + lost) / receivers + window;
      if (sent < packets.length && sent + burst <= due)
        this.#send(packets, sent, (sent = Math.min(packets.length, sent + burst)));
      else if (now - this.#lastAt[0] > stallMs && this.received + lost < sent * receivers) {
        lost = sent * receivers - this.received;
        this.#lastAt[0] = now;
      }
      await new Promise(setImmediate);
    }
    const delays = [...this.#delays.subarray(0, this.#delayCount).sort()];
    return {
      sent,
      received: this.received,
      ms: this.#lastAt[0] - start,
      delayP50Ms: delays.length === 0 ? 0 : percentile(delays, 0.5),
      delayP99Ms: delays.length === 0 ? 0 : percentile(delays, 0.99),
      heldUpMs,
    };
  }

  #send(packets: readonly Captured[], from: number, to: number): void {
    const now = performance.now();
    for (let i = from; i < to; i++) {
      const { sender, datagram, to: address } = packets[i] as Captured;
      this.#sentAt[i & 0xffff] = now;
      sender.send(datagram, address);
    }
    packets[from]?.sender.flush();
  }
}
