import t from 'tap';
import { createIceCredentials } from './ice-credentials.ts';

t.test('credentials are long enough, of the right characters, and all their bits are random', (t) => {
  // RFC 8445 section 5.3: at least 24 bits of ufrag and 128 of password.
  const zeros = createIceCredentials((length) => new Uint8Array(length));
  const ones = createIceCredentials((length) => new Uint8Array(length).fill(0xff));
  for (const { ufrag, pwd } of [zeros, ones]) {
    t.match(ufrag, /^[A-Za-z0-9+/]{8,256}$/);
    t.match(pwd, /^[A-Za-z0-9+/]{22,256}$/);
  }
  t.match(zeros, { ufrag: /^A+$/, pwd: /^A+$/ });
  t.match(ones, { ufrag: /^\/+$/, pwd: /^\/+$/ });
  t.end();
});
