/**
 * What is known of the path that carries media, from what both ends report of it: whether what is sent arrives. Counting is
 * per packet and cheap; all else happens with a report, four times a second. Sans-I/O; times are monotonic ms.
 */
import type { PathReport } from '../../tunnel-protocol/index.ts';
import { CountHistory } from './count-history.ts';

export interface EvidencePolicy {
  /** Between two reports of this end, while media flows. */
  readonly reportMs: number;
  /** The same while hardly anything is sent or received. */
  readonly idleReportMs: number;
  /** The peer sent, and nothing arrived for so long, */
  readonly silenceMs: number;
  /** in so many reports that told of something sent, */
  readonly silentReports: number;
  /** and of so many datagrams. */
  readonly silentLeast: number;
  /** Then nothing arrived for so long once more: what this process has not read yet is not lost. */
  readonly confirmMs: number;
  /** Any of these is broken in two reports one after the other. */
  readonly loss: readonly LossRule[];
}

/** More than `share` of at least `least` datagrams did not arrive. */
export interface LossRule {
  readonly overMs: number;
  readonly share: number;
  readonly least: number;
  /** In at least this share of the time: a short interruption is no sustained loss, however much it took. */
  readonly spread: number;
}

export const defaultEvidence: EvidencePolicy = {
  reportMs: 250,
  idleReportMs: 1_000,
  silenceMs: 800,
  silentReports: 3,
  silentLeast: 8,
  confirmMs: 50,
  loss: [
    { overMs: 1_000, share: 0.3, least: 20, spread: 1 },
    { overMs: 5_000, share: 0.1, least: 60, spread: 0.4 },
  ],
};

/** Why a path is not fit to carry media. `down`: from the peer to here. */
export interface Evidence {
  readonly cause: 'silence' | 'loss';
  readonly direction: 'down' | 'up';
  /** Of silence: how long. Of loss: over how long. */
  readonly ms: number;
  /** Lost datagrams among those sent; 1 for silence. */
  readonly share: number;
}

/** One report of the peer, beside what this end had sent and received when it was written. */
interface Comparison {
  readonly at: number;
  readonly peerSent: number;
  readonly peerReceived: number;
  readonly sent: number;
  readonly received: number;
}

/** A run of reports that tell of sending, while nothing arrives. */
interface Quiet {
  since: number;
  reports: number;
  sent: number;
}

const noQuiet: Quiet = { since: 0, reports: 0, sent: 0 };

type Direction = Evidence['direction'];

/** Reports that came closer together than this tell of one time. */
const leastGapMs = 50;
/** This end reports so late only when its process stood still: then what it has counted belongs to no time. */
const stallMs = 150;
/** Fewer datagrams than this from one report to the next are no media: RTCP alone. */
const busyCount = 3;
const busyForMs = 2_000;
/** Clocks drift apart by less than this share. */
const maxDrift = 0.0002;
const u32 = 2 ** 32;

export class PathEvidence {
  readonly #policy: EvidencePolicy;
  /** Of the nomination that chose the path; null while there is nothing to watch. */
  #nomination: number | null = null;
  #sent = 0;
  #sentBytes = 0;
  #received = 0;
  #receivedBytes = 0;
  #receivedAt = 0;
  readonly #history = new CountHistory();
  #comparisons: Comparison[] = [];
  /** The peer's clock when it wrote its last report, and the least of (arrival here − that). */
  #peerTime: number | null = null;
  #offset = Infinity;
  #arrivedAt = -Infinity;
  readonly #quiet: Record<Direction, Quiet> = { down: noQuiet, up: noQuiet };
  readonly #lossy: Record<Direction, number> = { down: 0, up: 0 };
  #confirmAt = Infinity;
  #confirmCount = 0;
  #reportAt = Infinity;
  #busyUntil = -Infinity;
  #reportedCount = 0;

  constructor(policy: EvidencePolicy = defaultEvidence) {
    this.#policy = policy;
  }

