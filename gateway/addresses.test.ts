import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import {
  canonicalSocketAddress,
  formatAddress,
  hostOf,
  isLoopback,
  isWildcard,
  parseAddress,
  parseAuthority,
} from './addresses.ts';

t.test('binary addresses become the text that the system itself writes', (t) => {
  const word = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), (words) => {
      const text = formatAddress(Uint8Array.from(words.flatMap((value) => [value >> 8, value & 255])));
      const full = words.map((value) => value.toString(16)).join(':');
      const system = canonicalSocketAddress(new SocketAddress({ address: full, family: 'ipv6' }).address);
      // The system writes ::1.2.3.4 for the long deprecated IPv4-compatible addresses; RFC 5952 leaves that open.
      return system.startsWith('::') || (text === system && parseAddress(text) === text);
    }),
  );
  t.equal(formatAddress(Uint8Array.of(192, 0, 2, 1)), '192.0.2.1');
  t.equal(formatAddress(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1)), '192.0.2.1');
  t.end();
});

t.test('what Node reports loses its mapping prefix and its zone', (t) => {
  t.equal(canonicalSocketAddress('::ffff:192.0.2.7'), '192.0.2.7');
  t.equal(canonicalSocketAddress('fe80::1%eth0'), 'fe80::1');
  t.equal(canonicalSocketAddress('2001:db8::1'), '2001:db8::1');
  t.end();
});

t.test('what people write', (t) => {
  t.equal(parseAddress('2001:DB8:0:0:0:0:0:1'), '2001:db8::1');
  t.equal(parseAddress('[::1]'), '::1');
  t.equal(parseAddress('::ffff:127.0.0.1'), '127.0.0.1');
  t.equal(parseAddress('10.0.0.1'), '10.0.0.1');
  for (const bad of ['', 'localhost', '10.0.0', '1.2.3.4.5', 'fe80::1%eth0', '[1.2.3.4', '[1.2.3.4]']) {
    t.equal(parseAddress(bad), null, bad);
  }
  t.ok(isLoopback('127.3.2.1') && isLoopback('::1'));
  t.notOk(isLoopback('128.0.0.1') || isLoopback('::') || isLoopback('127.evil.example'));
  t.ok(isWildcard('0.0.0.0') && isWildcard('::') && !isWildcard('::1'));
  t.equal(hostOf('::1'), '[::1]');
  t.equal(hostOf('127.0.0.1'), '127.0.0.1');
  t.end();
});

t.test('Host headers', (t) => {
  t.same(parseAuthority('Edge.Example:8443'), { host: 'edge.example', port: 8443 });
  t.same(parseAuthority('edge.example'), { host: 'edge.example', port: null });
  t.same(parseAuthority('[::1]:1'), { host: '[::1]', port: 1 });
  t.same(parseAuthority('127.0.0.1:443'), { host: '127.0.0.1', port: 443 });
  const bad = [
    '',
    'a b',
    'a/b',
    'a:0',
    'a:65536',
    'a:b',
    '[::1',
    '[zz]',
    'a@b',
    'a"b',
    '-',
    'a..b',
    'é.example',
    '1.2.3',
    '1.2.3.4.5',
    '0x7f.1',
    '127.1',
    '010.0.0.1',
    '2130706433',
    'evil.example.0x0',
    'a:80@evil.example',
    'a#b',
    'a?b',
    'a%2eb',
    'a\\b',
    'a:443:443',
    'a,b',
    'a, b',
    '[::1]x',
    '[::1%25eth0]',
    '\u0000',
    'a\u200b',
    'a\r\nb',
  ];
  for (const text of bad) t.equal(parseAuthority(text), null, JSON.stringify(text));
  t.same(parseAuthority('1a.2b'), { host: '1a.2b', port: null }, 'digits alone make no address');
  t.same(parseAuthority('my_host.example.'), { host: 'my_host.example.', port: null });
  const nearlyHost = fc.stringMatching(/^[a-z0-9.:_[\]-]{1,40}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 40 }), nearlyHost), (text) => {
      const authority = parseAuthority(text);
      if (authority === null) return true;
      const url = new URL(`https://${authority.host}${authority.port === null ? '' : `:${String(authority.port)}`}/`);
      return url.username === '' && url.pathname === '/' && url.search === '' && url.hash === '';
    }),
  );
  t.end();
});
