/** Turns the peer connection's getStats (W3C webrtc-stats) and the media worker's figures into those of a call, once a second. */
import { audioSlotMids, publishSections, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { MediaKind } from '../../tunnel-protocol/index.ts';
import type { TrackStats } from '../call.ts';
import { readIce } from './ice-stats.ts';
import type { IceSample, IceStatsEntry } from './ice-stats.ts';
import type { MediaRoutes } from './media-routes.ts';

export interface BrowserTrackStats extends TrackStats {
  /** Decoded or encoded so far; with simulcast those of the best layer that is sent. 0 for audio. */
  readonly frames: number;
  /** Of the last second, and of the best layer; 0 for audio and while nothing comes. */
  readonly framesPerSecond: number;
  readonly width: number;
  readonly height: number;
  /** Of received audio: the sum of energy × duration as webrtc-stats defines `totalAudioEnergy`; 0 otherwise. */
  readonly audioEnergy: number;
  /** Of received audio: samples played so far, concealed ones included; 0 otherwise. */
  readonly audioSamples: number;
}

export interface CallSample {
  readonly ice: IceSample;
  readonly tracks: readonly BrowserTrackStats[];
  readonly packetsSent: number;
  readonly bytesSent: number;
  readonly packetsReceived: number;
  readonly bytesReceived: number;
  readonly packetsLost: number;
  /** Rates and fractions over the last {@link windowSamples} samples; null before there are two. */
  readonly sendBitsPerSecond: number | null;
  readonly receiveBitsPerSecond: number | null;
  /** 0–1, of what should have come. Null while nothing comes. */
  readonly lossFraction: number | null;
  /** 0–1, of what was sent, as the server reports it. Null without a report. */
  readonly sendLossFraction: number | null;
  /** The largest among the tracks that received something lately; null without one. */
  readonly jitterMs: number | null;
}

const windowSamples = 5;

/** The members used here, of all types of entry; every one may be missing. */
interface StatsEntry extends IceStatsEntry {
  readonly timestamp: number;
  readonly mid?: string;
  readonly kind?: MediaKind;
  readonly packetsSent?: number;
  readonly packetsReceived?: number;
  readonly packetsLost?: number;
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
  readonly headerBytesSent?: number;
  readonly headerBytesReceived?: number;
  readonly jitter?: number;
  readonly fractionLost?: number;
  readonly localId?: string;
  readonly framesDecoded?: number;
  readonly framesEncoded?: number;
  readonly framesPerSecond?: number;
  readonly frameWidth?: number;
  readonly frameHeight?: number;
  readonly totalAudioEnergy?: number;
  readonly totalSamplesReceived?: number;
  readonly concealedSamples?: number;
  readonly silentConcealedSamples?: number;
  readonly jitterBufferDelay?: number;
  readonly jitterBufferEmittedCount?: number;
  readonly freezeCount?: number;
  readonly totalFreezesDuration?: number;
  readonly roundTripTime?: number;
}

interface Totals {
  readonly at: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
}

const mids: readonly string[] = [...publishSections.map(({ mid }) => mid), ...videoSlotMids, ...audioSlotMids];

export class CallSampler {
  readonly #routes: MediaRoutes;
  readonly #totals: Totals[] = [];
  #packetsByMid = new Map<string, number>();

  constructor(routes: MediaRoutes) {
    this.#routes = routes;
  }

  async sample(): Promise<CallSample> {
    const { native, tunnel, active } = this.#routes;
    const entries = new Map<string, StatsEntry>();
    (await native?.peer.getStats())?.forEach((entry: StatsEntry) => entries.set(entry.id, entry));
    const all = [...entries.values()];
    const remotes = all.filter((entry) => entry.type === 'remote-inbound-rtp');
    const ofPeer = mids.flatMap((mid) => trackStats(mid, all, remotes));
    const ofTunnel: readonly BrowserTrackStats[] = tunnel?.stats ?? [];
    const tracks = active === 'tunnel' ? addUp(ofTunnel, ofPeer) : addUp(ofPeer, ofTunnel);
    const ice = readIce(entries);
    const sum = (direction: TrackStats['direction'], of: 'packets' | 'bytes' | 'lost'): number =>
      tracks.reduce((total, track) => (track.direction === direction ? total + track[of] : total), 0);
    const totals = {
      packetsSent: sum('send', 'packets'),
      bytesSent: sum('send', 'bytes'),
      packetsReceived: sum('receive', 'packets'),
      bytesReceived: sum('receive', 'bytes'),
      packetsLost: sum('receive', 'lost'),
    };
    return {
      ice: active === 'tunnel' ? { ...ice, selected: null, roundTripMs: tunnel?.roundTripMs ?? null } : ice,
      tracks,
      ...totals,
      ...this.#rates({ at: performance.now(), ...totals }),
      sendLossFraction: largest(remotes.flatMap(({ fractionLost }) => fractionLost ?? [])),
      jitterMs: this.#jitter(tracks),
    };
  }

  #rates(now: Totals): Pick<CallSample, 'sendBitsPerSecond' | 'receiveBitsPerSecond' | 'lossFraction'> {
    this.#totals.push(now);
    if (this.#totals.length > windowSamples + 1) this.#totals.shift();
    const then = this.#totals[0];
    if (then === undefined || now.at <= then.at) {
      return { sendBitsPerSecond: null, receiveBitsPerSecond: null, lossFraction: null };
    }
    const perSecond = (bytes: number): number => (Math.max(0, bytes) * 8_000) / (now.at - then.at);
    const received = now.packetsReceived - then.packetsReceived;
    // Packets that come after they were counted as lost make the count fall.
    const lost = Math.max(0, now.packetsLost - then.packetsLost);
    return {
      sendBitsPerSecond: perSecond(now.bytesSent - then.bytesSent),
      receiveBitsPerSecond: perSecond(now.bytesReceived - then.bytesReceived),
      lossFraction: received + lost > 0 ? lost / (received + lost) : null,
    };
  }

  #jitter(tracks: readonly BrowserTrackStats[]): number | null {
    const before = this.#packetsByMid;
    const receiving = tracks.filter(({ direction }) => direction === 'receive');
    this.#packetsByMid = new Map(receiving.map(({ mid, packets }) => [mid, packets]));
    const alive = receiving.filter(({ mid, packets }) => packets > (before.get(mid) ?? 0));
    return largest(alive.map(({ jitterMs }) => jitterMs));
  }
}

