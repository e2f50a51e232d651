/** What `sallyport join` prints while a call goes on. */
import type { CallStats, NodeCall, RungAttempt } from '../../client/index.ts';

export interface JoinOutput {
  write(text: string): void;
  /** A terminal, where a line can be written over. */
  readonly isTTY: boolean;
}

/** On a terminal the figures are one line that changes each second; elsewhere a line comes every so many seconds. */
const quietEverySeconds = 5;

export class JoinReport {
  readonly #out: JoinOutput;
  #liveLine = false;
  #seconds = 0;
  #before: CallStats | null = null;

  constructor(out: JoinOutput) {
    this.#out = out;
  }

  line(text: string): void {
    this.#out.write(this.#liveLine ? `\r\u001b[K${text}\n` : `${text}\n`);
    this.#liveLine = false;
  }

  /** To be called once a second. */
  stats(stats: CallStats, extra: string): void {
    this.#seconds += 1;
    const everySeconds = this.#out.isTTY ? 1 : quietEverySeconds;
    if (this.#seconds % everySeconds !== 0) return;
    const text = describeStats(stats, this.#before, everySeconds) + extra;
    this.#before = stats;
    if (!this.#out.isTTY) {
      this.line(text);
      return;
    }
    this.#out.write(`\r\u001b[K${text}`);
    this.#liveLine = true;
  }

  /** Leaves the last figures standing. */
  end(): void {
    if (this.#liveLine) this.#out.write('\n');
    this.#liveLine = false;
  }
}

/** Lines for what happens to the call, until it is closed. */
export function reportEvents(call: NodeCall, report: JoinReport): void {
  call.on('participant-joined', (participant) => {
    report.line(`+ ${safe(participant.name)} came`);
  });
  call.on('participant-left', (participant) => {
    report.line(`- ${safe(participant.name)} left`);
  });
  call.on('rung', ({ from, to, reason }) => {
    report.line(`rung: ${from ?? 'none'} -> ${to} (${reason})`);
  });
  call.on('control', ({ connected }) => {
    report.line(connected ? 'control: connected again' : 'control: connection lost, connecting again');
  });
}

/** How a try to open a rung ended. */
export function describeAttempt({ rung, outcome, ms, reason }: RungAttempt): string {
  const why = reason === undefined ? '' : ` (${safe(reason)})`;
  const time = outcome === 'skipped' ? '' : ` after ${ms.toFixed(0)} ms`;
  return `rung ${rung}: ${outcome}${time}${why}`;
}

export function describeRoom(call: NodeCall): string {
  const names = call.participants.map(({ name, publications }) => {
    const sources = publications.map(({ source, muted }) => (muted ? `${source} muted` : source));
    return sources.length === 0 ? safe(name) : `${safe(name)} (${sources.join(', ')})`;
  });
  return names.length === 0 ? 'nobody else is in the room yet' : `in the room: ${names.join(', ')}`;
}

export function describeStats(stats: CallStats, before: CallStats | null, seconds: number): string {
  const rate = (now: number, then: number | undefined): string =>
    `${(((now - (then ?? 0)) * 8) / 1000 / seconds).toFixed(0)} kbit/s`;
  const roundTrip = stats.roundTripMs === null ? '-' : `${stats.roundTripMs.toFixed(1)} ms`;
  return [
    stats.rung,
    `round trip ${roundTrip}`,
    `up ${rate(stats.bytesSent, before?.bytesSent)}`,
    `down ${rate(stats.bytesReceived, before?.bytesReceived)}`,
    `lost ${String(stats.packetsLost)}`,
  ].join('  ');
}

/** Another participant's text on this terminal: no control characters. */
function safe(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
