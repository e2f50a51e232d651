/** Which codecs of an offer are taken, and by which key the same codec is known at two peers. */
import { parseParams } from 'sdp-transform';
import type { parse } from 'sdp-transform';
import type { MediaKind } from '../tunnel-protocol/index.ts';

/** Equal keys mean: packets of the one may be forwarded as the other. */
export type CodecKey = string;
export type CodecName = 'opus' | 'VP8' | 'VP9' | 'H264' | 'AV1';

export interface Codec {
  readonly key: CodecKey;
  readonly name: CodecName;
  readonly payloadType: number;
  readonly clockRate: number;
  /** 2 for Opus (RFC 7587 section 7), 0 for video. */
  readonly channels: number;
  /** Format parameters as offered; empty when there are none. */
  readonly parameters: string;
  /** Feedback that is both offered and understood. */
  readonly feedback: readonly string[];
  /** Of the retransmission format for this codec (RFC 4588 section 8); 0 where it is not offered. */
  readonly rtxPayloadType: number;
  /** Of redundant audio made of this codec (RFC 2198); 0 where it is not offered. */
  readonly redPayloadType: number;
  /** The offer lists redundant audio before the codec itself: its publisher wants to send it. */
  readonly prefersRed: boolean;
}

type ParsedMedia = ReturnType<typeof parse>['media'][number];

const names: ReadonlyMap<string, CodecName> = new Map([
  ['opus', 'opus'],
  ['vp8', 'VP8'],
  ['vp9', 'VP9'],
  ['h264', 'H264'],
  ['av1', 'AV1'],
]);
/** Best first: VP8 is what every peer decodes and what can be rewritten down to its picture ids. */
const preference: readonly CodecName[] = ['opus', 'VP8', 'H264', 'VP9', 'AV1'];
const understoodFeedback: readonly string[] = ['nack', 'nack pli', 'ccm fir', 'goog-remb', 'transport-cc'];
const maxPayloadTypes = 64;

/**
 * The codecs to answer with, best first, at most one of each name; only the best one where the client publishes, so that
 * nobody need guess what comes. Returns a reason when the section is malformed, an empty list when nothing is known.
 */
export function readCodecs(
  media: ParsedMedia,
  kind: MediaKind,
  { publishes, transportWideCc }: { readonly publishes: boolean; readonly transportWideCc: boolean },
): readonly Codec[] | string {
  const listed = new Set(plainText(media.payloads).split(' ').map(Number));
  if (listed.size > maxPayloadTypes) return `lists more than ${String(maxPayloadTypes)} payload types`;
  const best = new Map<CodecName, { codec: Codec; rank: number }>();
  for (const { payload, codec, rate, encoding } of media.rtp) {
    const name = names.get(plainText(codec).toLowerCase());
    if (name === undefined || !listed.has(payload)) continue;
    if (!isPayloadType(payload)) return `uses payload type ${String(payload)}, which no codec may have`;
    if ((name === 'opus') !== (kind === 'audio')) continue;
    if (rate !== (name === 'opus' ? 48_000 : 90_000)) continue;
    const parameters = plainText(media.fmtp.find((line) => line.payload === payload)?.config);
    const { key, rank } = keyOf(name, parameters);
    const earlier = best.get(name);
    if (rank === 0 || (earlier !== undefined && earlier.rank >= rank)) continue;
    const channels = name === 'opus' ? (encoding ?? 1) : 0;
    if (name === 'opus' && channels !== 2) continue;
    // Publishers without RTX repeat packets as they were. To subscribers that is not possible, because no SRTP index may be
    // used twice, so there is no NACK without RTX.
    const rtxPayloadType = name === 'opus' ? 0 : rtxOf(media, payload, listed);
    const repairs = name !== 'opus' && (publishes || rtxPayloadType !== 0);
    const feedback = feedbackOf(media, payload).filter(
      (one) => (one !== 'nack' || repairs) && (one !== 'transport-cc' || transportWideCc),
    );
    const redPayloadType = name === 'opus' ? redOf(media, payload, listed) : 0;
    const order = [...listed];
    const prefersRed = redPayloadType !== 0 && order.indexOf(redPayloadType) < order.indexOf(payload);
    best.set(name, {
      rank,
      codec: {
        key,
        name,
        payloadType: payload,
        clockRate: rate,
        channels,
        parameters,
        feedback,
        rtxPayloadType,
        redPayloadType,
        prefersRed,
      },
    });
  }
  const codecs = preference.flatMap((name) => best.get(name)?.codec ?? []);
  return publishes ? codecs.slice(0, 1) : codecs;
}

/** The key, and how much this variant is wanted among those of its name; 0 = not at all. */
function keyOf(name: CodecName, parameters: string): { key: CodecKey; rank: number } {
  if (name === 'opus' || name === 'VP8') return { key: name, rank: 1 };
  const values = new Map(Object.entries(parseParams(parameters) as Record<string, unknown>));
  const value = (of: string, otherwise: string): string => (plainText(values.get(of)) || otherwise).toLowerCase();
  if (name === 'VP9') return { key: 'VP9/0', rank: value('profile-id', '0') === '0' ? 1 : 0 };
  if (name === 'AV1') return { key: 'AV1/0', rank: value('profile', '0') === '0' ? 1 : 0 };
  // RFC 6184 section 8.1: the first two bytes name profile and constraints; without the parameter it is Baseline.
  const profile = value('profile-level-id', '42000a').slice(0, 4);
  if (!/^[0-9a-f]{4}$/.test(profile) || value('packetization-mode', '0') !== '1') return { key: 'H264', rank: 0 };
  return { key: `H264/${profile}`, rank: profile === '42e0' ? 3 : profile === '4200' ? 2 : 1 };
}

/** sdp-transform turns what looks like a number into one, whatever its types say. Empty for everything else. */
export function plainText(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

function rtxOf(media: ParsedMedia, payload: number, listed: ReadonlySet<number>): number {
  for (const { payload: rtx, codec } of media.rtp) {
    if (plainText(codec).toLowerCase() !== 'rtx' || !listed.has(rtx) || !isPayloadType(rtx)) continue;
    const parameters = plainText(media.fmtp.find((line) => line.payload === rtx)?.config);
    if (/(?:^|;)\s*apt=(\d+)/.exec(parameters)?.[1] === String(payload)) return rtx;
  }
  return 0;
}

/** RFC 2198 section 5: redundant audio whose blocks are all of this codec. */
function redOf(media: ParsedMedia, payload: number, listed: ReadonlySet<number>): number {
  for (const { payload: red, codec, rate } of media.rtp) {
    if (plainText(codec).toLowerCase() !== 'red' || rate !== 48_000 || !listed.has(red) || !isPayloadType(red))
      continue;
    const parameters = plainText(media.fmtp.find((line) => line.payload === red)?.config);
    const blocks = parameters.split('/');
    if (blocks.length > 1 && blocks.every((block) => block === String(payload))) return red;
  }
  return 0;
}

/** RFC 5761 section 4: 64–95 would be taken for RTCP. */
function isPayloadType(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 127 && !(value >= 64 && value < 96);
}

function feedbackOf(media: ParsedMedia, payload: number): readonly string[] {
  const offered = new Set<string>();
  for (const { payload: of, type, subtype } of media.rtcpFb ?? []) {
    if (String(of) !== '*' && Number(of) !== payload) continue;
    offered.add(subtype === undefined ? type : `${type} ${subtype}`);
  }
  return understoodFeedback.filter((feedback) => offered.has(feedback));
}
