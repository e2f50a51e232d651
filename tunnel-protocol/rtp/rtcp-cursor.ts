import { u16 } from '../bytes.ts';
import type { RtcpError } from './rtcp-types.ts';

const headerBytes = 4;

/**
 * Walks the packets of a compound one in place: `if (cursor.start(bytes) === null) while (cursor.next()) …`.
 * `start` checks the whole chain (RFC 3550 appendix A.2), so that nothing is acted on when its end is broken. A first
 * packet that is no report is fine: browsers send reduced-size RTCP (RFC 5506).
 */
export class RtcpCursor {
  packetType = 0;
  /** The 5 bits behind the padding bit: a count, or a feedback format. */
  count = 0;
  /** Of the packet's first byte, the common header's. */
  offset = 0;
  /** Header included, padding not. */
  length = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #next = 0;

  start(bytes: Uint8Array): RtcpError | null {
    this.#bytes = new Uint8Array(0);
    this.#next = 0;
    if (bytes.length < headerBytes) return 'truncated';
    for (let at = 0; at < bytes.length;) {
      if (at + headerBytes > bytes.length) return 'truncated';
      const first = bytes[at] as number;
      if (first >>> 6 !== 2) return 'version';
      const end = at + headerBytes + u16(bytes, at + 2) * 4;
      if (end > bytes.length) return 'length';
      if ((first & 0x20) !== 0) {
        // Section 6.4.1: only the last packet may be padded, by a multiple of 4 bytes.
        const padding = bytes[end - 1] as number;
        if (end !== bytes.length || padding === 0 || padding % 4 !== 0 || padding > end - at - headerBytes) {
          return 'padding';
        }
      }
      at = end;
    }
    this.#bytes = bytes;
    return null;
  }

  next(): boolean {
    const bytes = this.#bytes;
    const at = this.#next;
    if (at >= bytes.length) return false;
    const first = bytes[at] as number;
    const whole = headerBytes + u16(bytes, at + 2) * 4;
    this.count = first & 0x1f;
    this.packetType = bytes[at + 1] as number;
    this.offset = at;
    this.length = (first & 0x20) !== 0 ? whole - (bytes[at + whole - 1] as number) : whole;
    this.#next = at + whole;
    return true;
  }
}
