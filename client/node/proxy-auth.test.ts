import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { ProxyAuthenticator, parseChallenges, schemesOf } from './proxy-auth.ts';

const mufasa = { username: 'Mufasa', password: 'Circle of Life' };
const rfc7616 =
  'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ' +
  'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';
const cnonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

t.test('RFC 7616 section 3.9.1: MD5, and SHA-256 where both are offered', (t) => {
  const auth = new ProxyAuthenticator(mufasa, () => cnonce);
  t.equal(auth.authorization('GET', '/dir/index.html'), null, 'nothing is said before the proxy asks');
  t.ok(auth.challenged(`Digest ${rfc7616}, algorithm=MD5`, null));
  t.equal(
    auth.authorization('GET', '/dir/index.html'),
    'Digest username="Mufasa", realm="http-auth@example.org", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ' +
      'uri="/dir/index.html", response="8ca523f5e9506fed4657c9700eebdbec", algorithm=MD5, ' +
      'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", qop=auth, nc=00000001, ' +
      `cnonce="${cnonce}"`,
  );
  t.match(auth.authorization('GET', '/'), /nc=00000002/);
  const both = `Digest ${rfc7616}, algorithm=SHA-256, Digest ${rfc7616}, algorithm=MD5, Basic realm="x"`;
  t.ok(auth.challenged(both, null));
  t.match(
    auth.authorization('GET', '/dir/index.html'),
    /response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", algorithm=SHA-256/,
  );
  t.end();
});

t.test('RFC 2069: no qop, no algorithm', (t) => {
  const auth = new ProxyAuthenticator({ username: 'Mufasa', password: 'CircleOfLife' });
  t.ok(
    auth.challenged('Digest realm="testrealm@host.com", nonce=dcd98b7102dd2f0e8b11d0f600bfb0c093, opaque="5c"', null),
  );
  const text = auth.authorization('GET', '/dir/index.html') ?? '';
  t.match(text, /response="1949323746fe6a43ef61f9606e7febea"/);
  t.notMatch(text, /nc=|cnonce|algorithm/);
  t.end();
});

t.test('MD5-sess: the key holds both nonces', (t) => {
  const auth = new ProxyAuthenticator({ username: 'u', password: 'p' }, () => 'c');
  t.ok(auth.challenged('Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess', null));
  const key = md5(`${md5('u:r:p')}:n:c`);
  for (const nc of ['00000001', '00000002']) {
    const response = md5(`${key}:n:${nc}:c:auth:${md5('CONNECT:h:443')}`);
    t.match(auth.authorization('CONNECT', 'h:443'), `response="${response}", algorithm=MD5-sess`);
  }
  t.end();
});

t.test('names that are not ASCII, or hold quotes, and those that are to be hidden', (t) => {
  const text = (username: string, more = ''): string => {
    const auth = new ProxyAuthenticator({ username, password: 'p' });
    auth.challenged(`Digest realm="a \\"b\\"", nonce="n", qop=auth${more}`, null);
    return auth.authorization('GET', '/') ?? '';
  };
  t.match(text('Jäsøn Doe'), 'username*=UTF-8\'\'J%C3%A4s%C3%B8n%20Doe, realm="a \\"b\\""');
  t.match(text('a"\\'), 'username="a\\"\\\\"');
  t.match(text('ada', ', userhash=true'), `username="${md5('ada:a "b"')}"`);
  const basic = new ProxyAuthenticator({ username: 'Jäsøn', password: 'p:q' });
  t.ok(basic.challenged('Basic realm="x", charset="UTF-8"', null));
  t.equal(basic.authorization('CONNECT', 'x:1'), `Basic ${Buffer.from('Jäsøn:p:q').toString('base64')}`);
  t.end();
});

t.test('when another try makes sense', (t) => {
  const challenge = (nonce: string, more = ''): string => `Digest realm="r", nonce="${nonce}", qop="auth"${more}`;
  const auth = new ProxyAuthenticator({ username: 'u', password: 'p' });
  const use = (): string | null => auth.authorization('CONNECT', 'h:1');
  t.ok(auth.challenged(challenge('1'), null), 'the first question');
  t.notOk(auth.challenged(challenge('2'), use()), 'refused at once: the password is wrong');
  t.ok(auth.challenged(challenge('3', ', stale=true'), use()), 'stale, says the proxy');
  use();
  t.ok(auth.challenged(challenge('4'), use()), 'refused at its second use: it has worn out');
  t.ok(auth.challenged('Basic realm="r"', use()), 'another scheme');
  t.notOk(auth.challenged('Basic realm="r"', use()));
  t.notOk(auth.challenged('Negotiate, NTLM', null), 'nothing that this client has');
  t.equal(use(), null);
  t.notOk(auth.challenged(challenge('5').replace('"auth"', '"auth-int"'), null));
  t.notOk(auth.challenged(challenge('6', ', algorithm=MD4'), null));
  t.notOk(new ProxyAuthenticator(null).challenged('Basic realm="r"', null));
  t.end();
});

t.test('lists of challenges', (t) => {
  t.equal(
    schemesOf('Negotiate, NTLM TlRMTVNTUAAC==, Basic realm="a, b=c", Digest nonce=x ,algorithm = MD5,, Basic x="y'),
    'Negotiate, NTLM, Basic, Digest (MD5)',
  );
  t.same(parseChallenges(' ,'), []);
  t.same(parseChallenges('"'), []);
  const texts = fc.oneof(fc.string(), fc.stringMatching(/^(Digest|Basic|[ ,="\\a])*$/));
  fc.assert(
    fc.property(texts, (text) => {
      new ProxyAuthenticator(mufasa).challenged(text, null);
      schemesOf(text);
    }),
  );
  t.end();
});
