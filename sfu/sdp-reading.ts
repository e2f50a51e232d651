/**
 * What all readers of offers share. The text is hostile: it is bounded first, cut down to the lines that matter, and only then
 * parsed; nothing in it is believed unchecked.
 */
import { parse } from 'sdp-transform';
import { extensionUri, rids as knownRids } from '../tunnel-protocol/index.ts';
import type { Rid } from '../tunnel-protocol/index.ts';
import { plainText } from './sdp-codecs.ts';
import type { HeaderExtensionIds, Offer, OfferError } from './sdp-offer.ts';

/** Largest offer in UTF-16 units, as much as a signalling message holds. Chromium's has 43,500. */
export const maxOfferLength = 65_536;
const maxLineLength = 1024;
const maxLines = 4096;

export type Parsed = ReturnType<typeof parse>;
export type ParsedMedia = Parsed['media'][number];
export type OfferTransport = Pick<Offer, 'ice' | 'fingerprint'>;

const wantedLine =
  /^(?:[vostcm]=|a=(?:group|mid|ice-ufrag|ice-pwd|fingerprint|setup|sendrecv|sendonly|recvonly|inactive|rtcp-mux|rtcp-mux-only|rtcp-rsize|rtpmap|fmtp|rtcp-fb|extmap|extmap-allow-mixed|rid|simulcast|ssrc|ice-lite|sctp-port|max-message-size|bundle-only)\b)/;
const iceCharacters = /^[A-Za-z0-9+/]+$/;
const hashBytes: ReadonlyMap<string, number> = new Map([
  ['sha-256', 32],
  ['sha-384', 48],
  ['sha-512', 64],
]);

/** Never throws. */
export function readDescription(text: string): Parsed | OfferError {
  if (text.length > maxOfferLength) return fault('session', `longer than ${String(maxOfferLength)} characters`);
  const lines = text.split(/\r\n|\n/);
  if (lines.length > maxLines) return fault('session', `more than ${String(maxLines)} lines`);
  const wanted = lines.filter((line) => wantedLine.test(line));
  if (wanted.some((line) => line.length > maxLineLength)) {
    return fault('session', `a line is longer than ${String(maxLineLength)} characters`);
  }
  if (!wanted.includes('v=0')) return fault('session', 'not a session description: no "v=0" line');
  return parse(wanted.join('\r\n'));
}

export function fault(where: string, reason: string): OfferError {
  return { where, reason };
}

/** Peer's text inside an error: short, and without anything that could break a log line. */
export function shown(value: unknown): string {
  return plainText(value)
    .slice(0, 40)
    .replace(/[^\x20-\x7e]/g, '?');
}

export function bundledMids(parsed: Parsed): ReadonlySet<string> {
  return new Set(plainText(parsed.groups?.find((group) => group.type === 'BUNDLE')?.mids).split(' '));
}

/** The transport attributes of the BUNDLE-tag section, which hold for all (RFC 8843 section 7.1.3). */
export function readTransport(parsed: Parsed, index: number, where: string): OfferTransport | OfferError {
  const media = parsed.media[index] as ParsedMedia;
  const ice = { ufrag: plainText(media.iceUfrag ?? parsed.iceUfrag), pwd: plainText(media.icePwd ?? parsed.icePwd) };
  if (!isIceUfrag(ice.ufrag)) return fault(where, 'has no valid ice-ufrag');
  if (!isIcePwd(ice.pwd)) return fault(where, 'has no valid ice-pwd');
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

export function isIceUfrag(text: string): boolean {
  return isIceString(text, 4);
}

export function isIcePwd(text: string): boolean {
  return isIceString(text, 22);
}

/** RFC 8839 section 5.4. */
function isIceString(text: string, minLength: number): boolean {
  return text.length >= minLength && text.length <= 256 && iceCharacters.test(text);
}

export function checkSameTransport(parsed: Parsed, index: number, of: OfferTransport): string | null {
  const media = parsed.media[index] as ParsedMedia;
  if (media.iceUfrag !== undefined && plainText(media.iceUfrag) !== of.ice.ufrag) return 'has an ice-ufrag of its own';
  if (media.icePwd !== undefined && plainText(media.icePwd) !== of.ice.pwd) return 'has an ice-pwd of its own';
  if (media.fingerprint !== undefined && plainText(media.fingerprint.hash).toUpperCase() !== of.fingerprint.value) {
    return 'has a fingerprint of its own';
  }
  return null;
}

/**
 * Only ids that fit the one-byte form are taken (RFC 8285 section 4.2); the others are simply not answered. An id means one
 * thing in the whole bundle (RFC 8843 section 9.1), because a packet is looked at before its section is known.
 */
export function readExtensions(media: ParsedMedia, uriOfId: Map<number, string>): HeaderExtensionIds | string {
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
export function readRids(media: ParsedMedia, extensions: HeaderExtensionIds): readonly Rid[] {
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

export function readSsrcs(media: ParsedMedia): readonly number[] {
  const ids = new Set<number>();
  for (const { id } of media.ssrcs ?? []) {
    if (typeof id === 'number' && id > 0 && id <= 0xffff_ffff && ids.size < 8) ids.add(id);
  }
  return [...ids];
}
