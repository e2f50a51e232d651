/**
 * Reads the one fixed-shape offer (sdp-shape.ts; RFC 8829, RFC 8843) into what forwarding needs. The text is hostile:
 * it is bounded first, cut down to the lines that matter, and only then parsed; nothing in it is believed unchecked.
 */
import { parse } from 'sdp-transform';
import {
  audioSlotMids,
  dataMid,
  extensionUri,
  publishSections,
  rids as knownRids,
  videoSlotMids,
} from '../tunnel-protocol/index.ts';
import type { MediaKind, Rid, Source } from '../tunnel-protocol/index.ts';
import { plainText, readCodecs } from './sdp-codecs.ts';
import type { Codec } from './sdp-codecs.ts';

/** Largest offer in UTF-16 units, as much as a signalling message holds. Chromium's has 43,500. */
export const maxOfferLength = 65_536;
const maxLineLength = 1024;
const maxLines = 4096;
const defaultSctpPort = 5000;
const defaultMaxMessageBytes = 65_536;

/** By name of {@link extensionUri}: 1–14, or 0 where the section did not offer the extension. */
export type HeaderExtensionIds = Readonly<Record<keyof typeof extensionUri, number>>;

export interface OfferSection {
  readonly mid: string;
  readonly kind: MediaKind;
  /** What the client publishes here; null for a section it receives on. */
  readonly source: Source | null;
  /** False when the offer says `inactive`, or no codec in it is known. */
  readonly active: boolean;
  /** The accepted codecs, best first: one for a publishing section, at most one of each name for a receiving one. */
  readonly codecs: readonly Codec[];
  readonly extensions: HeaderExtensionIds;
  /** Restriction identifiers of a simulcast section, best first; empty without simulcast. */
  readonly rids: readonly Rid[];
  /** Synchronisation sources announced by `a=ssrc`; a fallback for senders without the MID extension. */
  readonly ssrcs: readonly number[];
  readonly reducedSizeRtcp: boolean;
}

export interface Offer {
  readonly ice: { readonly ufrag: string; readonly pwd: string };
  /** Algorithm in lower case, value in upper-case hex with colons (RFC 8122 section 5). */
  readonly fingerprint: { readonly algorithm: string; readonly value: string };
  /** The twelve RTP sections in order. */
  readonly sections: readonly OfferSection[];
  readonly extmapAllowMixed: boolean;
  readonly dataProtocol: string;
  /** Null when the data section is not one that SCTP over this transport's DTLS could serve. */
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

type Parsed = ReturnType<typeof parse>;
type ParsedMedia = Parsed['media'][number];

const wantedLine =
  /^(?:[vostcm]=|a=(?:group|mid|ice-ufrag|ice-pwd|fingerprint|setup|sendrecv|sendonly|recvonly|inactive|rtcp-mux|rtcp-rsize|rtpmap|fmtp|rtcp-fb|extmap|extmap-allow-mixed|rid|simulcast|ssrc|ice-lite|sctp-port|max-message-size)\b)/;
const iceCharacters = /^[A-Za-z0-9+/]+$/;
const hashBytes: ReadonlyMap<string, number> = new Map([
  ['sha-256', 32],
  ['sha-384', 48],
  ['sha-512', 64],
]);

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
  if (text.length > maxOfferLength) return fault('session', `longer than ${String(maxOfferLength)} characters`);
  const lines = text.split(/\r\n|\n/);
  if (lines.length > maxLines) return fault('session', `more than ${String(maxLines)} lines`);
  const wanted = lines.filter((line) => wantedLine.test(line));
  if (wanted.some((line) => line.length > maxLineLength)) {
    return fault('session', `a line is longer than ${String(maxLineLength)} characters`);
  }
  if (!wanted.includes('v=0')) return fault('session', 'not a session description: no "v=0" line');
  return readOffer(parse(wanted.join('\r\n')));
}

export function isOfferError(result: Offer | OfferError): result is OfferError {
  return 'reason' in result;
}

function fault(where: string, reason: string): OfferError {
  return { where, reason };
}

