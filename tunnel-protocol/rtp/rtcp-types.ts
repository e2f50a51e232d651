import type { NtpTime } from './ntp.ts';

/** RTCP packet types (RFC 3550 section 12.1, RFC 4585 section 6.1). */
export const rtcpType = {
  senderReport: 200,
  receiverReport: 201,
  sourceDescription: 202,
  goodbye: 203,
  application: 204,
  transportFeedback: 205,
  payloadFeedback: 206,
} as const;

/** Formats of transport layer feedback (RFC 4585 section 6.2, draft-holmer-rmcat-transport-wide-cc-extensions-01). */
export const transportFormat = { nack: 1, transportCc: 15 } as const;
/** Formats of payload-specific feedback (RFC 4585 section 6.3, RFC 5104 section 4.3, draft-alvestrand-rmcat-remb-03). */
export const payloadFormat = { pli: 1, fir: 4, applicationLayer: 15 } as const;

/** RFC 3550 section 6.4.1. */
export interface ReportBlock {
  readonly ssrc: number;
  /** Packets lost since the last report, in 1/256. */
  readonly fractionLost: number;
  /** Signed 24 bits: duplicates can make it negative. */
  readonly cumulativeLost: number;
  readonly extendedHighestSequence: number;
  /** In timestamp units. */
  readonly jitter: number;
  /** The middle 32 bits of the last sender report's NTP time; 0 = none. */
  readonly lastSenderReport: number;
  /** In 1/65536 s; 0 = none. */
  readonly delaySinceLastSenderReport: number;
}

export interface SenderInfo {
  readonly ssrc: number;
  readonly ntp: NtpTime;
  readonly rtpTimestamp: number;
  readonly packetCount: number;
  readonly octetCount: number;
}

/** One packet of a compound one. `other` is what this code leaves opaque; its bytes are borrowed. */
export type RtcpPacket =
  | ({ readonly type: 'sender-report'; readonly reports: readonly ReportBlock[] } & SenderInfo)
  | { readonly type: 'receiver-report'; readonly ssrc: number; readonly reports: readonly ReportBlock[] }
  /** CNAME items alone. */
  | {
      readonly type: 'source-description';
      readonly cnames: readonly { readonly ssrc: number; readonly cname: string }[];
    }
  | { readonly type: 'goodbye'; readonly ssrcs: readonly number[] }
  | { readonly type: 'nack'; readonly senderSsrc: number; readonly mediaSsrc: number; readonly lost: readonly number[] }
  | { readonly type: 'pli'; readonly senderSsrc: number; readonly mediaSsrc: number }
  | {
      readonly type: 'fir';
      readonly senderSsrc: number;
      readonly requests: readonly { readonly ssrc: number; readonly sequenceNumber: number }[];
    }
  /** Receiver estimated maximum bitrate, in bit/s. */
  | { readonly type: 'remb'; readonly senderSsrc: number; readonly bitrate: number; readonly ssrcs: readonly number[] }
  | {
      readonly type: 'transport-cc';
      readonly senderSsrc: number;
      readonly mediaSsrc: number;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'other'; readonly packetType: number; readonly format: number; readonly bytes: Uint8Array };

/** Why bytes are not a compound RTCP packet (RFC 3550 appendix A.2). */
export type RtcpError = 'truncated' | 'version' | 'padding' | 'length';
