/** The specification and the code say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { equalBytes } from './bytes.ts';
import { classifyDatagram, datagramClass } from './classify.ts';
import { afterClose, closeCodes } from './control/close-codes.ts';
import type { ControlFrame } from './control/control-frames.ts';
import {
  capability,
  controlType,
  decodeControlFrame,
  encodeControlFrame,
  firstIgnorableType,
  fragmentFlag,
  reportFlag,
  reservedControlType,
} from './control/control-frames.ts';
import { controlErrors } from './control/errors.ts';
import { controlLimits, controlVersion } from './control/limits.ts';
import { creditFlag, creditFrameBytes, creditType, flowLimits } from './flow/index.ts';
import { forEachFrame, frameHeaderBytes, maxDatagramBytes, maxMessageBytes } from './frames.ts';
import { controlRungs, rungs } from './path.ts';
import { audioSlotMids, dataMid, publishSections, rids, videoSlotMids } from './sdp-shape.ts';
import {
  SignalDecodeError,
  decodeSignalEvent,
  decodeSignalRequest,
  signalDecodeReasons,
  signalEventTypes,
  signalLimits,
  signalRequestTypes,
} from './signal-codec.ts';
import type { SignalEvent } from './signal.ts';
import { NOMINATION, stunAttribute } from './stun/index.ts';

const readme = readFileSync(new URL('../../tunnel-protocol/README.md', import.meta.url), 'utf8');

/** The text of a section up to the next heading of any level. */
function section(heading: string): string {
  const start = readme.indexOf(`\n${heading}\n`);
  assert.ok(start >= 0, `no section ${heading}`);
  const body = readme.slice(start + heading.length + 2);
  const end = body.search(/^#{2,4} /m);
  return end < 0 ? body : body.slice(0, end);
}

/** The tables of a section: rows of cells, headers left out, backticks stripped. */
function tables(heading: string): string[][][] {
  const found: string[][][] = [];
  for (const block of section(heading).matchAll(/(?:^\|.*\n)+/gm)) {
    const lines = block[0].trimEnd().split('\n').slice(2);
    found.push(
      lines.map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim().replaceAll('`', '')),
      ),
    );
  }
  return found;
}
const table = (heading: string, index = 0) => tables(heading)[index] ?? [];
const columns = (rows: (string | undefined)[][], ...wanted: number[]) =>
  rows.map((row) => wanted.map((column) => row[column]));
const fromHex = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const range = (text: string): [number, number] => {
  const [low, high] = text.split('–').map(Number) as [number, number?];
  return [low, high ?? low];
};

t.test('classes by first byte', (t) => {
  const names = new Array<string>(256).fill('unknown');
  for (const [bytes, name] of columns(table('## What a datagram is'), 0, 1) as [string, string][]) {
    if (bytes === 'all others') continue;
    const [low, high] = range(bytes);
    names.fill(name, low, high + 1);
  }
  for (let first = 0; first < 256; first++) {
    const name = names[first] as keyof typeof datagramClass;
    t.equal(classifyDatagram(Uint8Array.of(first)), datagramClass[name], String(first));
  }
  t.end();
});

const sampleFrames: ControlFrame[] = [
  { type: 'open', version: 0x11, capabilities: 0x2223, lastReceived: 0x31323334 },
  { type: 'welcome', version: 0x11, capabilities: 0x2223, lastReceived: 0x31323334, epoch: 0x41424344 },
  { type: 'ack', sequence: 0x51525354 },
  { type: 'ping', id: 0x61626364, time: 0x71727374 },
  { type: 'pong', id: 0x61626364, echoedTime: 0x71727374, time: 0x81828384 },
  { type: 'signal', first: true, last: false, sequence: 0x51525354, payload: Uint8Array.of(1, 2, 3) },
  { type: 'close', wire: 4242, reason: 'why' },
  { type: 'drain', retryAfterMs: 0x91929394, spreadMs: 0xa1a2a3a4, where: 'https://b.example' },
  { type: 'credit', flags: fragmentFlag.first, held: 0xb1b2, received: 0xc1c2c3c4, time: 0xd1d2d3d4 },
  { type: 'edges', edges: ['https://b.example', 'https://c.example:8443'] },
  {
    type: 'report',
    flags: reportFlag.answer,
    nomination: 0x11121314,
    time: 0x21222324,
    sent: 0x31323334,
    sentBytes: 0x41424344,
    received: 0x51525354,
    receivedBytes: 0x61626364,
  },
];

