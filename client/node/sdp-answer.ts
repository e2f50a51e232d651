/** Reads the SFU's answer: where to, who it is, what it takes, and which SSRC each slot has. */
import { isIP } from 'node:net';
import { parse } from 'sdp-transform';
import { audioSlotMids, dataMid, extensionUri, publishSections, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { DtlsFingerprint, MediaKind, Source, TransportAddress } from '../../tunnel-protocol/index.ts';
import { ClientError } from '../errors.ts';
import { extensionIds, payloadTypes } from './sdp-offer.ts';

export interface Answer {
  readonly ice: { readonly ufrag: string; readonly pwd: string };
  readonly fingerprint: DtlsFingerprint;
  /** UDP candidates, best first, without doubles. */
  readonly candidates: readonly TransportAddress[];
  /** TCP candidates that take connections (RFC 6544, `tcptype passive`), likewise. */
  readonly tcpCandidates: readonly TransportAddress[];
  /** By mid; slots that the server does not use are missing. */
  readonly slots: ReadonlyMap<string, { readonly kind: MediaKind; readonly ssrc: number }>;
  /** The sources that the server would take. */
  readonly accepted: ReadonlySet<Source>;
  /** SCTP's port and the largest message; null where the server has no data channels for this client. */
  readonly data: { readonly port: number; readonly maxMessageBytes: number } | null;
  /** Whether RTP packets may carry the MID extension. */
  readonly takesMid: boolean;
}

type ParsedMedia = ReturnType<typeof parse>['media'][number];

const maxAnswerLength = 65_536;
const maxUdpCandidates = 8;
const maxTcpCandidates = 3;

/** Throws ClientError `bad-answer`. */
export function readAnswer(sdp: string): Answer {
  if (sdp.length > maxAnswerLength) throw bad('it is too long');
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(sdp);
  } catch (error) {
    throw new ClientError('bad-answer', { detail: 'the SDP cannot be parsed', cause: error });
  }
  const byMid = new Map(parsed.media.map((media) => [String(media.mid), media]));
  const first = byMid.get(publishSections[0]?.mid ?? '');
  if (first === undefined) throw bad('the SDP has no first section');
  const ufrag = first.iceUfrag ?? parsed.iceUfrag;
  const pwd = first.icePwd ?? parsed.icePwd;
  if (ufrag === undefined || pwd === undefined) throw bad('the SDP has no ICE credentials');
  const fingerprint = first.fingerprint ?? parsed.fingerprint;
  if (fingerprint === undefined) throw bad('the SDP has no fingerprint');
  const setup = first.setup ?? parsed.setup;
  if (setup !== 'passive') throw bad(`the SDP says setup "${setup ?? ''}" where this client is active`);

  const slots = new Map<string, { kind: MediaKind; ssrc: number }>();
  const ssrcs = new Set<number>();
  for (const mid of [...videoSlotMids, ...audioSlotMids]) {
    const media = byMid.get(mid);
    if (media === undefined || !isUsed(media, 'sendonly')) continue;
    const ssrc = Number(media.ssrcs?.[0]?.id);
    if (!(ssrc > 0 && ssrc <= 0xffff_ffff) || ssrcs.has(ssrc)) throw bad(`section ${mid} has no SSRC of its own`);
    ssrcs.add(ssrc);
    slots.set(mid, { kind: media.type as MediaKind, ssrc });
  }
  const accepted = new Set<Source>();
  for (const { mid, source } of publishSections) {
    const media = byMid.get(mid);
    if (media !== undefined && isUsed(media, 'recvonly')) accepted.add(source);
  }
  return {
    ice: { ufrag: textOf(ufrag), pwd: textOf(pwd) },
    fingerprint: { algorithm: fingerprint.type, value: fingerprint.hash },
    candidates: readCandidates(parsed.media, 'udp', maxUdpCandidates),
    tcpCandidates: readCandidates(parsed.media, 'tcp', maxTcpCandidates),
    slots,
    accepted,
    data: readData(byMid.get(dataMid)),
    takesMid: first.ext?.some(({ value, uri }) => value === extensionIds.mid && uri === extensionUri.mid) ?? false,
  };
}

function bad(detail: string): ClientError {
  return new ClientError('bad-answer', { detail });
}

function readData(media: ParsedMedia | undefined): Answer['data'] {
  if (media?.type !== 'application' || media.port === 0) return null;
  const port = Number(media.sctpPort);
  const maxMessageBytes = (media.maxMessageSize ?? 65_536) || Infinity;
  return port > 0 && port <= 65_535 && maxMessageBytes > 0 ? { port, maxMessageBytes } : null;
}

/** The parser gives values that look like numbers as numbers, whatever its types say. */
function textOf(value: unknown): string {
  return String(value);
}

/** Whether the section has the direction and the codec that were offered. */
function isUsed(media: ParsedMedia, direction: string): boolean {
  if (media.type !== 'audio' && media.type !== 'video') return false;
  return (
    media.direction === direction && media.rtp.some(({ payload }) => payload === payloadTypes[media.type as MediaKind])
  );
}

function readCandidates(sections: readonly ParsedMedia[], wanted: 'udp' | 'tcp', most: number): TransportAddress[] {
  const found = sections
    .flatMap((media) => media.candidates ?? [])
    .filter(({ transport, component, ip, port, tcptype }) => {
      if (transport.toLowerCase() !== wanted || (wanted === 'tcp' && tcptype !== 'passive')) return false;
      return component === 1 && isIP(ip) !== 0 && port > 0 && port <= 65_535;
    })
    .sort((a, b) => b.priority - a.priority);
  const unique = new Map(found.map(({ ip, port }) => [`${ip} ${String(port)}`, { address: ip, port }]));
  return [...unique.values()].slice(0, most);
}