/** Counts are of both ways together; what is of this moment is the active one's. */
function addUp(active: readonly BrowserTrackStats[], other: readonly BrowserTrackStats[]): BrowserTrackStats[] {
  return mids.flatMap((mid) => {
    const track = active.find((each) => each.mid === mid);
    const before = other.find((each) => each.mid === mid);
    if (track === undefined || before === undefined) return track ?? before ?? [];
    return {
      ...track,
      packets: track.packets + before.packets,
      bytes: track.bytes + before.bytes,
      lost: track.lost + before.lost,
      frames: track.frames + before.frames,
      audioEnergy: track.audioEnergy + before.audioEnergy,
      audioSamples: track.audioSamples + before.audioSamples,
    };
  });
}

/** Section by section, because a simulcast section has one entry per layer. */
function trackStats(
  mid: string,
  entries: readonly StatsEntry[],
  remotes: readonly StatsEntry[],
): BrowserTrackStats | [] {
  const own = entries.filter(
    (entry) => entry.mid === mid && (entry.type === 'inbound-rtp' || entry.type === 'outbound-rtp'),
  );
  const [first] = own;
  if (first?.kind === undefined) return [];
  const sends = first.type === 'outbound-rtp';
  const reports = sends ? remotes.filter((remote) => own.some((entry) => entry.id === remote.localId)) : own;
  const sum = (of: readonly StatsEntry[], read: (entry: StatsEntry) => number | undefined): number =>
    of.reduce((total, entry) => total + (read(entry) ?? 0), 0);
  const best = own.reduce((a, b) => ((b.frameWidth ?? 0) > (a.frameWidth ?? 0) ? b : a));
  return {
    mid,
    kind: first.kind,
    direction: sends ? 'send' : 'receive',
    packets: sum(own, (entry) => (sends ? entry.packetsSent : entry.packetsReceived)),
    bytes: sum(own, (entry) =>
      sends
        ? (entry.bytesSent ?? 0) + (entry.headerBytesSent ?? 0)
        : (entry.bytesReceived ?? 0) + (entry.headerBytesReceived ?? 0),
    ),
    lost: sum(reports, (entry) => entry.packetsLost),
    jitterMs: (largest(reports.flatMap(({ jitter }) => jitter ?? [])) ?? 0) * 1_000,
    frames: (sends ? best.framesEncoded : best.framesDecoded) ?? 0,
    framesPerSecond: best.framesPerSecond ?? 0,
    width: best.frameWidth ?? 0,
    height: best.frameHeight ?? 0,
    audioEnergy: first.totalAudioEnergy ?? 0,
    audioSamples: first.totalSamplesReceived ?? 0,
    ...(sends
      ? { roundTripMs: milliseconds(largest(reports.flatMap((entry) => entry.roundTripTime ?? []))) }
      : heard(first)),
  };
}

/** Silence that is made up while nobody sends is no concealment that anybody hears. */
function heard(entry: StatsEntry): Partial<TrackStats> {
  if (entry.kind === 'video') {
    return { freezes: entry.freezeCount, freezeMs: milliseconds(entry.totalFreezesDuration ?? null) };
  }
  const { concealedSamples, silentConcealedSamples = 0 } = entry;
  return {
    playedSamples: entry.totalSamplesReceived,
    concealedSamples: concealedSamples === undefined ? undefined : concealedSamples - silentConcealedSamples,
    bufferedMs: milliseconds(entry.jitterBufferDelay ?? null),
    bufferedSamples: entry.jitterBufferEmittedCount,
  };
}

function milliseconds(seconds: number | null): number | undefined {
  return seconds === null ? undefined : seconds * 1_000;
}

function largest(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.max(...values);
}
