/** What DTLS counted, by name. Plain numbers that only grow; shared by all sessions of a node. */
import { dtlsRefusals, type DtlsRefusal } from './refusals.ts';

/** Name and meaning of every count that is not a refusal. */
export const dtlsCounts = {
  connected: 'handshakes completed, peer authenticated',
  timed_out: 'handshakes given up for lack of answers',
  failed: 'handshakes ended because of refused messages',
  closed_by_peer: 'sessions ended by an authenticated close_notify or fatal alert',
  retransmitted: 'flights sent again',
  malformed: 'datagrams with a record or message that breaks its bounds (rest of the datagram dropped)',
  plaintext_alert: 'alerts without protection: anybody can forge them',
  hello_after_connected: 'ClientHello or ServerHello without protection in a connected session',
  replayed: 'protected records seen before, or older than the window',
  undecryptable: 'protected records whose tag does not verify',
  renegotiation: 'protected handshake messages that would renegotiate',
  unexpected: 'records of a type or epoch that has no place now',
  overflow: 'fragments or records beyond what a session may hold back',
} as const;

type CountName = keyof typeof dtlsCounts | `refused_${DtlsRefusal}`;
export type DtlsCounters = Record<CountName, number>;

export function createDtlsCounters(): DtlsCounters {
  const names = [...Object.keys(dtlsCounts), ...Object.keys(dtlsRefusals).map((refusal) => `refused_${refusal}`)];
  return Object.fromEntries(names.map((name) => [name, 0])) as DtlsCounters;
}
