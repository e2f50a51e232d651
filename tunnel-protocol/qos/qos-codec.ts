/** Reads the event of an untrusted client: every field is checked against its bounds, and what comes out is built afresh. */
import { controlRungs, rungs } from '../path.ts';
import type { ControlRung, Rung } from '../path.ts';
import { audioSlotMids, publishSections, videoSlotMids } from '../sdp-shape.ts';
import type { FieldReader } from '../signal-fields.ts';
import { qosClientKinds, qosLimits, qosOutcomes, qosReasons, qosVersion } from './qos-event.ts';
import type { QosAttempt, QosChange, QosEvent, QosJoin, QosTrack } from './qos-event.ts';

const { maxMs } = qosLimits;
const [firstSection, ...otherSections] = publishSections.map(({ mid }) => mid);
const mids: readonly [string, ...string[]] = [firstSection ?? '', ...otherSections, ...videoSlotMids, ...audioSlotMids];

/** A fault is kept by the reader, as of any other message. */
export function readQosEvent(fields: FieldReader): QosEvent {
  if (fields.value('v') !== qosVersion) fields.fail('v');
  const client = fields.object('client');
  const reconnections = fields.object('reconnections');
  return {
    v: qosVersion,
    call: fields.u32('call'),
    seq: fields.u32('seq'),
    final: fields.boolean('final'),
    client: {
      kind: client.oneOf('kind', qosClientKinds),
      version: client.token('version', qosLimits.maxVersionChars),
    },
    durationMs: fields.number('durationMs', 0, maxMs),
    intervalMs: fields.number('intervalMs', 0, maxMs),
    rung: fields.oneOf<Rung>('rung', rungs),
    controlRung: fields.oneOf<ControlRung>('controlRung', controlRungs),
    join: readJoin(fields.object('join')),
    roundTripMs: fields.numberOrNull('roundTripMs', 0, maxMs),
    controlRoundTripMs: fields.numberOrNull('controlRoundTripMs', 0, maxMs),
    mos: fields.numberOrNull('mos', 1, 5),
    attempts: fields.list('attempts', qosLimits.maxAttempts, readAttempt),
    dwells: fields.list('dwells', qosLimits.maxDwells, (dwell) => ({
      rung: dwell.oneOf<Rung>('rung', rungs),
      ms: dwell.number('ms', 0, maxMs),
    })),
    changes: fields.list('changes', qosLimits.maxChanges, readChange),
    reconnections: { media: reconnections.u32('media'), control: reconnections.u32('control') },
    tracks: fields.list('tracks', qosLimits.maxTracks, readTrack),
  };
}

function readJoin(fields: FieldReader): QosJoin {
  return {
    sessionMs: fields.numberOrNull('sessionMs', 0, maxMs),
    controlMs: fields.numberOrNull('controlMs', 0, maxMs),
    iceMs: fields.numberOrNull('iceMs', 0, maxMs),
    dtlsMs: fields.numberOrNull('dtlsMs', 0, maxMs),
    firstMediaMs: fields.numberOrNull('firstMediaMs', 0, maxMs),
  };
}

function readAttempt(fields: FieldReader): QosAttempt {
  return {
    rung: fields.oneOf<Rung>('rung', rungs),
    channel: fields.oneOf('channel', ['media', 'control']),
    outcome: fields.oneOf('outcome', qosOutcomes),
    ms: fields.number('ms', 0, maxMs),
  };
}

function readChange(fields: FieldReader): QosChange {
  return {
    from: fields.oneOfOrNull<Rung>('from', rungs),
    to: fields.oneOf<Rung>('to', rungs),
    reason: fields.oneOf('reason', qosReasons),
  };
}

function readTrack(fields: FieldReader): QosTrack {
  return {
    mid: fields.oneOf('mid', mids),
    kind: fields.oneOf('kind', ['audio', 'video']),
    direction: fields.oneOf('direction', ['send', 'receive']),
    bitsPerSecond: fields.number('bitsPerSecond', 0, qosLimits.maxBitsPerSecond),
    packets: fields.u32('packets'),
    lost: fields.u32('lost'),
    jitterMs: fields.numberOrNull('jitterMs', 0, maxMs),
    roundTripMs: fields.numberOrNull('roundTripMs', 0, maxMs),
    freezes: fields.numberOrNull('freezes', 0, maxMs),
    freezeMs: fields.numberOrNull('freezeMs', 0, maxMs),
    concealedFraction: fields.numberOrNull('concealedFraction', 0, 1),
    playoutDelayMs: fields.numberOrNull('playoutDelayMs', 0, maxMs),
    mos: fields.numberOrNull('mos', 1, 5),
  };
}
