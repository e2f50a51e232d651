/** Writes the answer to an offer (RFC 8829 section 5.3), section by section in its order, without a general SDP engine. */
import { audioSlotMids, dataLimits, extensionUri, videoSlotMids } from '../tunnel-protocol/index.ts';
import { sctpPort } from './data-channel/index.ts';
import type { Candidate } from './sfu.ts';
import type { Codec } from './sdp-codecs.ts';
import type { HeaderExtensionIds, Offer, OfferSection, OtherSection } from './sdp-offer.ts';

export interface SlotSsrcs {
  readonly media: number;
  /** Of retransmissions; for video. */
  readonly rtx: number;
}

/** What publishers begin with, in kbit/s: both layers of a camera. */
const startKbit = 1200;

export interface AnswerLocal {
  readonly ice: { readonly ufrag: string; readonly pwd: string };
  /** SHA-256 of the certificate: upper-case hex with colons. */
  readonly fingerprint: string;
  readonly candidates: readonly Candidate[];
  readonly cname: string;
  /** The SSRCs for life of each slot. */
  readonly slots: ReadonlyMap<string, SlotSsrcs>;
  /** Whether the data section, where it can be served, may be. */
  readonly data: boolean;
  /** Digits; the origin's session id (RFC 8866 section 5.2). */
  readonly originId: string;
  /** Grows with every answer of one transport. */
  readonly originVersion: number;
}

/** Payload types and header extension ids are the offer's own; a section without a known codec is rejected by port 0. */
export function writeAnswer(offer: Offer, local: AnswerLocal): string {
  const mids = offer.media.filter((section) => isAccepted(section, local)).map(({ mid }) => mid);
  const lines = [
    'v=0',
    `o=- ${local.originId} ${String(local.originVersion)} IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    // At session level: Chromium does not see it anywhere else.
    'a=ice-lite',
    ...(offer.trickle ? ['a=ice-options:trickle'] : []),
    ...(offer.bundled ? [`a=group:BUNDLE ${mids.join(' ')}`] : []),
    ...(offer.extmapAllowMixed ? ['a=extmap-allow-mixed'] : []),
    'a=msid-semantic: WMS *',
  ];
  for (const section of offer.media) {
    if (!isAccepted(section, local)) lines.push(...writeRejection(section));
    else if ('data' in section) lines.push(...writeData(section, local));
    else lines.push(...writeSection(section, local, section.mid === mids[0], offer.rtcpMuxOnly));
  }
  return lines.join('\r\n') + '\r\n';
}

/** What an answer says of ICE, as a fragment of its own (RFC 8840 section 9): for a client that has restarted ICE. */
export function writeIceFragment(offer: Offer, { ice, candidates }: Pick<AnswerLocal, 'ice' | 'candidates'>): string {
  const mids = offer.sections.map(({ mid }) => mid);
  const [first] = offer.sections;
  const lines = [
    'a=ice-lite',
    ...(offer.trickle ? ['a=ice-options:trickle'] : []),
    ...(offer.bundled ? [`a=group:BUNDLE ${mids.join(' ')}`] : []),
    ...(first === undefined ? [] : [mediaLine(first), `a=mid:${first.mid}`]),
    ...writeIce(ice),
    ...candidates.map(writeCandidate),
    'a=end-of-candidates',
  ];
  return lines.join('\r\n') + '\r\n';
}

function isAccepted(section: OfferSection | OtherSection, local: AnswerLocal): boolean {
  return 'data' in section ? local.data && section.data !== null : section.codecs.length > 0;
}

/** The media stream id of a slot: audio slot 0 belongs with main, so that browsers keep lips in sync. */
export function slotStreamId(mid: string): string {
  return mid === videoSlotMids[0] || mid === audioSlotMids[0] ? 'main' : `slot-${mid}`;
}

function writeRejection(section: OfferSection | OtherSection): string[] {
  const media =
    'data' in section
      ? `${section.type} 0 ${section.protocol} ${section.formats}`
      : `${section.kind} 0 UDP/TLS/RTP/SAVPF 0`;
  return [`m=${media}`, 'c=IN IP4 0.0.0.0', 'a=inactive', ...(section.mid === '' ? [] : [`a=mid:${section.mid}`])];
}

/** RFC 8841 section 10.2. */
function writeData({ mid, protocol }: OtherSection, local: AnswerLocal): string[] {
  return [
    `m=application 9 ${protocol} webrtc-datachannel`,
    'c=IN IP4 0.0.0.0',
    ...writeTransport(local),
    `a=mid:${mid}`,
    `a=sctp-port:${String(sctpPort)}`,
    `a=max-message-size:${String(dataLimits.maxMessageBytes)}`,
  ];
}

function writeTransport(local: AnswerLocal): string[] {
  return [...writeIce(local.ice), `a=fingerprint:sha-256 ${local.fingerprint}`, 'a=setup:passive'];
}

function writeIce({ ufrag, pwd }: AnswerLocal['ice']): string[] {
  return [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`];
}

function mediaLine({ kind, codecs }: OfferSection): string {
  return `m=${kind} 9 UDP/TLS/RTP/SAVPF ${codecs.flatMap(payloadTypesOf).join(' ')}`;
}

