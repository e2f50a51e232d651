/** Puts the chunks of one SCTP stream together again (RFC 9260 section 6.5 and 6.9), in place of the engine's own way. */
import { concatBytes } from '../bytes.ts';

export interface InboundChunk {
  readonly tsn: number;
  readonly flags: number;
  readonly streamId: number;
  readonly streamSeqNum: number;
  readonly protocol: number;
  readonly userData: Uint8Array;
}

export type InboundMessage = [streamId: number, protocol: number, data: Uint8Array];

export const fragmentFlags = { last: 0x01, first: 0x02, unordered: 0x04 } as const;

/** Its members have the names that the engine calls them by. */
export class InboundStream {
  /** By transmission sequence number, which wraps. Those of one message follow each other without a gap. */
  readonly #chunks: InboundChunk[] = [];
  readonly #asBuffer: (bytes: Uint8Array) => Uint8Array;
  #next = 0;

  /** `asBuffer` gives what the engine takes for bytes. */
  constructor(asBuffer: (bytes: Uint8Array) => Uint8Array) {
    this.#asBuffer = asBuffer;
  }

  /** Of the next message in order. It never goes back, whatever a FORWARD TSN that was late says. */
  get streamSequenceNumber(): number {
    return this.#next;
  }

  set streamSequenceNumber(value: number) {
    if (((value - this.#next) & 0xffff) < 0x8000) this.#next = value & 0xffff;
  }

  /** A chunk that did not come before. */
  addChunk(chunk: InboundChunk): void {
    let at = this.#chunks.length;
    while (at > 0 && ((chunk.tsn - (this.#chunks[at - 1] as InboundChunk).tsn) | 0) < 0) at--;
    this.#chunks.splice(at, 0, chunk);
  }

  /** All messages that are whole and whose turn it is. */
  popMessages(): InboundMessage[] {
    const messages: InboundMessage[] = [];
    for (let at = 0; at < this.#chunks.length;) {
      const end = this.#endOfMessage(at);
      const first = this.#chunks[at] as InboundChunk;
      if (end === null || !this.#isDue(first)) {
        at = end ?? at + 1;
        continue;
      }
      const parts = this.#chunks.splice(at, end - at);
      const data = parts.length === 1 ? first.userData : concatBytes(parts.map(({ userData }) => userData));
      if ((first.flags & fragmentFlags.unordered) === 0) this.streamSequenceNumber = first.streamSeqNum + 1;
      messages.push([first.streamId, first.protocol, this.#asBuffer(data)]);
      // What came earlier in the numbering may have waited for this one.
      at = 0;
    }
    return messages;
  }

  /** Lets go of fragments up to this number whose rest the sender gave up; returns their bytes. */
  pruneChunks(tsn: number): number {
    let bytes = 0;
    for (let at = 0; at < this.#chunks.length;) {
      const chunk = this.#chunks[at] as InboundChunk;
      if (((tsn - chunk.tsn) | 0) < 0) break;
      const end = this.#endOfMessage(at);
      if (end !== null) {
        at = end;
        continue;
      }
      bytes += chunk.userData.length;
      this.#chunks.splice(at, 1);
    }
    return bytes;
  }

  /** Where the whole message that begins here ends; null when none begins, or it is not whole. */
  #endOfMessage(at: number): number | null {
    const first = this.#chunks[at] as InboundChunk;
    if ((first.flags & fragmentFlags.first) === 0) return null;
    for (let end = at; end < this.#chunks.length; end++) {
      const chunk = this.#chunks[end] as InboundChunk;
      if (chunk.tsn !== (first.tsn + end - at) >>> 0) return null;
      if ((chunk.flags & fragmentFlags.last) !== 0) return end + 1;
    }
    return null;
  }

  #isDue({ flags, streamSeqNum }: InboundChunk): boolean {
    if ((flags & fragmentFlags.unordered) !== 0) return true;
    return ((streamSeqNum - this.#next) & 0xffff) === 0 || ((streamSeqNum - this.#next) & 0xffff) >= 0x8000;
  }
}
