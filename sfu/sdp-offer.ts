/** Reads the one fixed-shape offer (sdp-shape.ts; RFC 8829, RFC 8843) into what forwarding needs. */
import { audioSlotMids, dataMid, publishSections, videoSlotMids } from '../tunnel-protocol/index.ts';
import type { extensionUri, MediaKind, Rid, Source } from '../tunnel-protocol/index.ts';
import { plainText, readCodecs } from './sdp-codecs.ts';
import type { Codec } from './sdp-codecs.ts';
import {
  bundledMids,
  checkSameTransport,
  fault,
  readDescription,
  readExtensions,
  readRids,
  readSsrcs,
  readTransport,
  shown,
} from './sdp-reading.ts';
import type { Parsed, ParsedMedia } from './sdp-reading.ts';

const defaultSctpPort = 5000;
const defaultMaxMessageBytes = 65_536;

/** By name of {@link extensionUri}: 1–14, or 0 where the section did not offer the extension. */
export type HeaderExtensionIds = Readonly<Record<keyof typeof extensionUri, number>>;

export interface OfferSection {
  readonly mid: string;
  readonly kind: MediaKind;
  /** What the client publishes here; null for a section it receives on. */
  readonly source: Source | null;
  /** The slot that it receives here, by its mid in the fixed shape; null for a section it publishes on. */
  readonly slot: string | null;
  /** False when the offer says `inactive`, or no codec in it is known. */
  readonly active: boolean;
  /** The accepted codecs, best first: one for a publishing section, at most one of each name for a receiving one. */
  readonly codecs: readonly Codec[];
  readonly extensions: HeaderExtensionIds;
  /** Restriction identifiers of a simulcast section, best first; empty without simulcast. */
  readonly rids: readonly Rid[];
  /** Synchronisation sources announced by `a=ssrc`; a fallback for senders without the MID extension. */
  readonly ssrcs: readonly number[];
  /** No other section has these payload types, so they say whose a packet is that nothing else tells (RFC 8843 section 9.2). */
  readonly ownPayloadTypes: boolean;
  readonly reducedSizeRtcp: boolean;
}

/** A media section that carries no RTP here. */
export interface OtherSection {
  readonly mid: string;
  /** The `m=` line's type, and its protocol and formats: for the answer. */
  readonly type: string;
  readonly protocol: string;
  readonly formats: string;
  /** Null when it is not one that SCTP over this transport's DTLS could serve. */
  readonly data: OfferData | null;
}

export interface Offer {
  readonly ice: { readonly ufrag: string; readonly pwd: string };
  /** Algorithm in lower case, value in upper-case hex with colons (RFC 8122 section 5). */
  readonly fingerprint: { readonly algorithm: string; readonly value: string };
  /** Those that carry RTP, in order: twelve in the fixed shape. */
  readonly sections: readonly OfferSection[];
  /** All of them in order. */
  readonly media: readonly (OfferSection | OtherSection)[];
  /** Whether they share one transport. Without it there is one section. */
  readonly bundled: boolean;
  /** RTCP is multiplexed, and nothing else was offered (RFC 8858). */
  readonly rtcpMuxOnly: boolean;
  /** ICE options for the answer; none in the fixed shape. */
  readonly trickle: boolean;
  readonly extmapAllowMixed: boolean;
  /** Of the data section; null when there is none that could be served. */
  readonly data: OfferData | null;
}

/** The data section (RFC 8841). */
export interface OfferData {
  /** SCTP's. */
  readonly port: number;
  readonly maxMessageBytes: number;
}

export interface OfferError {
  /** `session`, or `section 4 (mid 4)`. */
  readonly where: string;
  readonly reason: string;
}

interface ShapeEntry {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly source: Source | null;
}
const shape: readonly ShapeEntry[] = [
  ...publishSections,
  ...videoSlotMids.map((mid) => ({ mid, kind: 'video' as const, source: null })),
  ...audioSlotMids.map((mid) => ({ mid, kind: 'audio' as const, source: null })),
];

/** Never throws: whatever is wrong comes back as an error that names the section. */
export function parseOffer(text: string): Offer | OfferError {
  const parsed = readDescription(text);
  return 'reason' in parsed ? parsed : readOffer(parsed);
}

export function isOfferError(result: Offer | OfferError): result is OfferError {
  return 'reason' in result;
}

