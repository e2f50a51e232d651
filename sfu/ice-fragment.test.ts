import fc from 'fast-check';
import t from 'tap';
import { readIceFragment } from './ice-fragment.ts';

const ice = { ufrag: 'EsAw', pwd: 'P2uYro0UCOQ4zxjKXaWCBui1' };
const credentials = [`a=ice-ufrag:${ice.ufrag}`, `a=ice-pwd:${ice.pwd}`];
const candidates = [
  'a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1',
  'a=candidate:473322822 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active generation 0 ufrag EsAw network-id 1',
  'a=candidate:2 1 sctp 1 a1b2.local 9 typ srflx raddr 0.0.0.0 rport 0',
];

t.test('what clients send', (t) => {
  const head = ['a=group:BUNDLE 0 1', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:0'];
  t.same(readIceFragment([...head, ...credentials, ...candidates, 'a=end-of-candidates', ''].join('\r\n')), {
    ice,
    candidates: 3,
    endOfCandidates: true,
  });
  t.same(readIceFragment(candidates.join('\n')), { ice: null, candidates: 3, endOfCandidates: false });
  t.same(readIceFragment('a=end-of-candidates\r\n'), { ice: null, candidates: 0, endOfCandidates: true });
  t.same(readIceFragment([...credentials, ...head, ...credentials].join('\r\n')), {
    ice,
    candidates: 0,
    endOfCandidates: false,
  });
  t.end();
});

t.test('what is none', (t) => {
  for (const [text, reason] of [
    ['', /nothing about ICE/],
    ['m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n', /nothing about ICE/],
    ['v=0\r\n', /no line of an SDP fragment/],
    ['hello', /no line of an SDP fragment/],
    [credentials[0] ?? '', /ice-pwd/],
    [credentials[1] ?? '', /ice-ufrag/],
    ['a=ice-ufrag:a b\r\na=ice-pwd:x', /ice-ufrag/],
    [[...credentials, 'a=ice-ufrag:other'].join('\n'), /several/],
    ['a=candidate:1 1 udp 1 192.0.2.1', /no candidate/],
    [`a=candidate:${'1'.repeat(2000)}`, /a line is longer/],
    ['a=mid:0\n'.repeat(1025), /more than 1024 lines/],
    ['x'.repeat(65_537), /longer/],
  ] as const) {
    const fragment = readIceFragment(text);
    t.match(typeof fragment === 'string' ? fragment : 'accepted', reason, text.slice(0, 40));
  }
  t.end();
});

t.test('any text gives credentials that are valid, or a reason that may be shown', (t) => {
  const line = fc.oneof(
    fc.constantFrom(...credentials, ...candidates, 'a=end-of-candidates', 'a=ice-ufrag:abcd', 'm=audio 9 X 0', 'a=x'),
    fc.string({ maxLength: 60 }),
    fc.string({ maxLength: 30 }).map((text) => `a=ice-pwd:${text}`),
    fc.string({ maxLength: 60 }).map((text) => `a=candidate:${text}`),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.constantFrom('\r\n', '\n'), (lines, end) => {
      const fragment = readIceFragment(lines.join(end));
      if (typeof fragment === 'string') return /^[\x20-\x7e]{1,120}$/.test(fragment);
      return fragment.ice === null || (/^[\w+/]{4,256}$/.test(fragment.ice.ufrag) && fragment.ice.pwd.length >= 22);
    }),
    { numRuns: 500 },
  );
  t.end();
});
