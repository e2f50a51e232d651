/** Builders of single RTCP packets; a compound packet is their concatenation (`concatBytes`), reports first. */
import { putU16, putU24, putU32 } from '../bytes.ts';
import { payloadFormat, rtcpType, transportFormat, type ReportBlock, type SenderInfo } from './rtcp-types.ts';

const reportBlockBytes = 24;
const maxCount = 31;

/** Throws RangeError for more than 31 report blocks. */
export function encodeSenderReport(info: SenderInfo, reports: readonly ReportBlock[]): Uint8Array {
  const packet = begin(rtcpType.senderReport, counted(reports), 28 + reports.length * reportBlockBytes);
  putU32(packet, 4, info.ssrc);
  putU32(packet, 8, info.ntp.seconds);
  putU32(packet, 12, info.ntp.fraction);
  putU32(packet, 16, info.rtpTimestamp);
  putU32(packet, 20, info.packetCount);
  putU32(packet, 24, info.octetCount);
  putReportBlocks(packet, 28, reports);
  return packet;
}

/** Throws RangeError for more than 31 report blocks. */
export function encodeReceiverReport(ssrc: number, reports: readonly ReportBlock[]): Uint8Array {
  const packet = begin(rtcpType.receiverReport, counted(reports), 8 + reports.length * reportBlockBytes);
  putU32(packet, 4, ssrc);
  putReportBlocks(packet, 8, reports);
  return packet;
}

/** One chunk with a CNAME (RFC 3550 section 6.5.1). Throws RangeError for more than 255 bytes of UTF-8. */
export function encodeSourceDescription(ssrc: number, cname: string): Uint8Array {
  const text = new TextEncoder().encode(cname);
  if (text.length > 255) throw new RangeError('a CNAME has at most 255 bytes');
  // At least one zero ends the items.
  const packet = begin(rtcpType.sourceDescription, 1, 4 + ((4 + 2 + text.length + 4) & ~3));
  putU32(packet, 4, ssrc);
  packet[8] = 1;
  packet[9] = text.length;
  packet.set(text, 10);
  return packet;
}

/** Throws RangeError for more than 31 SSRCs. */
export function encodeGoodbye(ssrcs: readonly number[]): Uint8Array {
  const packet = begin(rtcpType.goodbye, counted(ssrcs), 4 + ssrcs.length * 4);
  putSsrcs(packet, 4, ssrcs);
  return packet;
}

export function encodePli(senderSsrc: number, mediaSsrc: number): Uint8Array {
  return feedback(rtcpType.payloadFeedback, payloadFormat.pli, senderSsrc, mediaSsrc, 0);
}

/** `sequenceNumber` counts the requests for one SSRC, modulo 256; a repetition keeps it (RFC 5104 section 4.3.1.1). */
export function encodeFir(senderSsrc: number, mediaSsrc: number, sequenceNumber: number): Uint8Array {
  const packet = feedback(rtcpType.payloadFeedback, payloadFormat.fir, senderSsrc, 0, 8);
  putU32(packet, 12, mediaSsrc);
  packet[16] = sequenceNumber;
  return packet;
}

/** `lost` are sequence numbers in the order in which they were sent; any number of them (RFC 4585 section 6.2.1). */
export function encodeNack(senderSsrc: number, mediaSsrc: number, lost: readonly number[]): Uint8Array {
  const entries: { first: number; following: number }[] = [];
  for (const sequenceNumber of lost) {
    const last = entries.at(-1);
    const ahead = last === undefined ? 0 : (sequenceNumber - last.first) & 0xffff;
    if (last !== undefined && ahead <= 16) {
      if (ahead > 0) last.following |= 1 << (ahead - 1);
    } else {
      entries.push({ first: sequenceNumber, following: 0 });
    }
  }
  const packet = feedback(rtcpType.transportFeedback, transportFormat.nack, senderSsrc, mediaSsrc, entries.length * 4);
  entries.forEach((entry, i) => {
    putU16(packet, 12 + i * 4, entry.first);
    putU16(packet, 14 + i * 4, entry.following);
  });
  return packet;
}

/** `bitrate` in bit/s, rounded down to what an 18-bit mantissa holds. Throws RangeError for more than 255 SSRCs. */
export function encodeRemb(senderSsrc: number, bitrate: number, ssrcs: readonly number[]): Uint8Array {
  if (ssrcs.length > 255) throw new RangeError('REMB names at most 255 SSRCs');
  const packet = feedback(
    rtcpType.payloadFeedback,
    payloadFormat.applicationLayer,
    senderSsrc,
    0,
    8 + ssrcs.length * 4,
  );
  let mantissa = Math.floor(bitrate);
  let exponent = 0;
  while (mantissa > 0x3_ffff) {
    mantissa = Math.floor(mantissa / 2);
    exponent++;
  }
  putU32(packet, 12, 0x52454d42);
  packet[16] = ssrcs.length;
  putU24(packet, 17, exponent * 0x4_0000 + mantissa);
  putSsrcs(packet, 20, ssrcs);
  return packet;
}

function counted(list: readonly unknown[]): number {
  if (list.length > maxCount) throw new RangeError(`an RTCP packet counts at most ${String(maxCount)}`);
  return list.length;
}

function begin(packetType: number, count: number, length: number): Uint8Array {
  const packet = new Uint8Array(length);
  packet[0] = 0x80 | count;
  packet[1] = packetType;
  putU16(packet, 2, length / 4 - 1);
  return packet;
}

function feedback(
  packetType: number,
  format: number,
  senderSsrc: number,
  mediaSsrc: number,
  controlBytes: number,
): Uint8Array {
  const packet = begin(packetType, format, 12 + controlBytes);
  putU32(packet, 4, senderSsrc);
  putU32(packet, 8, mediaSsrc);
  return packet;
}

function putSsrcs(packet: Uint8Array, from: number, ssrcs: readonly number[]): void {
  ssrcs.forEach((ssrc, i) => {
    putU32(packet, from + i * 4, ssrc);
  });
}

function putReportBlocks(packet: Uint8Array, from: number, reports: readonly ReportBlock[]): void {
  reports.forEach((report, i) => {
    const at = from + i * reportBlockBytes;
    putU32(packet, at, report.ssrc);
    packet[at + 4] = report.fractionLost;
    putU24(packet, at + 5, report.cumulativeLost & 0xff_ffff);
    putU32(packet, at + 8, report.extendedHighestSequence);
    putU32(packet, at + 12, report.jitter);
    putU32(packet, at + 16, report.lastSenderReport);
    putU32(packet, at + 20, report.delaySinceLastSenderReport);
  });
}