function writeSection(section: OfferSection, local: AnswerLocal, bundleTag: boolean, muxOnly: boolean): string[] {
  const lines = [
    mediaLine(section),
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    ...writeTransport(local),
    `a=mid:${section.mid}`,
    `a=${directionOf(section)}`,
    'a=rtcp-mux',
    ...(muxOnly ? ['a=rtcp-mux-only'] : []),
  ];
  if (section.reducedSizeRtcp) lines.push('a=rtcp-rsize');
  lines.push(...writeExtensions(section));
  for (const codec of section.codecs) lines.push(...writeCodec(codec, parametersOf(codec, section)));
  if (section.active && section.rids.length > 0) {
    lines.push(...section.rids.map((rid) => `a=rid:${rid} recv`), `a=simulcast:recv ${section.rids.join(';')}`);
  }
  const ssrcs = section.slot === null ? undefined : local.slots.get(section.slot);
  if (section.active && section.slot !== null && ssrcs !== undefined) {
    lines.push(...writeStream(section, section.slot, ssrcs, local.cname));
  }
  // Candidates of a bundle stand in its first section (RFC 8843 section 7.1.3).
  if (bundleTag) lines.push(...local.candidates.map(writeCandidate), 'a=end-of-candidates');
  return lines;
}

function writeStream(section: OfferSection, slot: string, { media, rtx }: SlotSsrcs, cname: string): string[] {
  const msid = `${slotStreamId(slot)} track-${slot}`;
  const lines = [`a=msid:${msid}`];
  const repaired = section.codecs.some(({ rtxPayloadType }) => rtxPayloadType !== 0);
  if (repaired) lines.push(`a=ssrc-group:FID ${String(media)} ${String(rtx)}`);
  for (const ssrc of repaired ? [media, rtx] : [media]) {
    lines.push(`a=ssrc:${String(ssrc)} cname:${cname}`, `a=ssrc:${String(ssrc)} msid:${msid}`);
  }
  return lines;
}

function directionOf(section: OfferSection): string {
  if (!section.active) return 'inactive';
  return section.source === null ? 'sendonly' : 'recvonly';
}

/** Those that this side reads, writes or passes on in this section. */
function writeExtensions({ kind, source, rids, extensions, codecs }: OfferSection): string[] {
  const simulcast = rids.length > 0;
  const audio = kind === 'audio';
  const transportWide = codecs.some(({ feedback }) => feedback.includes('transport-cc'));
  const taken: Readonly<Record<keyof HeaderExtensionIds, boolean>> = {
    mid: true,
    rid: simulcast,
    repairedRid: simulcast,
    audioLevel: audio,
    transportWideCc: transportWide,
    // The other way to estimate bandwidth, for receivers without the one above.
    absSendTime: source === null && !transportWide,
    videoOrientation: !audio,
    dependencyDescriptor: !audio,
  };
  const names = Object.keys(taken) as (keyof HeaderExtensionIds)[];
  return names
    .filter((name) => taken[name] && extensions[name] !== 0)
    .map((name) => `a=extmap:${String(extensions[name])} ${extensionUri[name]}`);
}

/** In the order in which they are wanted: a publisher sends the first. */
function payloadTypesOf({ payloadType, rtxPayloadType, redPayloadType, prefersRed }: Codec): number[] {
  const all = prefersRed ? [redPayloadType, payloadType] : [payloadType, redPayloadType];
  return [...all, rtxPayloadType].filter((type) => type !== 0);
}

/**
 * Chromium takes the bitrate that it begins with from its own parameter; else it begins at 300 kbit/s, which is too little for
 * the large layer, and has to find out first what its path takes. Others ignore what they do not know (RFC 8866 section 6.15).
 */
function parametersOf({ parameters, feedback }: Codec, { kind, source }: OfferSection): string {
  if (kind !== 'video' || source === null || !feedback.includes('transport-cc')) return parameters;
  return [parameters, `x-google-start-bitrate=${String(startKbit)}`].filter((part) => part !== '').join(';');
}

function writeCodec(codec: Codec, parameters: string): string[] {
  const type = String(codec.payloadType);
  const channels = codec.channels > 0 ? `/${String(codec.channels)}` : '';
  const lines = [`a=rtpmap:${type} ${codec.name}/${String(codec.clockRate)}${channels}`];
  lines.push(...codec.feedback.map((feedback) => `a=rtcp-fb:${type} ${feedback}`));
  if (parameters !== '') lines.push(`a=fmtp:${type} ${parameters}`);
  if (codec.rtxPayloadType !== 0) {
    const rtx = String(codec.rtxPayloadType);
    lines.push(`a=rtpmap:${rtx} rtx/${String(codec.clockRate)}`, `a=fmtp:${rtx} apt=${type}`);
  }
  if (codec.redPayloadType !== 0) {
    const red = String(codec.redPayloadType);
    lines.push(`a=rtpmap:${red} red/${String(codec.clockRate)}${channels}`, `a=fmtp:${red} ${type}/${type}`);
  }
  return lines;
}

/**
 * RFC 8839 section 5.1 with RFC 8445 section 5.1.2.1 priorities: type preference 126 for UDP and, as browsers do it, 90 for
 * TCP (RFC 6544 section 4.2: with direction preference 4 for passive), local preference falling in configuration order.
 */
export function writeCandidate(candidate: Candidate, index: number): string {
  const tcp = candidate.transport === 'tcp';
  const localPreference = tcp ? (4 << 13) | (8191 - index) : 65_535 - index;
  const priority = (tcp ? 90 : 126) * 2 ** 24 + localPreference * 2 ** 8 + 255;
  return (
    `a=candidate:${String(index + 1)} 1 ${candidate.transport} ${String(priority)} ` +
    `${candidate.address} ${String(candidate.port)} typ host${tcp ? ' tcptype passive' : ''}`
  );
}
