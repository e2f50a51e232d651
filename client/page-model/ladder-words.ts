/** The ladder in plain words: names of the rungs, what became of each, and why media moved. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungAttempt, RungChange, RungReason } from '../call.ts';
import { isBetterRung } from './ice-plan.ts';

export const rungNames: Readonly<Record<Rung, string>> = {
  udp: 'UDP, direct',
  'turn-udp': 'TURN over UDP',
  'ice-tcp': 'ICE over TCP',
  'turn-tcp': 'TURN over TCP',
  'turn-tls': 'TURN over TLS',
  websocket: 'WebSocket tunnel',
  'http-stream': 'HTTP stream tunnel',
  'long-poll': 'Long-poll tunnel',
};

/** `used` carries media, `spare` could, `open` is being tried, `failed` does not work, `out` is not part of this call. */
export type RungState = 'used' | 'spare' | 'open' | 'failed' | 'out';

export interface RungLine {
  readonly state: RungState;
  readonly text: string;
}

/** `attempt`: the latest of this rung, undefined if there is none. `used`: the rung that carries media now, if any. */
export function rungLine(rung: Rung, attempt: RungAttempt | undefined, used: Rung | null): RungLine {
  if (rung === used) return { state: 'used', text: 'in use' };
  switch (attempt?.outcome) {
    case undefined:
      return { state: 'out', text: 'left out' };
    case 'pending':
      // What is better than the present one would have been taken.
      return { state: 'open', text: used !== null && isBetterRung(rung, used) ? 'no answer so far' : 'trying…' };
    case 'connected':
      return { state: 'spare', text: 'works, in reserve' };
    case 'superseded':
      return { state: attempt.reason === undefined ? 'open' : 'spare', text: attempt.reason ?? 'not needed' };
    case 'failed':
      return { state: 'failed', text: attempt.reason ?? 'failed' };
    case 'skipped':
      return { state: 'out', text: attempt.reason ?? 'not offered' };
  }
}

const reasonTexts: Readonly<Record<RungReason, string>> = {
  joined: 'joined',
  'better-rung-proven': 'a better way was found',
  'rung-failed': 'the way before failed',
  requested: 'asked for',
};

/** `ladder`: the latest attempt of each rung. */
export function changeText(change: RungChange, ladder: ReadonlyMap<Rung, RungAttempt>): string {
  return `${rungNames[change.to]} (${whyText(change, ladder)})`;
}

/** Why media is on this rung. */
export function whyText({ from, to, reason }: RungChange, ladder: ReadonlyMap<Rung, RungAttempt>): string {
  const parts: string[] = [reasonTexts[reason]];
  if (from === null && ladder.size === 1) parts.push('no other way is allowed');
  const silent = [...ladder.values()].filter(
    ({ rung, outcome }) => isBetterRung(rung, to) && (outcome === 'pending' || outcome === 'failed'),
  );
  if (reason !== 'requested' && silent.length > 0) {
    parts.push(`no way through for ${silent.map(({ rung }) => rungNames[rung]).join(', ')}`);
  }
  return parts.join('; ');
}
