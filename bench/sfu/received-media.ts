/** What a synthetic peer gets: counted by stream, looked into now and then for the time on the way, and told to the sender. */
import { encodeTransportFeedback, isSrtpError, u16, u32, type SrtpSession } from '../../tunnel-protocol/index.ts';
import { extensionIds, payloadTypes } from './synthetic-offer.ts';

/** One packet of so many is decrypted, to read when it was sent. */
const sampled = 8;
/** Bytes at the end of every payload that hold the sender's clock, in ms. */
export const stampBytes = 8;
const feedbackRoom = 2048;

interface Stream {
  first: number;
  highest: number;
  received: number;
}

export class ReceivedMedia {
  received = 0;
  bytes = 0;
  /** Repetitions and padding. */
  rtx = 0;
  delays: number[] = [];
  readonly #streams = new Map<number, Stream>();
  readonly #clock = new DataView(new ArrayBuffer(stampBytes));
  readonly #arrivals: number[] = [];
  #base = -1;
  #feedbackCount = 0;
  #mediaSsrc = 0;

  packet(datagram: Uint8Array, srtp: SrtpSession): void {
    const now = performance.now();
    this.received++;
    this.bytes += datagram.length;
    this.#noteArrival(datagram, now);
    if (((datagram[1] as number) & 0x7f) === payloadTypes.rtx) {
      this.rtx++;
      return;
    }
    this.#count(u32(datagram, 8), u16(datagram, 2));
    if (this.received % sampled !== 0) return;
    const clear = srtp.unprotectRtp(datagram);
    if (isSrtpError(clear) || clear.length < stampBytes) return;
    new Uint8Array(this.#clock.buffer).set(clear.subarray(clear.length - stampBytes));
    this.delays.push(now - this.#clock.getFloat64(0));
  }

  /** Packets that the numbers show as missing; from here on they are counted anew. */
  takeLost(): number {
    let lost = 0;
    for (const { first, highest, received } of this.#streams.values()) lost += highest - first + 1 - received;
    return lost;
  }

  restart(): void {
    this.received = 0;
    this.bytes = 0;
    this.rtx = 0;
    this.delays = [];
    this.#streams.clear();
  }

  /** Of what came since the last one; null when nothing did. */
  feedback(): Uint8Array | null {
    if (this.#base < 0) return null;
    // Holes in an array are not lost packets to whoever maps over it.
    const arrivals = Array.from(this.#arrivals, (at: number | undefined) => at ?? NaN);
    const { packet } = encodeTransportFeedback(1, this.#mediaSsrc, this.#feedbackCount, this.#base, arrivals);
    this.#feedbackCount = (this.#feedbackCount + 1) & 0xff;
    this.#base = -1;
    this.#arrivals.length = 0;
    return packet;
  }

  #count(ssrc: number, sequenceNumber: number): void {
    const stream = this.#streams.get(ssrc);
    if (stream === undefined) {
      this.#streams.set(ssrc, { first: sequenceNumber, highest: sequenceNumber, received: 1 });
      return;
    }
    stream.received++;
    const ahead = ((sequenceNumber - stream.highest) << 16) >> 16;
    if (ahead > 0) stream.highest += ahead;
  }

  /** By the transport-wide number, which the SFU writes as the first element of the header extension. */
  #noteArrival(datagram: Uint8Array, now: number): void {
    if (((datagram[0] as number) & 0x10) === 0 || (datagram[16] as number) >>> 4 !== extensionIds.transportWideCc)
      return;
    const number = u16(datagram, 17);
    this.#mediaSsrc = u32(datagram, 8);
    if (this.#base < 0) this.#base = number;
    const place = (number - this.#base) & 0xffff;
    if (place < feedbackRoom) this.#arrivals[place] = now;
  }
}
