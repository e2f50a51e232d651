import fc from 'fast-check';
import t from 'tap';
import { SignalDecodeError, decodeSignalRequest } from '../signal-codec.ts';
import { qosLimits } from './qos-event.ts';
import type { QosEvent } from './qos-event.ts';
import { sampleQosEvent, sampleQosTrack } from './testing/sample-event.ts';

const decode = (event: unknown): unknown => decodeSignalRequest(JSON.stringify({ type: 'telemetry', id: 1, event }));
const reasonOf = (event: unknown): string => {
  const decoded = decode(event);
  return decoded instanceof SignalDecodeError ? decoded.message : 'decoded';
};

t.test('an event decodes to itself, and what is not of the schema is dropped', (t) => {
  const event = sampleQosEvent({ tracks: [sampleQosTrack(), sampleQosTrack({ mid: '3', kind: 'video', mos: null })] });
  t.strictSame(decode(event), { type: 'telemetry', id: 1, event });
  t.strictSame(decode({ ...event, name: 'Ada', client: { ...event.client, address: '192.0.2.1' } }), {
    type: 'telemetry',
    id: 1,
    event,
  });
  t.end();
});

t.test('each bound holds, and the reason names the field', (t) => {
  const cases: [Partial<Record<keyof QosEvent, unknown>>, string][] = [
    [{ v: 2 }, 'event.v'],
    [{ call: -1 }, 'event.call'],
    [{ seq: 1.5 }, 'event.seq'],
    [{ final: 'yes' }, 'event.final'],
    [{ client: { kind: 'toaster', version: '1' } }, 'event.client.kind'],
    [{ client: { kind: 'node', version: 'x'.repeat(33) } }, 'event.client.version'],
    [{ durationMs: qosLimits.maxMs + 1 }, 'event.durationMs'],
    [{ intervalMs: null }, 'event.intervalMs'],
    [{ rung: 'pigeon' }, 'event.rung'],
    [{ controlRung: 'udp' }, 'event.controlRung'],
    [{ join: {} }, 'event.join.sessionMs'],
    [{ roundTripMs: 'soon' }, 'event.roundTripMs'],
    [{ mos: 0.9 }, 'event.mos'],
    [{ attempts: new Array(33).fill({}) }, 'event.attempts'],
    [{ dwells: [{ rung: 'udp', ms: -1 }] }, 'event.dwells[0].ms'],
    [{ changes: [{ from: 'udp', to: 'x', reason: 'joined' }] }, 'event.changes[0].to'],
    [{ reconnections: { media: 0 } }, 'event.reconnections.control'],
    [{ tracks: new Array(17).fill(sampleQosTrack()) }, 'event.tracks'],
    [{ tracks: [{ ...sampleQosTrack(), mid: 'alice' }] }, 'event.tracks[0].mid'],
    [{ tracks: [{ ...sampleQosTrack(), concealedFraction: 1.1 }] }, 'event.tracks[0].concealedFraction'],
  ];
  for (const [fault, field] of cases) t.match(reasonOf({ ...sampleQosEvent(), ...fault }), `(${field})`, field);
  t.match(reasonOf(null), '(event)');
  t.end();
});

t.test('whatever comes, it is decoded or refused, and never throws', (t) => {
  const strange = fc.oneof(fc.jsonValue(), fc.constant(null), fc.double(), fc.string());
  fc.assert(
    fc.property(fc.constantFrom(...(Object.keys(sampleQosEvent()) as (keyof QosEvent)[])), strange, (key, value) => {
      const decoded = decode({ ...sampleQosEvent(), [key]: value });
      t.ok(typeof decoded === 'object' && decoded !== null);
    }),
  );
  t.end();
});
