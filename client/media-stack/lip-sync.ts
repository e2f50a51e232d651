/**
 * When a picture is to be shown so that it fits the sound of the same person (RFC 3550 section 6.4.1): sender reports put
 * both on the server's clock, and sound sets the pace. Times are monotonic ms of this machine.
 */
import { unixMsFromNtp } from '../../tunnel-protocol/index.ts';
import type { MediaKind, NtpTime } from '../../tunnel-protocol/index.ts';

interface Slot {
  readonly ticksPerMs: number;
  participant: string | null;
  report: { readonly ntpMs: number; readonly timestamp: number } | null;
  /** Of sound: local time minus server time of what is heard, smoothed. */
  offsetMs: number | null;
  playedAt: number;
}

/** A picture that would wait longer than this is shown at once: the reports cannot be right. */
const maxWaitMs = 400;
/** Sound that was heard this long ago sets no pace. */
const freshMs = 1_000;

export class LipSync {
  readonly #slots = new Map<string, Slot>();

  add(mid: string, kind: MediaKind): void {
    const ticksPerMs = kind === 'audio' ? 48 : 90;
    this.#slots.set(mid, { ticksPerMs, participant: null, report: null, offsetMs: null, playedAt: -Infinity });
  }

  /** Who is in a slot now. */
  assign(mid: string, participant: string | null): void {
    const slot = this.#slots.get(mid);
    if (slot === undefined || slot.participant === participant) return;
    slot.participant = participant;
    slot.offsetMs = null;
  }

  reported(mid: string, ntp: NtpTime, timestamp: number): void {
    const slot = this.#slots.get(mid);
    if (slot !== undefined) slot.report = { ntpMs: unixMsFromNtp(ntp), timestamp };
  }

  /** The sound of this RTP timestamp is heard at `atMs`. */
  heard(mid: string, timestamp: number, atMs: number): void {
    const slot = this.#slots.get(mid);
    const ntpMs = slot === undefined ? null : serverTime(slot, timestamp);
    if (slot === undefined || ntpMs === null) return;
    const sample = atMs - ntpMs;
    const before = slot.offsetMs;
    slot.offsetMs = before === null || Math.abs(sample - before) > maxWaitMs ? sample : before + (sample - before) / 8;
    slot.playedAt = atMs;
  }

  /** How long a picture of this RTP timestamp has to wait, in ms. */
  wait(mid: string, timestamp: number, now: number): number {
    const slot = this.#slots.get(mid);
    if (slot?.participant == null) return 0;
    const ntpMs = serverTime(slot, timestamp);
    if (ntpMs === null) return 0;
    for (const other of this.#slots.values()) {
      if (other === slot || other.participant !== slot.participant || other.offsetMs === null) continue;
      if (now - other.playedAt > freshMs) continue;
      const waitMs = ntpMs + other.offsetMs - now;
      return waitMs > 0 && waitMs <= maxWaitMs ? waitMs : 0;
    }
    return 0;
  }
}

function serverTime({ report, ticksPerMs }: Slot, timestamp: number): number | null {
  return report === null ? null : report.ntpMs + ((timestamp - report.timestamp) | 0) / ticksPerMs;
}
