/** The DTLS 1.2 record layer's header (RFC 6347 section 4.1). */
import { putU16, putU32, u16, u48 } from '../bytes.ts';

export const dtlsContentType = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

export const recordHeaderBytes = 13;
/** RFC 5246 section 6.2.1. */
export const maxPlaintextBytes = 1 << 14;
/** Room that protection may add (RFC 5246 section 6.2.3 allows 2048; AES-GCM needs 24). */
const maxExpansionBytes = 256;

/**
 * Length in bytes of the whole record that starts at `at`; 0 when there is no well-formed DTLS 1.0 or 1.2 record
 * (a first ClientHello may say 1.0).
 */
export function recordBytesAt(datagram: Uint8Array, at: number): number {
  if (datagram.length - at < recordHeaderBytes) return 0;
  const type = datagram[at] as number;
  if (type < dtlsContentType.changeCipherSpec || type > dtlsContentType.applicationData) return 0;
  const version = u16(datagram, at + 1);
  if (version !== 0xfefd && version !== 0xfeff) return 0;
  const length = u16(datagram, at + 11);
  if (length > maxPlaintextBytes + maxExpansionBytes || datagram.length - at - recordHeaderBytes < length) return 0;
  return recordHeaderBytes + length;
}

export function recordEpoch(datagram: Uint8Array, at: number): number {
  return u16(datagram, at + 3);
}

export function recordSequence(datagram: Uint8Array, at: number): number {
  return u48(datagram, at + 5);
}

/** Writes a record's header for DTLS 1.2. */
export function putRecordHeader(
  target: Uint8Array,
  at: number,
  type: number,
  epoch: number,
  sequence: number,
  length: number,
): void {
  target[at] = type;
  putU16(target, at + 1, 0xfefd);
  putU16(target, at + 3, epoch);
  putU16(target, at + 5, Math.floor(sequence / 0x1_0000_0000));
  putU32(target, at + 7, sequence % 0x1_0000_0000);
  putU16(target, at + 11, length);
}
