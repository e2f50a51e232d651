/** What data channels count: plain numbers that only grow. */
export const dataCounts = {
  associations: 'associations of data channels established',
  packets_refused: 'SCTP packets dropped unread: malformed, or beyond what may be',
  packets_dropped: 'SCTP packets dropped because too many wait',
  channels_opened: 'channels that peers opened',
  channels_refused: 'channels of peers refused: too many, or malformed',
  messages_in: 'messages received',
  messages_out: 'messages given to the association',
  messages_lost: 'unreliable messages dropped before sending: expired, or their reader was too slow',
  associations_ended: 'associations ended by a peer that broke the rules or was too slow',
} as const;
export type DataCounters = Record<keyof typeof dataCounts, number>;

export function createDataCounters(): DataCounters {
  const names = Object.keys(dataCounts) as (keyof typeof dataCounts)[];
  return Object.fromEntries(names.map((name) => [name, 0])) as DataCounters;
}
