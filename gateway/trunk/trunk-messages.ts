/** What the two ends of a trunk ask and tell each other in JSON, and the checks of it. */
import {
  SfuError,
  sfuErrors,
  type Candidate,
  type SessionRequest,
  type SfuErrorCode,
  type WhipRole,
} from '../../sfu/index.ts';
import { trunkLimits } from '../../tunnel-protocol/index.ts';

/** The first frame of each stream. The edge's names the trunk, the stream's place in it, and how many there are. */
export interface TrunkHello {
  readonly version: number;
  /** Of the edge, or of the node. */
  readonly id: string;
  /** Random, of the trunk: tells its streams from those of an earlier one. */
  readonly link: string;
  readonly stream: number;
  readonly streams: number;
  readonly proof: string;
  /** Where the SFU is reached by way of this edge, or without any edge. */
  readonly candidates: readonly Candidate[];
}

export function readHello(value: Readonly<Record<string, unknown>> | null): TrunkHello | null {
  if (value === null) return null;
  const { version, id, link, stream, streams, proof, candidates } = value;
  if (typeof version !== 'number' || typeof proof !== 'string') return null;
  if (!isLabel(id) || !isLabel(link) || !isCandidates(candidates)) return null;
  if (!isIndex(stream) || !isIndex(streams) || streams > trunkLimits.maxStreams || stream >= streams) return null;
  return { version, id, link, stream, streams, proof, candidates };
}

export type TrunkRequest =
  | { readonly op: 'open-session'; readonly request: SessionRequest }
  | { readonly op: 'open-whip'; readonly request: SessionRequest; readonly role: WhipRole; readonly offer: string }
  | {
      readonly op: 'patch-whip';
      readonly session: string;
      readonly fragment: string;
      readonly iceTags: readonly string[] | null;
    }
  | { readonly op: 'end-session'; readonly session: string }
  | { readonly op: 'rooms' }
  | { readonly op: 'room'; readonly room: string }
  | { readonly op: 'kick'; readonly room: string; readonly participant: string }
  | { readonly op: 'start-recording' | 'stop-recording'; readonly room: string }
  | { readonly op: 'mute'; readonly room: string; readonly participant: string; readonly source: string };

export type TrunkEvent =
  | {
      readonly event: 'rung';
      readonly session: string;
      readonly from: string | null;
      readonly to: string;
      readonly reason: string;
      readonly afterMs: number;
    }
  | { readonly event: 'session-end'; readonly session: string }
  /** The control channel of the session is on this flow of this trunk now. */
  | {
      readonly event: 'taken';
      readonly session: string;
      readonly flow: number;
      readonly take: number;
      readonly rung: string;
    }
  /** It is on another trunk now. */
  | { readonly event: 'left'; readonly session: string };

export function sfuErrorOf(code: unknown): SfuError | null {
  const known = (Object.keys(sfuErrors) as SfuErrorCode[]).find((candidate) => candidate === code);
  return known === undefined ? null : new SfuError(known);
}

function isCandidates(value: unknown): value is readonly Candidate[] {
  return Array.isArray(value) && value.length <= 16 && value.every(isCandidate);
}

function isCandidate(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { transport, address, port } = value as Record<string, unknown>;
  return (transport === 'udp' || transport === 'tcp') && typeof address === 'string' && isIndex(port);
}

function isLabel(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(value);
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535;
}
