import fc from 'fast-check';
import t from 'tap';
import { decodeTextBody, encodeTextBody, maxTokenBytes, textBytes } from './text-body.ts';

const utf8 = new TextEncoder();

t.test('bodies become text and back, with a token and without', (t) => {
  const token = fc.option(fc.base64String({ minLength: 1, maxLength: 200 }));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), token, (body, token) => {
      const text = encodeTextBody(token, body);
      t.strictSame(decodeTextBody(text), { token, body });
      const base64 = text.subarray(text.indexOf(0x0a) + 1);
      t.equal(Buffer.from(base64).toString(), Buffer.from(body).toString('base64'), 'as everyone writes it');
      t.equal(base64.length, textBytes(body.length));
    }),
    { numRuns: 100 },
  );
  t.end();
});

t.test('what is no text body', (t) => {
  for (const bad of ['A', 'AAA', 'AAAAA', 'AA==AAAA', '=AAA', 'A===', '====', 'AA-_', 'AAA ', 'AAB=', 'AB==']) {
    t.equal(decodeTextBody(utf8.encode(bad)), null, JSON.stringify(bad));
  }
  t.equal(decodeTextBody(utf8.encode(`${'t'.repeat(maxTokenBytes + 1)}\nAAAA`)), null, 'a token without end');
  t.strictSame(
    decodeTextBody(utf8.encode('\n')),
    { token: '', body: new Uint8Array(0) },
    'an empty body, and an empty token',
  );
  t.match(decodeTextBody(utf8.encode('AAA\n')), { token: 'AAA' });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      decodeTextBody(bytes);
    }),
  );
  t.end();
});
