import { u16, u24, u32 } from '../bytes.ts';
import { RtcpCursor } from './rtcp-cursor.ts';
import {
  payloadFormat,
  rtcpType,
  transportFormat,
  type ReportBlock,
  type RtcpError,
  type RtcpPacket,
} from './rtcp-types.ts';

const reportBlockBytes = 24;
const cnameItem = 1;
/** "REMB" as its four ASCII letters. */
const rembIdentifier = 0x52454d42;

/**
 * The packets of a compound one, in order. A packet whose content is shorter than its kind needs is left out, the
 * others stand. At most one object per 4 bytes of input (per lost packet: 17 numbers per 4 bytes).
 */
export function decodeRtcp(compound: Uint8Array): RtcpPacket[] | RtcpError {
  const cursor = new RtcpCursor();
  const error = cursor.start(compound);
  if (error !== null) return error;
  const packets: RtcpPacket[] = [];
  while (cursor.next()) {
    const body = compound.subarray(cursor.offset, cursor.offset + cursor.length);
    const packet = decodeOne(body, cursor.packetType, cursor.count);
    if (packet !== null) packets.push(packet);
  }
  return packets;
}

/** `bytes` begin at the common header and have no padding. */
function decodeOne(bytes: Uint8Array, packetType: number, count: number): RtcpPacket | null {
  switch (packetType) {
    case rtcpType.senderReport:
      return decodeSenderReport(bytes, count);
    case rtcpType.receiverReport:
      if (bytes.length < 8 + count * reportBlockBytes) return null;
      return { type: 'receiver-report', ssrc: u32(bytes, 4), reports: decodeReportBlocks(bytes, 8, count) };
    case rtcpType.sourceDescription:
      return decodeSourceDescription(bytes, count);
    case rtcpType.goodbye:
      return decodeGoodbye(bytes, count);
    case rtcpType.transportFeedback:
      return decodeTransportFeedback(bytes, count);
    case rtcpType.payloadFeedback:
      return decodePayloadFeedback(bytes, count);
    default:
      return { type: 'other', packetType, format: count, bytes };
  }
}

function decodeSenderReport(bytes: Uint8Array, count: number): RtcpPacket | null {
  if (bytes.length < 28 + count * reportBlockBytes) return null;
  return {
    type: 'sender-report',
    ssrc: u32(bytes, 4),
    ntp: { seconds: u32(bytes, 8), fraction: u32(bytes, 12) },
    rtpTimestamp: u32(bytes, 16),
    packetCount: u32(bytes, 20),
    octetCount: u32(bytes, 24),
    reports: decodeReportBlocks(bytes, 28, count),
  };
}

function decodeReportBlocks(bytes: Uint8Array, from: number, count: number): ReportBlock[] {
  const blocks: ReportBlock[] = [];
  for (let i = 0, at = from; i < count; i++, at += reportBlockBytes) {
    blocks.push({
      ssrc: u32(bytes, at),
      fractionLost: bytes[at + 4] as number,
      // Sign extension of 24 bits.
      cumulativeLost: (u24(bytes, at + 5) << 8) >> 8,
      extendedHighestSequence: u32(bytes, at + 8),
      jitter: u32(bytes, at + 12),
      lastSenderReport: u32(bytes, at + 16),
      delaySinceLastSenderReport: u32(bytes, at + 20),
    });
  }
  return blocks;
}

/** RFC 3550 section 6.5: chunks of an SSRC and items, each chunk ended by zeros up to a 32-bit boundary. */
function decodeSourceDescription(bytes: Uint8Array, count: number): RtcpPacket | null {
  const cnames: { ssrc: number; cname: string }[] = [];
  let at = 4;
  for (let chunk = 0; chunk < count; chunk++) {
    if (at + 4 > bytes.length) return null;
    const ssrc = u32(bytes, at);
    at += 4;
    while (at < bytes.length && bytes[at] !== 0) {
      const end = at + 2 + (bytes[at + 1] ?? 0);
      if (end > bytes.length) return null;
      if (bytes[at] === cnameItem) cnames.push({ ssrc, cname: utf8.decode(bytes.subarray(at + 2, end)) });
      at = end;
    }
    at = (at + 4) & ~3;
  }
  return { type: 'source-description', cnames };
}

const utf8 = new TextDecoder();

function decodeGoodbye(bytes: Uint8Array, count: number): RtcpPacket | null {
  if (bytes.length < 4 + count * 4) return null;
  return { type: 'goodbye', ssrcs: decodeSsrcs(bytes, 4, count) };
}

function decodeSsrcs(bytes: Uint8Array, from: number, count: number): number[] {
  const ssrcs: number[] = [];
  for (let i = 0; i < count; i++) ssrcs.push(u32(bytes, from + i * 4));
  return ssrcs;
}

function decodeTransportFeedback(bytes: Uint8Array, format: number): RtcpPacket | null {
  if (bytes.length < 12) return null;
  const senderSsrc = u32(bytes, 4);
  const mediaSsrc = u32(bytes, 8);
  if (format === transportFormat.transportCc) return { type: 'transport-cc', senderSsrc, mediaSsrc, bytes };
  if (format !== transportFormat.nack) {
    return { type: 'other', packetType: rtcpType.transportFeedback, format, bytes };
  }
  // RFC 4585 section 6.2.1: a packet id, and a bit for each of the 16 that follow it.
  const lost: number[] = [];
  for (let at = 12; at + 4 <= bytes.length; at += 4) {
    const first = u16(bytes, at);
    const following = u16(bytes, at + 2);
    lost.push(first);
    for (let bit = 0; bit < 16; bit++) if ((following >>> bit) & 1) lost.push((first + bit + 1) & 0xffff);
  }
  return { type: 'nack', senderSsrc, mediaSsrc, lost };
}

function decodePayloadFeedback(bytes: Uint8Array, format: number): RtcpPacket | null {
  if (bytes.length < 12) return null;
  const senderSsrc = u32(bytes, 4);
  const mediaSsrc = u32(bytes, 8);
  if (format === payloadFormat.pli) return { type: 'pli', senderSsrc, mediaSsrc };
  if (format === payloadFormat.fir) {
    // RFC 5104 section 4.3.1.1: the SSRCs stand in the entries, not in the header.
    const requests: { ssrc: number; sequenceNumber: number }[] = [];
    for (let at = 12; at + 8 <= bytes.length; at += 8) {
      requests.push({ ssrc: u32(bytes, at), sequenceNumber: bytes[at + 4] as number });
    }
    return { type: 'fir', senderSsrc, requests };
  }
  if (format === payloadFormat.applicationLayer && bytes.length >= 20 && u32(bytes, 12) === rembIdentifier) {
    return decodeRemb(bytes, senderSsrc);
  }
  return { type: 'other', packetType: rtcpType.payloadFeedback, format, bytes };
}

/** draft-alvestrand-rmcat-remb-03 section 2.2: a count, a 6-bit exponent and an 18-bit mantissa, SSRCs. */
function decodeRemb(bytes: Uint8Array, senderSsrc: number): RtcpPacket | null {
  const count = bytes[16] as number;
  if (bytes.length < 20 + count * 4) return null;
  const word = u24(bytes, 17);
  const bitrate = (word & 0x3_ffff) * 2 ** (word >>> 18);
  return { type: 'remb', senderSsrc, bitrate, ssrcs: decodeSsrcs(bytes, 20, count) };
}
