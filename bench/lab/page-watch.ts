/**
 * What the lab learns from inside the page: when the first frame was decoded, and what became of every way that ICE tried.
 * {@link watchPage} and {@link readPage} run in the browser and can use nothing from outside their own text.
 */
import type { RungAttempt } from '../../client/index.ts';
import { rungs, type Rung } from '../../tunnel-protocol/index.ts';

/** One way that ICE tried, as far as it matters for the ladder; times are the page's, in ms. */
export interface TriedWay {
  /** `host`, `srflx`, `prflx` or `relay`, of the nearer half. */
  readonly candidateType: string;
  readonly protocol: string;
  /** Towards the TURN server; empty without one. */
  readonly relayProtocol: string;
  readonly seenAt: number;
  /** RTCStatsIceCandidatePairState. */
  state: string;
  succeededAt: number | null;
}

export interface PageReport {
  /** The page's time of this report. */
  readonly now: number;
  readonly rung: string | null;
  readonly joinMs: number | null;
  readonly frames: number;
  readonly audioPackets: number;
  readonly packets: number;
  readonly lost: number;
  /** The longest time between packets of sound that was seen since the report before. */
  readonly gapMs: number;
  readonly ways: readonly TriedWay[];
  /** TURN servers that no candidate came from. */
  readonly failures: readonly { readonly url: string; readonly reason: string; readonly ms: number }[];
}

/** The members used here, of every type of entry of getStats(). */
interface StatsEntry {
  readonly id: string;
  /** When the figures were taken, in ms since 1970. */
  readonly timestamp: number;
  readonly type: string;
  readonly kind?: string;
  readonly framesDecoded?: number;
  readonly packetsReceived?: number;
  readonly packetsLost?: number;
  /** In ms since 1970. */
  readonly lastPacketReceivedTimestamp?: number;
  readonly localCandidateId?: string;
  readonly state?: string;
  readonly candidateType?: string;
  readonly protocol?: string;
  readonly relayProtocol?: string;
}

interface Peer {
  getStats(): Promise<Map<string, StatsEntry>>;
  addEventListener(
    name: string,
    listener: (event: { url: string; errorCode: number; errorText: string }) => void,
  ): void;
}

interface Watch {
  firstFrameAt: number | null;
  frames: number;
  audioPackets: number;
  packets: number;
  lost: number;
  lastSoundAt: number;
  gapMs: number;
  ways: Map<string, TriedWay>;
  failures: { url: string; reason: string; ms: number }[];
  look: () => Promise<void>;
}

interface WatchedPage {
  RTCPeerConnection: new (...args: unknown[]) => Peer;
  labWatch: Watch;
}

/** For `addInitScript`: before the page's own scripts run. */
export function watchPage(): void {
  const page = globalThis as unknown as WatchedPage;
  // The browser computes its figures anew every 50 ms at most.
  const impatientMs = 50;
  const patientMs = 100;
  const peers: Peer[] = [];
  const watch: Watch = {
    firstFrameAt: null,
    frames: 0,
    audioPackets: 0,
    packets: 0,
    lost: 0,
    lastSoundAt: 0,
    gapMs: 0,
    ways: new Map(),
    failures: [],
    look,
  };
  page.labWatch = watch;
  page.RTCPeerConnection = class extends page.RTCPeerConnection {
    constructor(...args: unknown[]) {
      super(...args);
      peers.push(this);
      const madeAt = performance.now();
      this.addEventListener('icecandidateerror', ({ url, errorCode, errorText }) => {
        const reason = `${String(errorCode)} ${errorText}`.trim();
        watch.failures.push({ url, reason, ms: performance.now() - madeAt });
      });
    }
  };

  async function look(): Promise<void> {
    const sums = { frames: 0, audioPackets: 0, packets: 0, lost: 0 };
    let lastSoundAt = 0;
    for (const peer of peers) {
      const report = await peer.getStats();
      report.forEach((entry) => {
        // A busy page gets its figures late.
        const takenAt = entry.timestamp - performance.timeOrigin;
        if (entry.type === 'inbound-rtp') {
          if ((entry.framesDecoded ?? 0) > 0) watch.firstFrameAt ??= takenAt;
          sums.frames += entry.framesDecoded ?? 0;
          sums.packets += entry.packetsReceived ?? 0;
          sums.lost += entry.packetsLost ?? 0;
          if (entry.kind === 'audio') {
            sums.audioPackets += entry.packetsReceived ?? 0;
            lastSoundAt = Math.max(lastSoundAt, entry.lastPacketReceivedTimestamp ?? 0);
          }
        }
        const local = report.get(entry.localCandidateId ?? '');
        if (entry.type !== 'candidate-pair' || local === undefined) return;
        let way = watch.ways.get(entry.id);
        if (way === undefined) {
          way = {
            candidateType: local.candidateType ?? '',
            protocol: local.protocol ?? '',
            relayProtocol: local.relayProtocol ?? '',
            seenAt: takenAt,
            state: '',
            succeededAt: null,
          };
          watch.ways.set(entry.id, way);
        }
        way.state = entry.state ?? '';
        if (way.state === 'succeeded') way.succeededAt ??= takenAt;
      });
    }
    // What the page's own media stack receives is in no peer connection.
    const { firstPictureAt, stats: tracks } = globalThis.sallyportCall?.tunnel ?? { firstPictureAt: null, stats: [] };
    if (firstPictureAt !== null) watch.firstFrameAt ??= firstPictureAt;
    for (const { kind, direction, frames, packets, lost } of tracks) {
      if (direction !== 'receive') continue;
      sums.frames += frames;
      sums.packets += packets;
      sums.lost += lost;
      if (kind === 'audio') sums.audioPackets += packets;
    }
    // Told four times a second: a gap is seen that much too long at worst.
    const newSound = sums.audioPackets > watch.audioPackets && lastSoundAt <= watch.lastSoundAt;
    if (newSound && tracks.length > 0) lastSoundAt = performance.timeOrigin + performance.now();
    if (watch.lastSoundAt > 0) watch.gapMs = Math.max(watch.gapMs, lastSoundAt - watch.lastSoundAt);
    Object.assign(watch, sums, { lastSoundAt: Math.max(watch.lastSoundAt, lastSoundAt) });
  }

  const again = (): void => {
    setTimeout(
      () => {
        void look().finally(again);
      },
      watch.firstFrameAt === null ? impatientMs : patientMs,
    );
  };
  again();
}

