import fc from 'fast-check';
import t from 'tap';
import { parseClientHello as parse } from './client-hello.ts';
import { NetworkSet } from './networks.ts';
import { classifyOpening } from './opening.ts';
import { parseProxyHeader } from './proxy-protocol.ts';
import { captureHello } from './testing-hello.ts';

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
/** What is offered, or why nothing is known. */
function parseClientHello(bytes: Uint8Array, length: number): string {
  const hello = parse(bytes, length);
  return typeof hello === 'string' ? hello : hello.offers;
}
const kind = (text: string): string => classifyOpening(latin1(text), text.length);
const cookie = '\x21\x12\xa4\x42';

t.test('first bytes', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['', 'more'],
    ['\x16', 'tls'],
    ['G', 'more'],
    ['GET /', 'more'],
    ['GET / HTTP/1.1\r\n', 'http'],
    [`GET /${'a'.repeat(8187)}`, 'http'],
    ['OPTIONS * HTTP/1.1\n', 'http'],
    ['PROPFIND / HTTP/1.1\r\n', 'unknown'],
    ['P', 'more'],
    ['PRI * HTTP/2.0\r\n', 'unknown'],
    ['\x00\x01\x00\x00', 'more'],
    [`\x00\x01\x00\x00${cookie}`, 'stun'],
    [`\x00\x03\x21\x12${cookie}`, 'stun'],
    [`\x00\x14\x00\x01\x00\x00${cookie.slice(0, 2)}`, 'more'],
    [`\x00\x14\x00\x01\x00\x00${cookie.slice(0, 3)}`, 'more'],
    [`\x00\x14\x00\x01\x00\x00${cookie}`, 'ice-tcp'],
    [`\x08\x00\x00\x01\x07\xec${cookie}`, 'ice-tcp'],
    [`\x08\x01\x00\x01\x07\xed${cookie}`, 'unknown'],
    [`\x00\x13\x00\x01\x00\x00${cookie}`, 'unknown'],
    [`\x00\x14\x40\x01\x00\x00${cookie}`, 'unknown'],
    ['\x00\x14\x00\x01\x00\x00\x21\x13', 'unknown'],
    ['\x09', 'unknown'],
    ['\x40\x00\x00\x04', 'unknown'],
  ];
  for (const [bytes, expected] of cases) t.equal(kind(bytes), expected, JSON.stringify(bytes.slice(0, 20)));
  t.end();
});

t.test('a kind that is known stays, whatever follows', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      let known = 'more';
      for (let length = 0; length <= bytes.length; length++) {
        const now = classifyOpening(bytes, length);
        if (known !== 'more' && now !== known) return false;
        known = now;
      }
      return true;
    }),
  );
  t.end();
});

t.test('hellos of a real client, whole, cut, and in records of any size', async (t) => {
  for (const [alpn, expected] of [
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http1'],
    [['http/1.0'], 'http1'],
    [['spdy/1', 'http/1.1'], 'http1'],
    [['stun.turn'], 'other'],
    // coturn's clients put HTTP first, and speak TURN.
    [['http/1.1', 'stun.turn', 'stun.nat-discovery'], 'other'],
    [['http/1.2'], 'other'],
    [undefined, 'none'],
  ] as const) {
    const hello = await captureHello(alpn === undefined ? {} : { ALPNProtocols: [...alpn] });
    t.equal(parseClientHello(hello, hello.length), expected);
    let partial = true;
    for (let length = 0; length < hello.length; length++) partial &&= parseClientHello(hello, length) === 'more';
    t.ok(partial, 'more is wanted until the last byte');
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), (sizes) => {
        const split = inRecords(hello, sizes);
        return (
          parseClientHello(split, split.length) === expected && parseClientHello(split, split.length - 1) === 'more'
        );
      }),
      { numRuns: 30 },
    );
  }
});

t.test('hostile hellos', async (t) => {
  const hello = await captureHello({ ALPNProtocols: ['h2', 'http/1.1'] });
  const results = ['h2', 'http1', 'other', 'none', 'more', 'unparsable'];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: hello.length - 1 }), fc.nat({ max: 255 })), { maxLength: 8 }),
      (edits) => {
        const bytes = Uint8Array.from(hello);
        for (const [at, value] of edits) bytes[at] = value;
        return results.includes(parseClientHello(bytes, bytes.length));
      },
    ),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => results.includes(parseClientHello(bytes, bytes.length))),
  );
  const of = (hex: string): string => parseClientHello(Buffer.from(hex, 'hex'), hex.length / 2);
  t.equal(of('160301ffff'), 'unparsable', 'a record longer than any');
  t.equal(of('1603010000'), 'unparsable', 'an empty record');
  t.equal(of('160201'), 'unparsable', 'another version');
  t.equal(of('160301000402'), 'unparsable', 'another message');
  t.equal(of('160301000401ffffff'), 'unparsable', 'a message longer than any');
  t.equal(of('160301000401000400'), 'more', 'the next record is to come');
  t.equal(of('16030100040100040015'), 'unparsable', 'the next record is something else');
  t.equal(of('160301000401000000'), 'unparsable', 'an empty hello');
});

