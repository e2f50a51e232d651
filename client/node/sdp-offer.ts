/** Writes the one fixed-shape offer (sdp-shape.ts; RFC 8829) of a Node client: Opus and VP8, no simulcast, no RTX. */
import {
  audioSlotMids,
  dataLimits,
  dataMid,
  extensionUri,
  publishSections,
  videoSlotMids,
} from '../../tunnel-protocol/index.ts';
import type { MediaKind, Source } from '../../tunnel-protocol/index.ts';

export interface OfferLocal {
  readonly ice: { readonly ufrag: string; readonly pwd: string };
  /** SHA-256 of the certificate: upper-case hex with colons. */
  readonly fingerprint: string;
  readonly cname: string;
  /** The SSRC for life of each publishing section. */
  readonly ssrcs: Readonly<Record<Source, number>>;
  /** Digits (RFC 8866 section 5.2). */
  readonly originId: string;
  readonly originVersion: number;
}

/** What is offered and expected to be answered: payload types and header extensions by kind. */
export const payloadTypes = { audio: 111, video: 96 } as const satisfies Record<MediaKind, number>;
export const extensionIds = { mid: 1, audioLevel: 2 } as const;

const codecLines: Readonly<Record<MediaKind, readonly string[]>> = {
  audio: ['a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1'],
  video: ['a=rtpmap:96 VP8/90000', 'a=rtcp-fb:96 ccm fir', 'a=rtcp-fb:96 nack pli'],
};

/** The sections' order and mids are the shape's. The answer is read by `readAnswer`. */
export function writeOffer(local: OfferLocal): string {
  const slots = [
    ...videoSlotMids.map((mid) => ({ mid, kind: 'video' as const })),
    ...audioSlotMids.map((mid) => ({ mid, kind: 'audio' as const })),
  ];
  const mids = [...publishSections.map(({ mid }) => mid), ...slots.map(({ mid }) => mid), dataMid];
  const transport = [
    `a=ice-ufrag:${local.ice.ufrag}`,
    `a=ice-pwd:${local.ice.pwd}`,
    // The candidates are this side's own business: the server learns addresses from the checks.
    'a=ice-options:trickle',
    `a=fingerprint:sha-256 ${local.fingerprint}`,
    'a=setup:actpass',
  ];
  const lines = [
    'v=0',
    `o=- ${local.originId} ${String(local.originVersion)} IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${mids.join(' ')}`,
    'a=msid-semantic: WMS *',
  ];
  for (const { mid, kind, source } of publishSections) {
    const ssrc = String(local.ssrcs[source]);
    lines.push(
      ...writeSection(kind, mid, 'sendonly', transport),
      // One stream for microphone and camera, so that receivers keep lips in sync.
      `a=msid:${source === 'screen' ? 'screen' : 'person'} ${source}`,
      `a=ssrc:${ssrc} cname:${local.cname}`,
    );
  }
  for (const { mid, kind } of slots) lines.push(...writeSection(kind, mid, 'recvonly', transport));
  lines.push(
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    ...transport,
    `a=mid:${dataMid}`,
    'a=sctp-port:5000',
    `a=max-message-size:${String(dataLimits.maxMessageBytes)}`,
  );
  return lines.join('\r\n') + '\r\n';
}

function writeSection(
  kind: MediaKind,
  mid: string,
  direction: 'sendonly' | 'recvonly',
  transport: readonly string[],
): string[] {
  const lines = [
    `m=${kind} 9 UDP/TLS/RTP/SAVPF ${String(payloadTypes[kind])}`,
    'c=IN IP4 0.0.0.0',
    ...transport,
    `a=mid:${mid}`,
    `a=extmap:${String(extensionIds.mid)} ${extensionUri.mid}`,
  ];
  if (kind === 'audio') lines.push(`a=extmap:${String(extensionIds.audioLevel)} ${extensionUri.audioLevel}`);
  lines.push(`a=${direction}`, 'a=rtcp-mux', 'a=rtcp-rsize', ...codecLines[kind]);
  return lines;
}