function readOffer(parsed: Parsed): Offer | OfferError {
  const count = shape.length + 1;
  if (parsed.media.length !== count) {
    return fault('session', `${String(parsed.media.length)} media sections where the shape has ${String(count)}`);
  }
  if (parsed.icelite !== undefined) return fault('session', 'offers ice-lite, and so does this side');
  const bundled = new Set(plainText(parsed.groups?.find((group) => group.type === 'BUNDLE')?.mids).split(' '));
  const transport = readTransport(parsed, 0);
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
  return {
    ...transport,
    sections,
    extmapAllowMixed: (parsed as { extmapAllowMixed?: string }).extmapAllowMixed !== undefined,
    dataProtocol: data.protocol,
    data: bundled.has(dataMid) ? readData(data) : null,
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

/** Peer's text inside an error: short, and without anything that could break a log line. */
function shown(value: unknown): string {
  return plainText(value)
    .slice(0, 40)
    .replace(/[^\x20-\x7e]/g, '?');
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

type OfferTransport = Pick<Offer, 'ice' | 'fingerprint'>;

/** The transport attributes of the BUNDLE-tag section, which hold for all (RFC 8843 section 7.1.3). */
function readTransport(parsed: Parsed, index: number): OfferTransport | OfferError {
  const media = parsed.media[index] as ParsedMedia;
  const where = sectionName(index, shape[index]?.mid ?? '');
  const ice = { ufrag: plainText(media.iceUfrag ?? parsed.iceUfrag), pwd: plainText(media.icePwd ?? parsed.icePwd) };
  if (!isIceString(ice.ufrag, 4)) return fault(where, 'has no valid ice-ufrag');
  if (!isIceString(ice.pwd, 22)) return fault(where, 'has no valid ice-pwd');
  const setup = media.setup ?? parsed.setup;
  if (setup !== 'actpass' && setup !== 'active') return fault(where, `has setup "${shown(setup)}", expected "actpass"`);
  const fingerprint = media.fingerprint ?? parsed.fingerprint;
  if (fingerprint === undefined) return fault(where, 'has no fingerprint');
  const algorithm = plainText(fingerprint.type).toLowerCase();
  const value = plainText(fingerprint.hash).toUpperCase();
  const length = hashBytes.get(algorithm);
  if (length === undefined) return fault(where, `has a fingerprint by "${shown(algorithm)}", expected sha-256`);
  if (value.length !== length * 3 - 1 || !/^[0-9A-F]{2}(?::[0-9A-F]{2})*$/.test(value)) {
    return fault(where, 'has a malformed fingerprint');
  }
  return { ice, fingerprint: { algorithm, value } };
}

function isIceString(text: string, minLength: number): boolean {
  return text.length >= minLength && text.length <= 256 && iceCharacters.test(text);
}

function checkSameTransport(parsed: Parsed, index: number, of: OfferTransport): string | null {
  const media = parsed.media[index] as ParsedMedia;
  if (media.iceUfrag !== undefined && plainText(media.iceUfrag) !== of.ice.ufrag) return 'has an ice-ufrag of its own';
  if (media.icePwd !== undefined && plainText(media.icePwd) !== of.ice.pwd) return 'has an ice-pwd of its own';
  if (media.fingerprint !== undefined && plainText(media.fingerprint.hash).toUpperCase() !== of.fingerprint.value) {
    return 'has a fingerprint of its own';
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
    active: media.direction !== 'inactive' && codecs.length > 0,
    codecs,
    extensions,
    rids: expected.source === 'camera' ? readRids(media, extensions) : [],
    ssrcs: readSsrcs(media),
    reducedSizeRtcp: media.rtcpRsize !== undefined,
  };
}

/**
 * Only ids that fit the one-byte form are taken (RFC 8285 section 4.2); the others are simply not answered. An id means one
 * thing in the whole bundle (RFC 8843 section 9.1), because a packet is looked at before its section is known.
 */
function readExtensions(media: ParsedMedia, uriOfId: Map<number, string>): HeaderExtensionIds | string {
  const idOf = new Map<string, number>();
  for (const { value, uri } of media.ext ?? []) {
    if ((uriOfId.get(value) ?? uri) !== uri) return `uses header extension id ${String(value)} for two things`;
    uriOfId.set(value, uri);
    if (value >= 1 && value <= 14) idOf.set(uri, value);
  }
  const entries = Object.entries(extensionUri).map(([name, uri]) => [name, idOf.get(uri) ?? 0]);
  return Object.fromEntries(entries) as HeaderExtensionIds;
}

/** RFC 8853 section 5.3: known restriction identifiers that are declared, listed to be sent, and can be told apart. */
function readRids(media: ParsedMedia, extensions: HeaderExtensionIds): readonly Rid[] {
  if (extensions.rid === 0 || media.simulcast === undefined) return [];
  const { dir1, list1, dir2, list2 } = media.simulcast;
  const list = dir1 === 'send' ? list1 : dir2 === 'send' ? list2 : undefined;
  const listed = new Set(
    list
      ?.toString()
      .split(/[;,]/)
      .map((id) => id.replace(/^~/, '')),
  );
  const declared = new Set(media.rids?.filter((rid) => rid.direction === 'send').map((rid) => plainText(rid.id)));
  return knownRids.filter((rid) => listed.has(rid) && declared.has(rid));
}

function readSsrcs(media: ParsedMedia): readonly number[] {
  const ids = new Set<number>();
  for (const { id } of media.ssrcs ?? []) {
    if (typeof id === 'number' && id > 0 && id <= 0xffff_ffff && ids.size < 8) ids.add(id);
  }
  return [...ids];
}
