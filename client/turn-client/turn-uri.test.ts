import t from 'tap';
import { parseTurnUri } from './turn-uri.ts';

t.test('RFC 7065', (t) => {
  const good: readonly [string, unknown][] = [
    ['turn:edge.example', { host: 'edge.example', port: 3478, transport: 'udp', secure: false }],
    ['turn:192.0.2.1:443?transport=tcp', { host: '192.0.2.1', port: 443, transport: 'tcp', secure: false }],
    ['turns:edge.example', { host: 'edge.example', port: 5349, transport: 'tcp', secure: true }],
    ['TURNS:[2001:db8::1]:443?transport=TCP', { host: '2001:db8::1', port: 443, transport: 'tcp', secure: true }],
  ];
  for (const [text, wanted] of good) t.strictSame(parseTurnUri(text), wanted, text);
  const bad = [
    '',
    'stun:x',
    'turn:',
    'turn:a:0',
    'turn:a:70000',
    'turn:a b',
    'turn:u@a',
    'turn://a',
    'turn:a?transport=sctp',
  ];
  for (const text of [...bad, `turn:${'a'.repeat(600)}`]) t.equal(parseTurnUri(text), null, text);
  t.end();
});
