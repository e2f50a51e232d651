/**
 * Offer and answer of the page's own media stack in the one fixed shape (sdp-shape.ts): Opus, and VP8 in two layers for
 * the camera. No retransmission stream: the tunnel loses nothing but what it drops on purpose.
 */
import {
  audioSlotMids,
  dataMid,
  extensionUri,
  publishSections,
  rids,
  videoSlotMids,
} from '../../tunnel-protocol/index.ts';
import type { DtlsFingerprint, IceCredentials, MediaKind, Source } from '../../tunnel-protocol/index.ts';
import { ClientError } from '../errors.ts';

/** As Chromium numbers them: a participant's streams go on when they move from its WebRTC to this stack and back. */
export const payloadTypes = { audio: 111, video: 96 } as const satisfies Record<MediaKind, number>;
export const extensionIds = { mid: 4, audioLevel: 1, rid: 10 } as const;

export interface PageOffer {
  readonly ice: IceCredentials;
  /** SHA-256: upper-case hex with colons. */
  readonly fingerprint: string;
  /** Digits. */
  readonly originId: string;
}

/** Streams are told apart by MID and RID, so no SSRC is announced. */
export function writePageOffer({ ice, fingerprint, originId }: PageOffer): string {
  const slots = [
    ...videoSlotMids.map((mid) => ({ mid, kind: 'video' as const })),
    ...audioSlotMids.map((mid) => ({ mid, kind: 'audio' as const })),
  ];
  // Without the data section, which is there for the shape alone: this stack has no SCTP.
  const mids = [...publishSections.map(({ mid }) => mid), ...slots.map(({ mid }) => mid)];
  const transport = [
    `a=ice-ufrag:${ice.ufrag}`,
    `a=ice-pwd:${ice.pwd}`,
    'a=ice-options:trickle',
    `a=fingerprint:sha-256 ${fingerprint}`,
    'a=setup:actpass',
  ];
  const section = (kind: MediaKind, mid: string, direction: string, extra: readonly string[]): string[] => [
    `m=${kind} 9 UDP/TLS/RTP/SAVPF ${String(payloadTypes[kind])}`,
    'c=IN IP4 0.0.0.0',
    ...transport,
    `a=mid:${mid}`,
    `a=extmap:${String(extensionIds.mid)} ${extensionUri.mid}`,
    ...(kind === 'audio' ? [`a=extmap:${String(extensionIds.audioLevel)} ${extensionUri.audioLevel}`] : []),
    `a=${direction}`,
    'a=rtcp-mux',
    'a=rtcp-rsize',
    ...(kind === 'audio'
      ? ['a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1']
      : ['a=rtpmap:96 VP8/90000', 'a=rtcp-fb:96 ccm fir', 'a=rtcp-fb:96 nack pli']),
    ...extra,
  ];
  const layers = [
    `a=extmap:${String(extensionIds.rid)} ${extensionUri.rid}`,
    ...rids.map((rid) => `a=rid:${rid} send`),
    `a=simulcast:send ${rids.join(';')}`,
  ];
  const lines = [
    'v=0',
    `o=- ${originId} 1 IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${mids.join(' ')}`,
    'a=msid-semantic: WMS *',
    ...publishSections.flatMap(({ kind, mid, source }) => [
      ...section(kind, mid, 'sendonly', source === 'camera' ? layers : []),
      // One stream for microphone and camera, so that receivers keep lips in sync.
      `a=msid:${source === 'screen' ? 'screen' : 'person'} ${source}`,
    ]),
    ...slots.flatMap(({ kind, mid }) => section(kind, mid, 'recvonly', [])),
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    ...transport,
    `a=mid:${dataMid}`,
    'a=sctp-port:5000',
  ];
  return lines.join('\r\n') + '\r\n';
}

export interface PageAnswer {
  readonly ice: IceCredentials;
  readonly fingerprint: DtlsFingerprint;
  /** The SSRC of each slot that the server uses, by mid. */
  readonly slots: ReadonlyMap<string, { readonly kind: MediaKind; readonly ssrc: number }>;
  /** What the server would take. */
  readonly accepted: ReadonlySet<Source>;
}

const maxAnswerLength = 65_536;

/** Reads what our SFU writes, line by line: a general parser would be half of this worker. Throws ClientError `bad-answer`. */
export function readPageAnswer(sdp: string): PageAnswer {
  if (sdp.length > maxAnswerLength) throw bad('it is too long');
  const [session = [], ...media] = splitSections(sdp);
  const byMid = new Map(media.map((lines) => [attribute(lines, 'mid') ?? '', lines]));
  const first = byMid.get(publishSections[0]?.mid ?? '');
  if (first === undefined) throw bad('the SDP has no first section');
  const shared = (name: string): string => {
    const value = attribute(first, name) ?? attribute(session, name);
    if (value === null) throw bad(`the SDP has no ${name}`);
    return value;
  };
  const [algorithm = '', value = ''] = shared('fingerprint').split(' ');
  if (shared('setup') !== 'passive') throw bad('the server is not passive');
  const slots = new Map<string, { kind: MediaKind; ssrc: number }>();
  const ssrcs = new Set<number>();
  for (const [kind, mids] of [
    ['video', videoSlotMids],
    ['audio', audioSlotMids],
  ] as const) {
    for (const mid of mids) {
      const lines = byMid.get(mid);
      if (lines === undefined || !isUsed(lines, kind, 'sendonly')) continue;
      const ssrc = Number(attribute(lines, 'ssrc')?.split(' ')[0]);
      if (!(ssrc > 0 && ssrc <= 0xffff_ffff) || ssrcs.has(ssrc)) throw bad(`section ${mid} has no SSRC of its own`);
      ssrcs.add(ssrc);
      slots.set(mid, { kind, ssrc });
    }
  }
  const accepted = publishSections.filter(({ mid, kind }) => isUsed(byMid.get(mid) ?? [], kind, 'recvonly'));
  return {
    ice: { ufrag: shared('ice-ufrag'), pwd: shared('ice-pwd') },
    fingerprint: { algorithm, value },
    slots,
    accepted: new Set(accepted.map(({ source }) => source)),
  };
}

function splitSections(sdp: string): string[][] {
  const sections: string[][] = [[]];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith('m=')) sections.push([]);
    sections.at(-1)?.push(line);
  }
  return sections;
}

function attribute(lines: readonly string[], name: string): string | null {
  const prefix = `a=${name}:`;
  return lines.find((line) => line.startsWith(prefix))?.slice(prefix.length) ?? null;
}

/** Whether the section has the direction and the codec that were offered. */
function isUsed(lines: readonly string[], kind: MediaKind, direction: string): boolean {
  const media = lines[0]?.split(' ') ?? [];
  return (
    media[0] === `m=${kind}` && media.slice(3).includes(String(payloadTypes[kind])) && lines.includes(`a=${direction}`)
  );
}

function bad(detail: string): ClientError {
  return new ClientError('bad-answer', { detail });
}