/** For `evaluate`. */
export async function readPage(): Promise<PageReport> {
  const { labWatch } = globalThis as unknown as WatchedPage;
  await labWatch.look();
  // The page's request for a session is the first thing that its join does.
  const asked = performance
    .getEntriesByType('resource')
    .find(({ name }) => new URL(name).pathname === '/v1/sessions')?.startTime;
  const { firstFrameAt, frames, audioPackets, packets, lost, gapMs, ways, failures } = labWatch;
  labWatch.gapMs = 0;
  return {
    now: performance.now(),
    rung: globalThis.sallyportCall?.rung ?? null,
    joinMs: firstFrameAt === null || asked === undefined ? null : firstFrameAt - asked,
    frames,
    audioPackets,
    packets,
    lost,
    gapMs,
    ways: [...ways.values()],
    failures,
  };
}

/** One attempt per rung that ICE tried, in the words of the Node client. */
export function attemptsOf({ now, rung: current, ways, failures }: PageReport): readonly RungAttempt[] {
  const attempts = new Map<Rung, RungAttempt>();
  for (const { url, reason, ms } of failures) {
    const rung = rungOfServer(url);
    if (rung !== null) attempts.set(rung, { rung, outcome: 'failed', ms, reason });
  }
  const worst = isRung(current) ? rungs.indexOf(current) : rungs.length;
  for (const [rank, rung] of rungs.entries()) {
    const tried = ways.filter((way) => rungOfWay(way) === rung);
    if (tried.length === 0) continue;
    const began = Math.min(...tried.map(({ seenAt }) => seenAt));
    const worked = tried.flatMap(({ succeededAt }) => succeededAt ?? []);
    if (worked.length > 0) {
      attempts.set(rung, { rung, outcome: 'connected', ms: Math.min(...worked) - began });
    } else if (tried.every(({ state }) => state === 'failed')) {
      attempts.set(rung, { rung, outcome: 'failed', ms: now - began, reason: 'no answer to checks' });
    } else {
      // ICE stops checking what is worse than the pair it has chosen.
      attempts.set(rung, { rung, outcome: rank > worst ? 'superseded' : 'pending', ms: now - began });
    }
  }
  return [...attempts.values()];
}

function rungOfWay({ candidateType, protocol, relayProtocol }: TriedWay): Rung {
  if (candidateType !== 'relay') return protocol === 'tcp' ? 'ice-tcp' : 'udp';
  if (relayProtocol === 'tls') return 'turn-tls';
  return relayProtocol === 'tcp' ? 'turn-tcp' : 'turn-udp';
}

function rungOfServer(url: string): Rung | null {
  if (url.startsWith('turns:')) return 'turn-tls';
  if (!url.startsWith('turn:')) return null;
  return url.includes('transport=tcp') ? 'turn-tcp' : 'turn-udp';
}

export function isRung(text: string | null): text is Rung {
  return (rungs as readonly (string | null)[]).includes(text);
}