/** Packs a frame as the README's layout says. */
function pack(layout: string, frame: ControlFrame): Uint8Array {
  const tails: Record<string, Uint8Array> = {
    payload: frame.type === 'signal' ? frame.payload : new Uint8Array(0),
    edges: Buffer.from(frame.type === 'edges' ? frame.edges.join('\n') : ''),
    where: Buffer.from(frame.type === 'drain' ? (frame.where ?? '') : ''),
    reason: Buffer.from(frame.type === 'close' ? frame.reason : ''),
  };
  const fields: Record<string, unknown> = { ...frame, type: controlType[frame.type], flags: fragmentFlag.first };
  const bytes: number[] = [];
  for (const field of layout.split(' ')) {
    const [name, bits] = field.split(':') as [string, string?];
    if (bits === undefined) {
      bytes.push(...(tails[name] as Uint8Array));
      continue;
    }
    const value = fields[name];
    assert.equal(typeof value, 'number', `${frame.type} has no field ${name}`);
    for (let shift = Number(bits) - 8; shift >= 0; shift -= 8) bytes.push(((value as number) >>> shift) & 0xff);
  }
  return Uint8Array.from(bytes);
}

t.test('control frames: types, names and layouts', (t) => {
  const rows = table('## Control frames');
  const layouts = rows.filter((row) => row[3]?.startsWith('type:8'));
  t.strictSame(
    layouts.map((row) => [row[1], Number(row[0])]),
    Object.entries(controlType),
  );
  for (const frame of sampleFrames) {
    const layout = layouts.find((row) => row[1] === frame.type)?.[3] ?? '';
    t.ok(equalBytes(pack(layout, frame), encodeControlFrame(frame)), frame.type);
  }
  t.equal(sampleFrames.length, layouts.length);
  for (const [types, name, , effect] of rows.filter((row) => row[3]?.startsWith('unknown')) as [
    string,
    string,
    string,
    string,
  ][]) {
    const [low, high] = range(types);
    for (let type = low; type <= high; type++) {
      const decoded = decodeControlFrame(Uint8Array.of(type));
      t.equal(
        typeof decoded === 'string' ? decoded : decoded.type,
        effect === 'unknown: a fault' ? 'unknown-type' : 'ignorable',
      );
    }
    if (name.endsWith(', reserved')) t.equal(reservedControlType[name.split(',')[0] as 'resume'], low);
  }
  t.match(
    section('## Versions and extensions'),
    `from \`0x${firstIgnorableType.toString(16).toUpperCase()}\` to \`0xFF\``,
  );
  t.end();
});

t.test('control frames: examples', (t) => {
  const examples = table('## Control frames', 1);
  t.strictSame(examples.map((row) => row[0]).sort(), Object.keys(controlType).sort());
  for (const [name, hex] of examples as [string, string][]) {
    const decoded = decodeControlFrame(fromHex(hex));
    assert.ok(typeof decoded !== 'string' && decoded.type !== 'ignorable', name);
    t.equal(decoded.type, name);
    t.ok(equalBytes(encodeControlFrame(decoded), fromHex(hex)), name);
  }
  t.end();
});

t.test('credit: one layout, read in place and decoded; its bits', (t) => {
  t.equal(creditType, controlType.credit);
  const credit = sampleFrames.find(({ type }) => type === 'credit');
  t.equal(credit && encodeControlFrame(credit).length, creditFrameBytes);
  t.same(creditFlag, { asked: 1 });
  const [, bit, name] = /^ {2}\| `(0x\w+)` \| `(\w+)`/m.exec(section('### open and welcome')) ?? [];
  t.strictSame({ [name ?? '']: Number(bit) }, capability);
  t.end();
});

