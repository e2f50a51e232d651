/**
 * Reads offers of clients that know nothing of the fixed shape: WHIP publishers (RFC 9725) and WHEP players. Whatever the order
 * and number of their media sections, what they send becomes a microphone and a camera, and what they receive becomes slots, in
 * order; the answer has the same sections in the same order.
 */
import { audioSlotMids, videoSlotMids } from '../tunnel-protocol/index.ts';
import type { MediaKind, Source } from '../tunnel-protocol/index.ts';
import { plainText, readCodecs } from './sdp-codecs.ts';
import type { Codec } from './sdp-codecs.ts';
import type { Offer, OfferError, OfferSection, OtherSection } from './sdp-offer.ts';
import {
  bundledMids,
  fault,
  readDescription,
  readExtensions,
  readRids,
  readSsrcs,
  readTransport,
  shown,
} from './sdp-reading.ts';
import type { Parsed, ParsedMedia } from './sdp-reading.ts';
import type { WhipRole } from './sfu.ts';

export interface ForeignOfferError extends OfferError {
  /** True: it is a session description, but not one that can be served. */
  readonly unsupported: boolean;
}

const maxSections = 32;
/** RFC 8866's tokens; no longer than the MID extension's one-byte form takes. */
const midText = /^[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,16}$/;
const known: Readonly<Record<MediaKind, string>> = {
  audio: 'opus/48000/2',
  video: 'VP8, H264 with packetization-mode=1, VP9 or AV1',
};

/** Never throws: whatever is wrong comes back as an error that names the section. */
export function parseForeignOffer(text: string, role: WhipRole): Offer | ForeignOfferError {
  const parsed = readDescription(text);
  if ('reason' in parsed) return malformed(parsed);
  const mux = /^a=rtcp-mux-only\r?$/m.test(text);
  return readForeignOffer(parsed, role, mux);
}

export function isForeignOfferError(result: Offer | ForeignOfferError): result is ForeignOfferError {
  return 'reason' in result;
}

function malformed(error: OfferError): ForeignOfferError {
  return { ...error, unsupported: false };
}

function unsupported(where: string, reason: string): ForeignOfferError {
  return { where, reason, unsupported: true };
}

function readForeignOffer(parsed: Parsed, role: WhipRole, rtcpMuxOnly: boolean): Offer | ForeignOfferError {
  const count = parsed.media.length;
  if (count === 0) return malformed(fault('session', 'there is no media section'));
  if (count > maxSections) return unsupported('session', `more than ${String(maxSections)} media sections`);
  if (parsed.icelite !== undefined) return unsupported('session', 'offers ice-lite, and so does this side');
  const bundle = bundledMids(parsed);
  const reader = new SectionReader(role);
  const mids = new Set<string>();
  const media: (OfferSection | OtherSection)[] = [];
  let first = -1;
  for (const [index, description] of parsed.media.entries()) {
    const mid = plainText(description.mid);
    const where = sectionName(index, mid);
    if (!isWhole(description)) return malformed(fault(where, 'has no complete m= line'));
    if (!midText.test(mid)) return malformed(fault(where, 'has no mid of 1 to 16 token characters'));
    if (mids.has(mid)) return malformed(fault(where, 'has the mid of another one'));
    mids.add(mid);
    const kind = kindOf(description);
    const section = kind === null ? null : reader.read(description, mid, kind, bundle.has(mid));
    if (typeof section === 'string') return unsupported(where, section);
    media.push(section ?? otherSection(description, mid));
    if (section !== null && first < 0) first = index;
  }
  const sections = media.filter((section): section is OfferSection => !('data' in section));
  if (sections.length === 0) return unsupported('session', 'no audio or video section in it can be served');
  const unbundled = sections.find(({ mid }) => !bundle.has(mid));
  if (sections.length > 1 && unbundled !== undefined) {
    return unsupported(`mid ${unbundled.mid}`, 'is not in the BUNDLE group; offer with bundle policy "max-bundle"');
  }
  const transport = readTransport(parsed, first, sectionName(first, plainText(parsed.media[first]?.mid)));
  if ('reason' in transport) return malformed(transport);
  const named = new Map(withOwnTypes(sections).map((section) => [section.mid, section]));
  return {
    ...transport,
    sections: [...named.values()],
    media: media.map((section) => named.get(section.mid) ?? section),
    bundled: unbundled === undefined,
    rtcpMuxOnly,
    trickle: true,
    extmapAllowMixed: (parsed as { extmapAllowMixed?: string }).extmapAllowMixed !== undefined,
    data: null,
  };
}

