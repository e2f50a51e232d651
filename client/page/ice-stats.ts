/** What the peer connection's statistics (W3C webrtc-stats) say of ICE: the selected pair, and how the others do. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { IceLook, RungPair } from '../page-model/ice-attempts.ts';

/** The members used here; every one may be missing. */
export interface IceStatsEntry {
  readonly id: string;
  readonly type: string;
  readonly selectedCandidatePairId?: string;
  readonly localCandidateId?: string;
  readonly currentRoundTripTime?: number;
  readonly state?: RungPair['state'];
  /** Firefox's own, in place of a `transport` entry. */
  readonly selected?: boolean;
  readonly candidateType?: string;
  readonly protocol?: string;
  readonly relayProtocol?: string;
}

export interface IceSample extends IceLook {
  readonly roundTripMs: number | null;
}

export async function lookAtIce(peer: RTCPeerConnection): Promise<IceSample> {
  const entries = new Map<string, IceStatsEntry>();
  (await peer.getStats()).forEach((entry: IceStatsEntry) => entries.set(entry.id, entry));
  return readIce(entries);
}

export function readIce(entries: ReadonlyMap<string, IceStatsEntry>): IceSample {
  const pairs: RungPair[] = [];
  for (const { id, type, state, localCandidateId = '' } of entries.values()) {
    if (type !== 'candidate-pair' || state === undefined) continue;
    const rung = rungOf(entries.get(localCandidateId));
    if (rung !== null) pairs.push({ id, rung, state });
  }
  const pair = selectedPair(entries);
  return {
    selected: pair === undefined ? null : rungOf(entries.get(pair.localCandidateId ?? '')),
    roundTripMs: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1_000,
    pairs,
  };
}

function selectedPair(entries: ReadonlyMap<string, IceStatsEntry>): IceStatsEntry | undefined {
  let marked: IceStatsEntry | undefined;
  for (const entry of entries.values()) {
    if (entry.type === 'transport' && entry.selectedCandidatePairId !== undefined) {
      const pair = entries.get(entry.selectedCandidatePairId);
      if (pair !== undefined) return pair;
    }
    if (entry.type === 'candidate-pair' && entry.selected === true) marked = entry;
  }
  return marked;
}

/** How the nearer half of the pair leaves this machine: directly, or through a TURN server, and over what. */
function rungOf(local: IceStatsEntry | undefined): Rung | null {
  if (local === undefined) return null;
  if (local.candidateType !== 'relay') return local.protocol === 'tcp' ? 'ice-tcp' : 'udp';
  if (local.relayProtocol === 'tls') return 'turn-tls';
  return local.relayProtocol === 'tcp' ? 'turn-tcp' : 'turn-udp';
}