t.test('framing example', (t) => {
  const lengths: number[] = [];
  const hex = /^The message `([^`]+)` has two frames/m.exec(section('## Frames'))?.[1] ?? '';
  t.equal(
    forEachFrame(fromHex(hex), (frame) => lengths.push(frame.length)),
    null,
  );
  t.strictSame(lengths, [3, 5]);
  t.end();
});

t.test('close codes and faults', (t) => {
  t.strictSame(
    table('## Closing'),
    Object.entries(closeCodes).map(([code, { wire, then, sentence }]) => [String(wire), code, then, sentence]),
  );
  for (const [ranges, then] of columns(table('## Closing', 1), 0, 1) as [string, string][]) {
    for (const part of ranges.split(', ')) {
      const [low, high] = part === 'below 4000' ? [1001, 3999] : range(part);
      t.strictSame([afterClose(low), afterClose(high)], [then, then], part);
    }
  }
  t.strictSame(
    table('## Faults'),
    Object.entries(controlErrors).map(([fault, { close, sentence }]) => [fault, close, sentence]),
  );
  t.end();
});

t.test('limits', (t) => {
  const limits = (heading: string) => columns(table(heading), 0, 1);
  const entries = (constants: Record<string, number>) =>
    Object.entries(constants).map(([name, value]) => [name, String(value)]);
  t.strictSame(limits('### Limits of framing'), entries({ frameHeaderBytes, maxDatagramBytes, maxMessageBytes }));
  t.strictSame(limits('### Limits of the control channel'), entries(controlLimits));
  t.strictSame(limits('### Limits of flow control'), entries(flowLimits));
  t.strictSame(limits('### Limits of signalling'), entries(signalLimits));
  t.end();
});

t.test('numbers in the prose', (t) => {
  const seconds = (ms: number) => `${String(ms / 1000)} s`;
  const kibibytes = (bytes: number) => `${String(bytes / 1024)} KiB`;
  t.match(readme, `control revision ${String(controlVersion)}.`);
  t.match(section('## Frames'), `length, 1–${String(maxDatagramBytes)} `);
  t.match(section('### signal'), `payload, 1–${String(controlLimits.maxFragmentBytes)} bytes`);
  t.match(section('### close'), `${String(controlLimits.maxReasonBytes)} bytes`);
  t.match(section('## The WebSocket'), kibibytes(maxMessageBytes));
  t.match(section('## Reliable messages'), kibibytes(controlLimits.inFlightBytes));
  t.match(section('## Reliable messages'), `${String(controlLimits.maxFragmentBytes)} bytes`);
  t.match(section('## Reliable messages'), controlLimits.maxMessageBytes.toLocaleString('en').replace(',', ' '));
  t.match(section('## Keep-alive'), `every ${seconds(controlLimits.pingIntervalMs)}`);
  t.match(section('## Keep-alive'), `for ${seconds(controlLimits.silentAfterMs)}`);
  t.match(section('## Closing'), `up to ${seconds(controlLimits.closeGraceMs)}`);
  t.match(section('## Security'), `${String(controlLimits.maxUnackedBytes / 1024 / 1024)} MiB`);
  t.end();
});

t.test('every signalling message has an example that decodes to itself', (t) => {
  const examples = [...readme.matchAll(/^```json (request|event|participant)\n([\s\S]*?)^```$/gm)];
  const seen = { request: new Set<string>(), event: new Set<string>(), replies: new Set<string>() };
  for (const [, kind, text] of examples as unknown as [string, 'request' | 'event' | 'participant', string][]) {
    const json: unknown = JSON.parse(text);
    if (kind === 'request') {
      const request = decodeSignalRequest(text);
      assert.ok(!(request instanceof SignalDecodeError), text);
      t.strictSame(request, json);
      seen.request.add(request.type);
      continue;
    }
    const whole = kind === 'participant' ? { type: 'participant-joined', participant: json } : json;
    const event = decodeSignalEvent(JSON.stringify(whole));
    assert.ok(!(event instanceof SignalDecodeError), text);
    t.strictSame(event, whole as SignalEvent);
    seen.event.add(event.type);
    if (event.type === 'reply') seen.replies.add(event.ok ? event.body.of : 'error');
  }
  t.strictSame([...seen.request].sort(), [...signalRequestTypes].sort());
  t.strictSame([...seen.event].sort(), [...signalEventTypes].sort());
  t.strictSame([...seen.replies].sort(), [...signalRequestTypes, 'error'].sort());
  t.strictSame(table('### Events, from the server', 1), Object.entries(signalDecodeReasons));
  const listed = [...section('### Events, from the server').matchAll(/(?:one of|`control` is) ([^;.]*)[;.]/g)];
  const names = (text = '') => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]);
  t.strictSame(names(listed.find((match) => match[1]?.includes('udp'))?.[1]), rungs);
  t.strictSame(names(/`control` is ([^.]*)\./.exec(section('### Events, from the server'))?.[1]), controlRungs);
  t.end();
});

t.test('the shape of the SDP, and nominations', (t) => {
  const rows = table('## Media').flatMap(([mids = '', kind, direction, carries = '']) => {
    const [low, high] = range(mids);
    return Array.from({ length: high - low + 1 }, (_, i) => [String(low + i), kind, direction, carries]);
  });
  const expected = [
    ...publishSections.map(({ mid, kind }) => [mid, kind, 'sends']),
    ...videoSlotMids.map((mid) => [mid, 'video', 'receives']),
    ...audioSlotMids.map((mid) => [mid, 'audio', 'receives']),
    [dataMid, 'application', 'both'],
  ];
  t.strictSame(columns(rows, 0, 1, 2), expected);
  for (const [index, { source }] of publishSections.entries()) t.ok(rows[index]?.[3]?.startsWith(source), source);
  t.match(rows[1]?.[3], `RIDs ${rids.join(' and ')}`);
  t.match(section('## Media'), `\`0x${NOMINATION.toString(16).toUpperCase()}\``);
  t.match(section('## Media'), `PADDING (\`0x${stunAttribute.PADDING.toString(16).padStart(4, '0')}\`,`);
  t.end();
});

t.test('links within the document lead somewhere', (t) => {
  const anchors = new Set(
    [...readme.matchAll(/^#{2,4} (.*)$/gm)].map((match) =>
      (match[1] as string)
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
  for (const [, anchor = ''] of readme.matchAll(/\]\(#([^)]+)\)/g)) t.ok(anchors.has(anchor), anchor);
  t.end();
});
