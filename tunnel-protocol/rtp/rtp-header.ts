import { putU16, putU32 } from '../bytes.ts';

export interface RtpHeaderFields {
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly ssrc: number;
}

/**
 * Writes the 12 bytes of a header without CSRCs and padding (RFC 3550 section 5.1). With `hasExtension` the caller
 * writes the extension right behind them. Returns the offset behind.
 */
export function encodeRtpHeaderInto(
  target: Uint8Array,
  at: number,
  fields: RtpHeaderFields,
  hasExtension: boolean,
): number {
  target[at] = hasExtension ? 0x90 : 0x80;
  target[at + 1] = fields.payloadType | (fields.marker ? 0x80 : 0);
  putU16(target, at + 2, fields.sequenceNumber);
  putU32(target, at + 4, fields.timestamp);
  putU32(target, at + 8, fields.ssrc);
  return at + 12;
}
