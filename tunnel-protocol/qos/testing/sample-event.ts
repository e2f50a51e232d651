/** Telemetry as a client might send it. */
import { qosVersion } from '../qos-event.ts';
import type { QosEvent, QosTrack } from '../qos-event.ts';

export function sampleQosTrack(changes: Partial<QosTrack> = {}): QosTrack {
  return {
    mid: '9',
    kind: 'audio',
    direction: 'receive',
    bitsPerSecond: 42_100,
    packets: 1500,
    lost: 3,
    jitterMs: 2.5,
    roundTripMs: null,
    freezes: null,
    freezeMs: null,
    concealedFraction: 0.002,
    playoutDelayMs: 41.2,
    mos: 4.38,
    ...changes,
  };
}

export function sampleQosEvent(changes: Partial<QosEvent> = {}): QosEvent {
  return {
    v: qosVersion,
    call: 305_419_896,
    seq: 0,
    final: false,
    client: { kind: 'browser', version: '0.1.0' },
    durationMs: 30_000,
    intervalMs: 30_000,
    rung: 'udp',
    controlRung: 'websocket',
    join: { sessionMs: 20, controlMs: 50, iceMs: 90, dtlsMs: 130, firstMediaMs: 400 },
    roundTripMs: 18.4,
    controlRoundTripMs: 19,
    mos: 4.38,
    attempts: [{ rung: 'udp', channel: 'media', outcome: 'connected', ms: 43 }],
    dwells: [{ rung: 'udp', ms: 30_000 }],
    changes: [{ from: null, to: 'udp', reason: 'joined' }],
    reconnections: { media: 0, control: 0 },
    tracks: [sampleQosTrack()],
    ...changes,
  };
}