class SectionReader {
  readonly #role: WhipRole;
  readonly #uriOfId = new Map<number, string>();
  #audio = 0;
  #video = 0;

  constructor(role: WhipRole) {
    this.#role = role;
  }

  /** Null for a section that is to be refused alone, a reason where the whole offer is. */
  read(media: ParsedMedia, mid: string, kind: MediaKind, bundled: boolean): OfferSection | string | null {
    const sends = this.#role === 'whip';
    const direction = media.direction ?? 'sendrecv';
    if (direction !== 'sendrecv' && direction !== (sends ? 'sendonly' : 'recvonly')) {
      return `is "${direction}", expected "${sends ? 'sendonly' : 'recvonly'}"`;
    }
    if (media.rtcpMux === undefined) return 'does not offer rtcp-mux';
    const at = kind === 'audio' ? this.#audio++ : this.#video++;
    const slot = sends ? null : ((kind === 'audio' ? audioSlotMids : videoSlotMids)[at] ?? null);
    if (sends && at > 0) return `is a second ${kind} section; a WHIP session has one of each kind`;
    if (!sends && slot === null) return null;
    const extensions = readExtensions(media, this.#uriOfId);
    if (typeof extensions === 'string') return extensions;
    const transportWideCc = extensions.transportWideCc !== 0;
    const codecs = readCodecs(media, kind, { publishes: sends, transportWideCc });
    if (typeof codecs === 'string') return codecs;
    if (codecs.length === 0) return `offers no codec that is known here; offer ${known[kind]}`;
    const source: Source | null = !sends ? null : kind === 'audio' ? 'microphone' : 'camera';
    return {
      mid,
      kind,
      source,
      slot,
      active: true,
      codecs,
      // Alone, without a bundle, a section needs no name in its packets.
      extensions: bundled ? extensions : { ...extensions, mid: 0 },
      rids: source === 'camera' ? readRids(media, extensions) : [],
      ssrcs: readSsrcs(media),
      ownPayloadTypes: false,
      reducedSizeRtcp: media.rtcpRsize !== undefined,
    };
  }
}

function sectionName(index: number, mid: string): string {
  return `section ${String(index)} (mid ${shown(mid)})`;
}

/** What the parser could not read is not there, whatever its types say. */
function isWhole({ type, port, protocol }: Partial<ParsedMedia>): boolean {
  return type !== undefined && port !== undefined && protocol !== undefined;
}

/** Null for what is no RTP over DTLS, and for sections that the client itself has switched off. */
function kindOf(media: ParsedMedia): MediaKind | null {
  const { type, port, protocol, bundleOnly } = media as ParsedMedia & { readonly bundleOnly?: string };
  if (port === 0 && bundleOnly === undefined) return null;
  if (protocol !== 'UDP/TLS/RTP/SAVPF') return null;
  return type === 'audio' || type === 'video' ? type : null;
}

function otherSection(media: ParsedMedia, mid: string): OtherSection {
  const token = (value: unknown, otherwise: string): string => {
    const text = plainText(value);
    return /^[\w/-]{1,64}$/.test(text) ? text : otherwise;
  };
  const formats = plainText(media.payloads).split(' ')[0];
  return {
    mid,
    type: token(media.type, 'application'),
    protocol: token(media.protocol, 'UDP/TLS/RTP/SAVPF'),
    formats: token(formats, '0'),
    data: null,
  };
}

function withOwnTypes(sections: readonly OfferSection[]): readonly OfferSection[] {
  const typesOf = new Map(sections.map((section) => [section, section.codecs.flatMap(payloadTypes)]));
  return sections.map((section) => {
    const others = new Set(sections.flatMap((other) => (other === section ? [] : (typesOf.get(other) ?? []))));
    return { ...section, ownPayloadTypes: typesOf.get(section)?.some((type) => others.has(type)) === false };
  });
}

function payloadTypes({ payloadType, rtxPayloadType, redPayloadType }: Codec): readonly number[] {
  return [payloadType, rtxPayloadType, redPayloadType].filter((type) => type !== 0);
}
