/** The specification's part on HTTP exchanges and the code say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { forEachFrame } from '../frames.ts';
import { exchangeFaults } from './errors.ts';
import { decodeExchangeHeader, encodeExchangeHeader, exchangeFlag, headerOfQuery } from './exchange-header.ts';
import { exchangeLimits } from './limits.ts';

const readme = readFileSync(new URL('../../../tunnel-protocol/README.md', import.meta.url), 'utf8');

/** The text under a heading of the third level. */
function section(heading: string): string {
  const start = readme.indexOf(`\n### ${heading}\n`);
  assert.ok(start >= 0, heading);
  const body = readme.slice(start + heading.length + 6);
  return body.slice(0, body.search(/^#{2,4} /m));
}

/** The first `columns` cells of the rows of a section's first table. */
function rows(heading: string, columns: number): (string | undefined)[][] {
  const table = /(?:^\|.*\n)+/m.exec(section(heading))?.[0] ?? '';
  const cells = (line: string) => line.split('|').slice(1, 1 + columns).map((cell) => cell.trim().replaceAll('`', '')); // prettier-ignore
  return table.trimEnd().split('\n').slice(2).map(cells);
}

t.test('limits and faults', (t) => {
  const limits = Object.entries(exchangeLimits).map(([name, value]) => [name, String(value)]);
  t.strictSame(rows('Limits of HTTP exchanges', 2), limits);
  t.strictSame(rows('Faults of exchanges', 2), Object.entries(exchangeFaults));
  t.end();
});

t.test('the layout of the header', (t) => {
  const layout = /^Layout: `([^`]+)`/m.exec(section('Header of an exchange'))?.[1] ?? '';
  const header = { flags: 0x02, close: 4242, connection: '1122334455667788', generation: 0x31323334, exchange: 0x41424344, oldest: 0x31424344, first: 0x51525354, ack: 0x61626364, holdMs: 0x1718, gatherMs: 0x191a }; // prettier-ignore
  let hex = '';
  for (const field of layout.split(' ')) {
    const [name, bits] = field.split(':') as [string, string];
    const value = { type: 0xfc, ...header }[name as 'flags'] as number | string;
    hex += typeof value === 'string' ? value : value.toString(16).padStart(Number(bits) / 4, '0');
  }
  t.equal(Buffer.from(encodeExchangeHeader(header)).toString('hex'), hex);
  t.strictSame(
    rows('Header of an exchange', 1).map(([name]) => name),
    layout.split(' ').map((field) => field.split(':')[0]).slice(1), // prettier-ignore
  );
  t.end();
});

t.test('the example', (t) => {
  const [query = '', answer = ''] = [...section('Header of an exchange').matchAll(/^ {4}(x=)?([0-9a-f ]+)$/gm)].map(
    (match) => (match[1] ?? '') + (match[2] ?? '').replaceAll(' ', ''),
  );
  const request = headerOfQuery(query);
  t.match(request, { flags: exchangeFlag.fresh | exchangeFlag.hold, exchange: 2, oldest: 1, first: 2, holdMs: 15_000 });
  const frames: Uint8Array[] = [];
  t.equal(
    forEachFrame(Buffer.from(answer, 'hex'), (frame) => frames.push(frame)),
    null,
  );
  t.equal(frames.length, 2);
  const header = decodeExchangeHeader(frames[0] ?? new Uint8Array(0));
  t.match(header, { exchange: 2, connection: request?.connection, first: 1, ack: 1 });
  t.equal(frames[1]?.[0], 0xf1);
  t.end();
});

t.test('numbers in the prose', (t) => {
  const { minGatherMs, maxHoldMs } = exchangeLimits;
  t.match(section('Header of an exchange'), `up to ${String(maxHoldMs / 1000)} s`);
  t.match(section('Header of an exchange'), `${String(minGatherMs)} ms between answers`);
  t.end();
});
