import { u16, u32 } from '../bytes.ts';

/** Why bytes are not an RTP packet (RFC 3550 sections 5.1, 5.3.1 and appendix A.1). */
export type RtpError = 'truncated' | 'version' | 'padding';

export const rtpHeaderBytes = 12;
const noBytes = new Uint8Array(0);

/**
 * Where the parts of one RTP packet are. One object serves packet after packet: `parse` overwrites it, copies nothing
 * and keeps only a reference to the borrowed packet.
 */
export class RtpView {
  packet: Uint8Array = noBytes;
  marker = false;
  payloadType = 0;
  sequenceNumber = 0;
  timestamp = 0;
  ssrc = 0;
  csrcCount = 0;
  /** The 16 bits "defined by profile"; -1 without a header extension. */
  extensionProfile = -1;
  /** First byte behind the extension's own 4-byte header. */
  extensionOffset = 0;
  extensionLength = 0;
  payloadOffset = 0;
  /** Without padding. */
  payloadLength = 0;
  /** Padding bytes at the end, its count byte included. */
  paddingLength = 0;

  /** Null when the packet is sound; otherwise the view must not be used. */
  parse(packet: Uint8Array): RtpError | null {
    const length = packet.length;
    if (length < rtpHeaderBytes) return 'truncated';
    const first = packet[0] as number;
    if (first >>> 6 !== 2) return 'version';

    const csrcCount = first & 0x0f;
    let offset = rtpHeaderBytes + csrcCount * 4;
    let extensionProfile = -1;
    let extensionOffset = offset;
    let extensionLength = 0;
    if ((first & 0x10) !== 0) {
      if (offset + 4 > length) return 'truncated';
      extensionProfile = u16(packet, offset);
      extensionLength = u16(packet, offset + 2) * 4;
      extensionOffset = offset + 4;
      offset = extensionOffset + extensionLength;
    }
    if (offset > length) return 'truncated';

    let paddingLength = 0;
    if ((first & 0x20) !== 0) {
      if (offset === length) return 'padding';
      paddingLength = packet[length - 1] as number;
      if (paddingLength === 0 || paddingLength > length - offset) return 'padding';
    }

    const second = packet[1] as number;
    this.packet = packet;
    this.marker = second >= 0x80;
    this.payloadType = second & 0x7f;
    this.sequenceNumber = u16(packet, 2);
    this.timestamp = u32(packet, 4);
    this.ssrc = u32(packet, 8);
    this.csrcCount = csrcCount;
    this.extensionProfile = extensionProfile;
    this.extensionOffset = extensionOffset;
    this.extensionLength = extensionLength;
    this.payloadOffset = offset;
    this.payloadLength = length - offset - paddingLength;
    this.paddingLength = paddingLength;
    return null;
  }
}
