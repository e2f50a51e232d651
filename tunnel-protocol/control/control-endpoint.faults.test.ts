import t from 'tap';
import { closeCodes } from './close-codes.ts';
import { ControlEndpoint } from './control-endpoint.ts';
import type { ControlFrame } from './control-frames.ts';
import { decodeControlFrame, encodeControlFrame } from './control-frames.ts';
import type { ControlErrorReason } from './errors.ts';
import { controlErrors } from './errors.ts';
import { controlLimits } from './limits.ts';
import { VirtualPair } from './virtual-pair.ts';

const open = { type: 'open', version: 1, capabilities: 0, lastReceived: 0 } as const;
const welcome = { type: 'welcome', version: 1, capabilities: 0, lastReceived: 0, epoch: 1 } as const;

function outputs(endpoint: ControlEndpoint, now: number): ControlFrame[] {
  const frames: ControlFrame[] = [];
  for (let bytes = endpoint.nextOutput(now); bytes !== null; bytes = endpoint.nextOutput(now)) {
    frames.push(decodeControlFrame(bytes) as ControlFrame);
  }
  return frames;
}

function signal(sequence: number, text: string | Uint8Array, first = true, last = true): ControlFrame {
  return { type: 'signal', first, last, sequence, payload: typeof text === 'string' ? Buffer.from(text) : text };
}

t.test('every fault of a peer has its reason, and ends the connection with its close code', (t) => {
  const fragment = (sequence: number, bytes: number, last: boolean) =>
    signal(sequence, new Uint8Array(bytes).fill(0x61), sequence === 1, last);
  const max = controlLimits.maxFragmentBytes;
  const tooLarge = Array.from({ length: 33 }, (_, i) => fragment(i + 1, max, false));
  const cases: [ControlErrorReason, 'client' | 'server', (ControlFrame | Uint8Array)[]][] = [
    ['not-control', 'server', [open, Uint8Array.of(0x80, 0x60)]],
    ['not-control', 'server', [new Uint8Array(0)]],
    ['unknown-type', 'server', [open, Uint8Array.of(0xf7)]],
    ['malformed', 'server', [Uint8Array.of(0xf0, 1)]],
    ['unexpected', 'server', [open, open]],
    ['unexpected', 'server', [welcome]],
    ['unexpected', 'client', [open]],
    ['unexpected', 'server', [open, { type: 'drain', retryAfterMs: 0, spreadMs: 0 }]],
    ['not-open', 'server', [signal(1, 'too early')]],
    ['not-open', 'client', [signal(1, 'too early')]],
    ['not-open', 'server', [{ type: 'ack', sequence: 0 }]],
    ['version-unsupported', 'server', [{ ...open, version: 0 }]],
    ['version-unsupported', 'client', [{ ...welcome, version: 2 }]],
    ['sequence-gap', 'server', [open, signal(2, 'x')]],
    ['bad-fragment', 'server', [open, signal(1, 'x', false, true)]],
    ['bad-fragment', 'server', [open, signal(1, 'x', true, false), signal(2, 'x', true, true)]],
    ['bad-text', 'server', [open, signal(1, Uint8Array.of(0xc3))]],
    ['ack-ahead', 'server', [open, { type: 'ack', sequence: 1 }]],
    ['state-lost', 'server', [{ ...open, lastReceived: 1 }]],
    ['message-too-large', 'server', [open, ...tooLarge]],
    ['queue-full', 'server', [open, ...Array.from({ length: 4097 }, (_, i) => signal(i + 1, 'x'))]],
    ['queue-full', 'server', [open, ...Array.from({ length: 514 }, (_, i) => signal(i + 1, 'x'.repeat(max)))]],
  ];
  const seen = new Set<ControlErrorReason>();
  for (const [reason, role, frames] of cases) {
    const endpoint = new ControlEndpoint({ role, now: 0 });
    endpoint.connected(0);
    if (role === 'client') endpoint.nextOutput(0);
    let error = null;
    for (const [index, frame] of frames.entries()) {
      error = endpoint.handle(frame instanceof Uint8Array ? frame : encodeControlFrame(frame), 0);
      if (index < frames.length - 1 && error !== null) break;
    }
    t.match(error, { reason, close: controlErrors[reason].close }, reason);
    seen.add(reason);
    t.equal(endpoint.handle(encodeControlFrame(open), 0), error, 'the error is final');
    t.equal(endpoint.open, false);
    const { wire } = closeCodes[controlErrors[reason].close];
    t.strictSame(outputs(endpoint, 0), [{ type: 'close', wire, reason: controlErrors[reason].sentence }]);
    endpoint.connected(1);
    t.equal(endpoint.handle(Uint8Array.of(0xff), 1), null, 'the next connection starts without it');
  }
  t.strictSame([...seen].sort(), Object.keys(controlErrors).sort());
  t.end();
});

t.test('a server that forgot the session is noticed by the client', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.client.endpoint.send('x', pair.now);
  pair.settle();
  pair.advance(100);
  const { endpoint } = pair.client;
  endpoint.connected(pair.now);
  outputs(endpoint, pair.now);
  t.match(endpoint.handle(encodeControlFrame(welcome), pair.now), { reason: 'state-lost', close: 'unknown-session' });
  t.end();
});

t.test('every sentence of a control error fits a close reason', (t) => {
  for (const { sentence } of [...Object.values(controlErrors), ...Object.values(closeCodes)]) {
    t.ok(Buffer.byteLength(sentence) <= controlLimits.maxReasonBytes, sentence);
  }
  t.end();
});
