/**
 * Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): which packets of a
 * transport came, and when. One object reads feedback after feedback, and nothing is allocated for it.
 */
import { putU16, putU24, putU32, u16, u24 } from '../bytes.ts';
import { rtcpType, transportFormat } from './rtcp-types.ts';

/** More packets in one feedback are not read: nobody holds back so many. */
export const maxFeedbackPackets = 2048;
/** Of the reference time, in ms, and of the differences. */
export const referenceTickMs = 64;
export const deltaTickMs = 0.25;
const headerBytes = 20;
const runLimit = 0x1fff;
const symbolsPerVector = 7;
const symbol = { lost: 0, small: 1, large: 2 } as const;

export class TransportFeedback {
  /** Of the first packet; the others follow it. */
  baseSequence = 0;
  packetCount = 0;
  /** When each came by the receiver's clock, in ms; NaN for those that did not. Valid for the first `packetCount`. */
  readonly arrivals = new Float64Array(maxFeedbackPackets);
  readonly #symbols = new Uint8Array(maxFeedbackPackets);

  /** `bytes` are one RTCP packet, from its header on. False when they are no feedback; nothing is to be used then. */
  read(bytes: Uint8Array): boolean {
    if (bytes.length < headerBytes) return false;
    const count = u16(bytes, 14);
    if (count === 0 || count > maxFeedbackPackets) return false;
    const deltasAt = this.#readSymbols(bytes, count);
    if (deltasAt < 0) return false;
    let time = u24(bytes, 16) * referenceTickMs;
    let at = deltasAt;
    for (let i = 0; i < count; i++) {
      const kind = this.#symbols[i] as number;
      if (kind === symbol.lost) {
        this.arrivals[i] = NaN;
        continue;
      }
      const width = kind === symbol.small ? 1 : 2;
      if (at + width > bytes.length) return false;
      const delta = width === 1 ? (bytes[at] as number) : (u16(bytes, at) << 16) >> 16;
      at += width;
      time += delta * deltaTickMs;
      this.arrivals[i] = time;
    }
    this.baseSequence = u16(bytes, 12);
    this.packetCount = count;
    return true;
  }

  /** Returns the offset behind the chunks; -1 for what is cut short or reserved. */
  #readSymbols(bytes: Uint8Array, count: number): number {
    const symbols = this.#symbols;
    let at = headerBytes;
    for (let done = 0; done < count; at += 2) {
      if (at + 2 > bytes.length) return -1;
      const chunk = u16(bytes, at);
      if (chunk < 0x8000) {
        const kind = chunk >>> 13;
        if (kind > symbol.large) return -1;
        for (let left = Math.min(chunk & runLimit, count - done); left > 0; left--) symbols[done++] = kind;
        if ((chunk & runLimit) === 0) return -1;
      } else if ((chunk & 0x4000) === 0) {
        for (let bit = 13; bit >= 0 && done < count; bit--) symbols[done++] = (chunk >>> bit) & 1;
      } else {
        for (let shift = 12; shift >= 0 && done < count; shift -= 2) {
          const kind = (chunk >>> shift) & 3;
          if (kind > symbol.large) return -1;
          symbols[done++] = kind;
        }
      }
    }
    return at;
  }
}

/**
 * Writes one feedback packet about the packets from `baseSequence` on; `arrivals` are in ms of any clock, NaN for those that
 * did not come, and at least one did. Ends early before an arrival that is too far from the one before to be told.
 * Returns the packet and how many packets it is about.
 */
export function encodeTransportFeedback(
  senderSsrc: number,
  mediaSsrc: number,
  feedbackCount: number,
  baseSequence: number,
  arrivals: readonly number[],
): { readonly packet: Uint8Array; readonly count: number } {
  const first = arrivals.find((arrival) => !Number.isNaN(arrival)) ?? 0;
  const reference = Math.floor(first / referenceTickMs);
  const symbols: number[] = [];
  const deltas: number[] = [];
  // Differences are of rounded times, so that rounding does not add up.
  let before = (reference * referenceTickMs) / deltaTickMs;
  for (const arrival of arrivals.slice(0, maxFeedbackPackets)) {
    if (Number.isNaN(arrival)) {
      symbols.push(symbol.lost);
      continue;
    }
    const ticks = Math.round(arrival / deltaTickMs);
    const delta = ticks - before;
    if (delta < -0x8000 || delta > 0x7fff) break;
    before = ticks;
    symbols.push(delta >= 0 && delta <= 0xff ? symbol.small : symbol.large);
    deltas.push(delta);
  }
  const chunks = encodeChunks(symbols);
  const deltaBytes = deltas.reduce((sum, delta) => sum + (delta >= 0 && delta <= 0xff ? 1 : 2), 0);
  const used = headerBytes + chunks.length * 2 + deltaBytes;
  const packet = new Uint8Array((used + 3) & ~3);
  packet[0] = 0x80 | transportFormat.transportCc;
  packet[1] = rtcpType.transportFeedback;
  putU16(packet, 2, packet.length / 4 - 1);
  putU32(packet, 4, senderSsrc);
  putU32(packet, 8, mediaSsrc);
  putU16(packet, 12, baseSequence);
  putU16(packet, 14, symbols.length);
  putU24(packet, 16, reference & 0xff_ffff);
  packet[19] = feedbackCount;
  let at = headerBytes;
  for (const chunk of chunks) {
    putU16(packet, at, chunk);
    at += 2;
  }
  for (const delta of deltas) {
    if (delta >= 0 && delta <= 0xff) {
      packet[at++] = delta;
    } else {
      putU16(packet, at, delta & 0xffff);
      at += 2;
    }
  }
  return { packet, count: symbols.length };
}

/** Runs where they are shorter, else vectors of seven; what a last vector has too much is not counted. */
function encodeChunks(symbols: readonly number[]): number[] {
  const chunks: number[] = [];
  for (let at = 0; at < symbols.length;) {
    const kind = symbols[at] as number;
    let run = 1;
    while (symbols[at + run] === kind && run < runLimit) run++;
    if (run >= symbolsPerVector || at + run === symbols.length) {
      chunks.push((kind << 13) | run);
      at += run;
      continue;
    }
    let vector = 0xc000;
    for (let i = 0; i < symbolsPerVector; i++) vector |= (symbols[at + i] ?? symbol.lost) << (12 - 2 * i);
    chunks.push(vector);
    at += symbolsPerVector;
  }
  return chunks;
}
