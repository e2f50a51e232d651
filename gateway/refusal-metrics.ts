/** What an edge and an SFU node alike tell as `sallyport_refused_total`. */
import type { Counter } from 'prom-client';
import type { Traffic } from './counters.ts';

const refusal = new RegExp(
  [
    '^dtls_(refused_.*|malformed|plaintext_alert|hello_after_connected|replayed|undecryptable|renegotiation|unexpected|overflow)$',
    '^ice_(malformed|bad_.*|missing_.*|unknown_.*|wrong_.*|role_conflicts|foreign_path|stale_nominations)$',
    '^srtp_(malformed|unauthenticated|replayed|too_.*)$',
    '^(offers|requests|streams)_refused$',
    '^(control_errors|control_unattached|datagrams_(unknown|unowned|early)|rtc?p_malformed)$',
  ].join('|'),
);

/** Which of the SFU's counts are of something turned away. */
export function isRefusal(name: string): boolean {
  return refusal.test(name);
}

/**
 * `traffics` are of the media ports: what strangers sent there, more than one address may or anything but STUN, was turned away
 * before anything was made for them.
 */
export function countRefusals(
  counter: Counter<'reason'>,
  sfuCounters: Readonly<Record<string, number>>,
  traffics: Readonly<Record<string, Traffic>>,
): void {
  for (const [reason, count] of Object.entries(sfuCounters)) if (isRefusal(reason)) counter.inc({ reason }, count);
  for (const [port, { dropped }] of Object.entries(traffics)) {
    counter.inc({ reason: `${port}_rate_limited` }, dropped['rate-limited']);
    counter.inc({ reason: `${port}_unknown_source` }, dropped['unknown-source']);
  }
}
