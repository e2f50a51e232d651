/** What the SFU counts: plain numbers that only grow, gathered into one flat object when somebody looks. */
import { createDataCounters, createSrtpCounters } from '../tunnel-protocol/index.ts';
import type { DataCounters, SrtpCounters } from '../tunnel-protocol/index.ts';
import { createDtlsCounters } from './dtls/index.ts';
import type { DtlsCounters } from './dtls/index.ts';
import { createIceCounters } from './ice/index.ts';
import type { IceCounters } from './ice/index.ts';

/** Names as they stand in {@link gatherCounters}, and what they mean. */
export const sfuCounts = {
  sessions_opened: 'sessions opened',
  sessions_ended: 'sessions ended, for whatever reason',
  sessions_expired: 'sessions ended because neither connection nor media consent was left',
  transports_opened: 'transports made for an accepted offer',
  transports_connected: 'transports whose DTLS handshake completed',
  transports_failed: 'transports whose DTLS session ended by itself',
  ice_restarts: 'offers that restarted ICE',
  offers_refused: 'offers without the fixed shape',
  requests: 'signalling requests',
  requests_refused: 'signalling requests answered with an error',
  telemetry_in: 'telemetry events of clients',
  control_errors: 'control connections ended because of what came on them',
  control_unattached: 'control frames on paths that carry no control channel',
  control_dropped: 'control frames that a path did not take; its connection was ended',
  reports_in: 'reports of clients on how their media path fares',
  reports_out: 'reports to them',
  datagrams_unknown: 'datagrams of no known class',
  datagrams_unowned: 'DTLS and SRTP datagrams on paths that nobody validated',
  datagrams_early: 'SRTP datagrams before the DTLS handshake completed',
  rtp_in: 'RTP packets received and authenticated',
  rtp_out: 'RTP packets sent',
  rtp_malformed: 'authenticated packets that are not RTP',
  rtp_unroutable: 'RTP packets that no publishing section can be found for',
  rtp_unpublished: 'RTP packets of a source that is not published, or is muted',
  rtp_unsent: 'RTP packets not sent: no nominated path, or the path dropped them',
  rtp_dropped: 'RTP packets that a path took and dropped later, because it was too slow',
  slots_halted: 'slots that wait for a key frame because a path dropped what later packets build on',
  slots_narrowed: 'slots that took the small layer because their path is too slow for the large one',
  slots_paused: 'slots that were sent nothing because their path is too slow even for the small layers',
  rtp_repeated: 'RTP packets sent once more because a subscriber missed them',
  rtp_padding: 'RTP packets sent to find out whether a path takes more',
  rtp_repaired: 'RTP packets that publishers repeated and that were missing',
  rtp_repaired_in_vain: 'RTP packets that publishers repeated and that were not, or padding',
  rtcp_in: 'compound RTCP packets received and authenticated',
  rtcp_out: 'compound RTCP packets sent',
  rtcp_malformed: 'authenticated packets that are not RTCP',
  congestion_reports_in: 'transport-wide feedback packets of subscribers',
  congestion_reports_out: 'transport-wide feedback packets to publishers',
  key_frames_in: 'key frames received',
  key_frames_requested: 'PLI sent to publishers',
  repeats_requested: 'packets missed, each time they were asked for by NACK',
  key_frame_requests_in: 'PLI and FIR received from subscribers',
  repeat_requests_in: 'packets that subscribers asked for by NACK',
  layers_unmappable: 'layers not shown in a slot, because the subscriber did not negotiate their codec',
  slot_switches: 'slots that went over to another source or layer',
  streams_latched: 'SSRCs of publishers recognised',
  streams_replaced: 'SSRCs that took the place of another of the same layer',
  streams_refused: 'SSRCs not taken because another one of the same layer still flows',
  recordings_started: 'rooms whose recording began',
  recordings_ended: 'recordings that ended, for whatever reason',
  recordings_failed: 'recordings that ended because they could not be written',
  internal_errors: 'datagrams whose handling threw: bugs',
} as const;
export type SfuCounters = Record<keyof typeof sfuCounts, number>;

export interface Counters {
  readonly sfu: SfuCounters;
  readonly ice: IceCounters;
  readonly dtls: DtlsCounters;
  readonly srtp: SrtpCounters;
  readonly data: DataCounters;
}

export function createCounters(): Counters {
  const names = Object.keys(sfuCounts) as (keyof typeof sfuCounts)[];
  return {
    sfu: Object.fromEntries(names.map((name) => [name, 0])) as SfuCounters,
    ice: createIceCounters(),
    dtls: createDtlsCounters(),
    srtp: createSrtpCounters(),
    data: createDataCounters(),
  };
}

/** All of them under snake_case names: the SFU's own bare, the others behind `ice_`, `dtls_`, `srtp_`, `data_`. */
export function gatherCounters({ sfu, ice, dtls, srtp, data }: Counters): Readonly<Record<string, number>> {
  const all: Record<string, number> = { ...sfu };
  for (const [prefix, counts] of Object.entries({ ice, dtls, srtp, data })) {
    for (const [name, count] of Object.entries(counts)) all[`${prefix}_${snakeCase(name)}`] = count as number;
  }
  all['stun_unauthenticated'] =
    ice.missingUsername + ice.missingIntegrity + ice.unknownUfrag + ice.wrongRemoteUfrag + ice.badIntegrity;
  return all;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