function readOffer(parsed: Parsed): Offer | OfferError {
  const count = shape.length + 1;
  if (parsed.media.length !== count) {
    return fault('session', `${String(parsed.media.length)} media sections where the shape has ${String(count)}`);
  }
  if (parsed.icelite !== undefined) return fault('session', 'offers ice-lite, and so does this side');
  const bundled = bundledMids(parsed);
  const transport = readTransport(parsed, 0, sectionName(0, shape[0]?.mid ?? ''));
  if ('reason' in transport) return transport;

  const sections: OfferSection[] = [];
  const uriOfId = new Map<number, string>();
  for (const [index, expected] of shape.entries()) {
    const media = parsed.media[index] as ParsedMedia;
    const where = sectionName(index, expected.mid);
    const wrong = checkShape(media, expected, bundled) ?? checkSameTransport(parsed, index, transport);
    if (wrong !== null) return fault(where, wrong);
    const section = readSection(media, expected, uriOfId);
    if (typeof section === 'string') return fault(where, section);
    sections.push(section);
  }
  if (!sections.some((section) => section.codecs.length > 0)) return fault('session', 'no codec in it is known');

  const data = parsed.media[shape.length] as ParsedMedia;
  const where = sectionName(shape.length, dataMid);
  if (data.type !== 'application') return fault(where, `is "${data.type}", expected "application"`);
  if (plainText(data.mid) !== dataMid) return fault(where, `has mid "${shown(data.mid)}", expected "${dataMid}"`);
  if (!/^[\w/]+$/.test(data.protocol)) return fault(where, 'has no protocol');
  const other: OtherSection = {
    mid: dataMid,
    type: data.type,
    protocol: data.protocol,
    formats: 'webrtc-datachannel',
    data: bundled.has(dataMid) ? readData(data) : null,
  };
  return {
    ...transport,
    sections,
    media: [...sections, other],
    bundled: true,
    rtcpMuxOnly: false,
    trickle: false,
    extmapAllowMixed: (parsed as { extmapAllowMixed?: string }).extmapAllowMixed !== undefined,
    data: other.data,
  };
}

/** Without `a=max-message-size` a peer takes 64 KiB, and with 0 any size (RFC 8841 section 6.1). */
function readData(media: ParsedMedia): OfferData | null {
  if (!/^(?:UDP|TCP)\/DTLS\/SCTP$/.test(media.protocol) || media.port === 0) return null;
  const port = media.sctpPort ?? defaultSctpPort;
  const maxMessageBytes = (media.maxMessageSize ?? defaultMaxMessageBytes) || Infinity;
  return Number.isInteger(port) && port > 0 && port <= 65_535 && maxMessageBytes > 0 ? { port, maxMessageBytes } : null;
}

function sectionName(index: number, mid: string): string {
  return `section ${String(index)} (mid ${mid})`;
}

function checkShape(media: ParsedMedia, expected: ShapeEntry, bundled: ReadonlySet<string>): string | null {
  if (media.type !== expected.kind) return `is "${shown(media.type)}", expected "${expected.kind}"`;
  if (plainText(media.mid) !== expected.mid) return `has mid "${shown(media.mid)}", expected "${expected.mid}"`;
  if (!bundled.has(expected.mid)) return 'is not in the BUNDLE group';
  if (media.protocol !== 'UDP/TLS/RTP/SAVPF') return `has protocol "${shown(media.protocol)}"`;
  if (media.rtcpMux === undefined) return 'does not offer rtcp-mux';
  const direction = expected.source === null ? 'recvonly' : 'sendonly';
  if (media.direction !== direction && media.direction !== 'inactive') {
    return `is "${media.direction ?? 'sendrecv'}", expected "${direction}"`;
  }
  return null;
}

function readSection(media: ParsedMedia, expected: ShapeEntry, uriOfId: Map<number, string>): OfferSection | string {
  const extensions = readExtensions(media, uriOfId);
  if (typeof extensions === 'string') return extensions;
  const codecs = readCodecs(media, expected.kind, {
    publishes: expected.source !== null,
    transportWideCc: extensions.transportWideCc !== 0,
  });
  if (typeof codecs === 'string') return codecs;
  return {
    ...expected,
    slot: expected.source === null ? expected.mid : null,
    active: media.direction !== 'inactive' && codecs.length > 0,
    codecs,
    extensions,
    rids: expected.source === 'camera' ? readRids(media, extensions) : [],
    ssrcs: readSsrcs(media),
    ownPayloadTypes: false,
    reducedSizeRtcp: media.rtcpRsize !== undefined,
  };
}