  /** Media goes on a path from now on; null: on one that needs no watching. */
  watch(nomination: number | null, now: number): void {
    this.#nomination = nomination;
    this.#reportAt = nomination === null ? Infinity : now + this.#policy.reportMs;
    this.#busyUntil = now + busyForMs;
    this.#forget(now);
  }

  /** A datagram went on the path. */
  sent(bytes: number): void {
    this.#sent += 1;
    this.#sentBytes += bytes;
  }

  /** An authentic one came on it. */
  received(bytes: number, now: number): void {
    this.#received += 1;
    this.#receivedBytes += bytes;
    this.#receivedAt = now;
  }

  /** This end's report, when one is due. */
  takeReport(now: number): PathReport | null {
    const nomination = this.#nomination;
    if (nomination === null || now < this.#reportAt) return null;
    if (now > this.#reportAt + stallMs) this.#forget(now);
    this.#history.note(now, this.#sent, this.#received);
    const count = this.#sent + this.#received;
    if (count - this.#reportedCount >= busyCount) this.#busyUntil = now + busyForMs;
    this.#reportedCount = count;
    this.#reportAt = now + (now < this.#busyUntil ? this.#policy.reportMs : this.#policy.idleReportMs);
    return {
      nomination,
      time: Math.floor(now) % u32,
      sent: this.#sent % u32,
      sentBytes: this.#sentBytes % u32,
      received: this.#received % u32,
      receivedBytes: this.#receivedBytes % u32,
    };
  }

  /** The peer's report. What it says of another path, or out of order, is ignored; a lie harms only who tells it. */
  receive(report: PathReport, now: number): void {
    if (this.#nomination === null || report.nomination < this.#nomination) return;
    if (now > this.#reportAt + stallMs) this.#forget(now);
    const before = this.#comparisons.at(-1);
    const passedMs = this.#peerTime === null ? 0 : (report.time - this.#peerTime) | 0;
    if (before !== undefined && (passedMs <= 0 || now - this.#arrivedAt < leastGapMs)) return;
    const peerTime = (this.#peerTime ?? report.time) + passedMs;
    this.#peerTime = peerTime;
    this.#arrivedAt = now;
    this.#offset = Math.min(this.#offset + passedMs * maxDrift, now - peerTime);
    this.#history.note(now, this.#sent, this.#received);
    // A report that was held up on its way tells of an earlier time.
    const at = peerTime + this.#offset;
    const own = this.#history.at(at);
    const comparison = { at, peerSent: report.sent, peerReceived: report.received, ...own };
    this.#comparisons.push(comparison);
    if (before === undefined) return;
    if (grown(comparison.peerSent, before.peerSent) >= busyCount) this.#busy(now);
    this.#listen(before, comparison, now);
    this.#weigh(comparison);
  }

  /** The evidence against the path, once, when there is enough of it; to be asked after a report, and when it is time. */
  verdict(now: number): Evidence | null {
    const evidence = this.#silence(now) ?? this.#loss(now);
    if (evidence !== null) this.#forget(now);
    return evidence;
  }

  /** When to ask `takeReport` and `verdict` again. */
  nextTimeout(): number {
    return Math.min(this.#reportAt, this.#confirmAt);
  }

  #busy(now: number): void {
    this.#busyUntil = now + busyForMs;
    this.#reportAt = Math.min(this.#reportAt, now + this.#policy.reportMs);
  }

  #forget(now: number): void {
    this.#history.clear();
    this.#comparisons = [];
    this.#peerTime = null;
    this.#offset = Infinity;
    this.#receivedAt = now;
    this.#confirmAt = Infinity;
    for (const direction of ['down', 'up'] as const) {
      this.#quiet[direction] = { ...noQuiet, since: now };
      this.#lossy[direction] = 0;
    }
  }

  #listen(before: Comparison, latest: Comparison, now: number): void {
    const { down, up } = this.#quiet;
    if (this.#receivedAt > down.since) this.#quiet.down = { ...noQuiet, since: this.#receivedAt };
    else extend(down, grown(latest.peerSent, before.peerSent));
    if (grown(latest.peerReceived, before.peerReceived) > 0) this.#quiet.up = { ...noQuiet, since: now };
    else extend(up, latest.sent - before.sent);
    const due = Math.min(this.#silentAt('down'), this.#silentAt('up'));
    if (due === Infinity) this.#confirmAt = Infinity;
    else if (this.#confirmAt === Infinity) {
      this.#confirmAt = Math.max(due, now) + this.#policy.confirmMs;
      this.#confirmCount = this.#received;
    }
  }

  /** When silence is long enough; Infinity while too few reports tell of it. */
  #silentAt(direction: Direction): number {
    const { since, reports, sent } = this.#quiet[direction];
    const { silentReports, silentLeast, silenceMs } = this.#policy;
    return reports < silentReports || sent < silentLeast ? Infinity : since + silenceMs;
  }

  #silence(now: number): Evidence | null {
    if (now < this.#confirmAt) return null;
    this.#confirmAt = Infinity;
    for (const direction of ['down', 'up'] as const) {
      if (this.#silentAt(direction) > now) continue;
      if (direction === 'down' && this.#received !== this.#confirmCount) continue;
      return { cause: 'silence', direction, ms: now - this.#quiet[direction].since, share: 1 };
    }
    return null;
  }

  #weigh(latest: Comparison): void {
    const longestMs = Math.max(...this.#policy.loss.map(({ overMs }) => overMs));
    const oldest = latest.at - longestMs - this.#policy.reportMs * 2;
    while ((this.#comparisons[0]?.at ?? Infinity) < oldest) this.#comparisons.shift();
    for (const direction of ['down', 'up'] as const) {
      this.#lossy[direction] = this.#worst(direction) === null ? 0 : this.#lossy[direction] + 1;
    }
  }

  #loss(now: number): Evidence | null {
    for (const direction of ['down', 'up'] as const) {
      if (this.#lossy[direction] < 2) continue;
      const evidence = this.#worst(direction);
      // Where reports come late or in heaps, the loss of all is evident before there are enough of them for silence.
      const ms = now - (direction === 'down' ? this.#receivedAt : this.#quiet.up.since);
      const isSilence = evidence !== null && ms >= this.#policy.silenceMs;
      return isSilence ? { cause: 'silence', direction, ms, share: 1 } : evidence;
    }
    return null;
  }

  /** The first rule of loss that the latest comparison breaks. */
  #worst(direction: Direction): Evidence | null {
    const latest = this.#comparisons.at(-1);
    if (latest === undefined) return null;
    for (const { overMs, share, least, spread } of this.#policy.loss) {
      const first = this.#comparisons.findLastIndex(({ at }) => at <= latest.at - overMs);
      const from = this.#comparisons[first];
      if (from === undefined) continue;
      const { sent, lost } = loss(direction, from, latest);
      if (sent < least || lost <= share * sent) continue;
      const steps = this.#comparisons.length - 1 - first;
      let lossy = 0;
      for (let i = first; i < first + steps; i++) {
        const step = loss(direction, this.#comparisons[i] as Comparison, this.#comparisons[i + 1] as Comparison);
        if (step.lost >= 1) lossy += 1;
      }
      if (lossy >= spread * steps) return { cause: 'loss', direction, ms: latest.at - from.at, share: lost / sent };
    }
    return null;
  }
}

function extend(quiet: Quiet, sent: number): void {
  if (sent <= 0) return;
  quiet.reports += 1;
  quiet.sent += sent;
}

function loss(
  direction: Direction,
  from: Comparison,
  to: Comparison,
): { readonly sent: number; readonly lost: number } {
  const [sent, came] =
    direction === 'down'
      ? [grown(to.peerSent, from.peerSent), to.received - from.received]
      : [to.sent - from.sent, grown(to.peerReceived, from.peerReceived)];
  return { sent, lost: sent - came };
}

/** By how much a count modulo 2^32 grew; less than 0 where it went back. */
function grown(now: number, before: number): number {
  return (now - before) | 0;
}
