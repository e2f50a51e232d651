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
}

/** Nothing has come for so long: what is missing is lost. */
const stallMs = 300;

/** What the receivers' sockets got. Outgoing numbers differ from the source's by the same amount throughout. */
export class Arrivals {
  received = 0;
  #lastAt = 0;
  readonly #shifts = new Map<number, number>();
  #firstNumber = 0;
  #sentAt: Float64Array = new Float64Array(0);
  #delays: number[] = [];

  packet(socket: number, sequenceNumber: number, ssrc: number): void {
    this.received++;
    const now = performance.now();
    this.#lastAt = now;
    const key = socket * 0x1_0000_0000 + ssrc;
    let shift = this.#shifts.get(key);
    if (shift === undefined) {
      shift = (sequenceNumber - this.#firstNumber) & 0xffff;
      this.#shifts.set(key, shift);
    }
    const sentAt = this.#sentAt[(sequenceNumber - shift - this.#firstNumber) & 0xffff] ?? 0;
    if (sentAt > 0) this.#delays.push(now - sentAt);
  }

  async blast(packets: readonly Captured[], options: BlastOptions): Promise<BlastResult> {
    const { receivers, burst, perSecond, window } = options;
    const first = packets[0];
    if (first === undefined) throw new Error('nothing was captured');
    this.#firstNumber = u16(first.datagram, 2);
    // Numbers repeat after 65,536 packets: then the new ones' times stand here, which is what is wanted.
    this.#sentAt = new Float64Array(0x1_0000);
    this.#delays = [];
    this.received = 0;
    let lost = 0;
    let sent = 0;
    const start = performance.now();
    this.#lastAt = start;
    while (sent < packets.length || this.received + lost < sent * receivers) {
      const now = performance.now();
      const due = perSecond > 0 ? ((now - start) * perSecond) / 1000 : (this.received + lost) / receivers + window;
      if (sent < packets.length && sent + burst <= due)
        this.#send(packets, sent, (sent = Math.min(packets.length, sent + burst)));
      else if (now - this.#lastAt > stallMs && this.received + lost < sent * receivers) {
        lost = sent * receivers - this.received;
        this.#lastAt = now;
      }
      await new Promise(setImmediate);
    }
    const delays = this.#delays.sort((a, b) => a - b);
    return {
      sent,
      received: this.received,
      ms: this.#lastAt - start,
      delayP50Ms: delays.length === 0 ? 0 : percentile(delays, 0.5),
      delayP99Ms: delays.length === 0 ? 0 : percentile(delays, 0.99),
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