t.test('the name that a client asks for', async (t) => {
  const nameIn = (bytes: Uint8Array): unknown => {
    const hello = parse(bytes, bytes.length);
    return typeof hello === 'string' ? hello : hello.serverName;
  };
  t.equal(nameIn(await captureHello({ servername: 'Turn.Example' })), 'turn.example');
  t.equal(nameIn(await captureHello({ servername: 'turn.example', ALPNProtocols: ['h2'] })), 'turn.example');
  t.equal(nameIn(await captureHello({ servername: '' })), '');
  const hello = await captureHello({ servername: 'turn.example' });
  const at = hello.indexOf('turn.example');
  hello[at] = 0;
  t.equal(nameIn(hello), '', 'no host name');
  hello.writeUInt16BE(999, at - 2);
  t.equal(nameIn(hello), '', 'longer than the extension');
});

t.test('PROXY headers', (t) => {
  const parse = (bytes: Uint8Array): unknown => parseProxyHeader(bytes, bytes.length);
  const v1 = 'PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n';
  t.same(parse(latin1(`${v1}GET`)), { length: v1.length, source: { address: '192.0.2.1', port: 4711 } });
  t.match(parse(latin1('PROXY TCP6 2001:DB8::1 ::1 1 2\r\n')), { source: { address: '2001:db8::1', port: 1 } });
  t.match(parse(latin1('PROXY UNKNOWN\r\n')), { length: 15, source: null });
  for (const bad of [
    'GET / HTTP/1.1',
    'PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n',
    'PROXY TCP4 2001:db8::1 ::1 1 2\r\n',
    'PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX',
    `PROXY ${'x'.repeat(200)}`,
  ]) {
    t.equal(parse(latin1(bad)), 'bad', bad.slice(0, 40));
  }
  const start = '0d0a0d0a000d0a515549540a';
  const of = (hex: string): unknown => parse(Buffer.from(start + hex, 'hex'));
  t.same(of('2111000cc0000201c0000202126701bb99'), { length: 28, source: { address: '192.0.2.1', port: 4711 } });
  t.match(of('20000000'), { length: 16, source: null });
  t.match(of('21000000'), { length: 16, source: null }, 'unspecified');
  t.equal(of('2111000bc0000201c0000202126701'), 'bad', 'shorter than its addresses');
  t.equal(of('3111000c'), 'bad', 'another version');
  t.equal(of('2231000c' + '00'.repeat(12)), 'bad', 'another command');
  t.equal(of('2131000c' + '00'.repeat(12)), 'bad', 'another family');
  t.equal(of('2111ffff'), 'bad', 'longer than any');
  for (const whole of [latin1(v1), Buffer.from(`${start}2111000cc0000201c0000202126701bb`, 'hex')]) {
    for (let length = 0; length < whole.length; length++) {
      if (parseProxyHeader(whole, length) !== 'more') t.fail(`at ${String(length)}`);
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, line) => {
      const whole = Uint8Array.from([...(line ? latin1('PROXY ') : Buffer.from(start, 'hex')), ...bytes]);
      const result = parseProxyHeader(whole, whole.length);
      return typeof result === 'string' || result.length <= whole.length;
    }),
  );
  t.end();
});

t.test('networks', (t) => {
  const set = new NetworkSet(['10.0.0.0/8', '192.0.2.7', '2001:db8::/33', '0.0.0.0/0']);
  t.ok(new NetworkSet(['10.0.0.0/9']).has('10.127.0.1'));
  t.notOk(new NetworkSet(['10.0.0.0/9']).has('10.128.0.1'));
  t.ok(set.has('8.8.8.8'));
  t.ok(set.has('2001:db8:7fff::1'));
  t.notOk(set.has('2001:db8:8000::1'));
  t.notOk(new NetworkSet([]).has('10.0.0.1'));
  t.notOk(set.has('none'));
  for (const bad of ['10.0.0.0/33', '10.0.0/8', 'x', '10.0.0.0/', '10.0.0.0/-1', '::/129']) {
    t.throws(() => new NetworkSet([bad]), bad);
  }
  t.end();
});

function inRecords(hello: Uint8Array, sizes: readonly number[]): Uint8Array {
  const parts: number[] = [];
  let at = 5;
  for (let i = 0; at < hello.length; i++) {
    const size = Math.min(sizes[i % sizes.length] ?? 1, hello.length - at);
    parts.push(22, 3, 1, size >>> 8, size & 255, ...hello.subarray(at, at + size));
    at += size;
  }
  return Uint8Array.from(parts);
}
