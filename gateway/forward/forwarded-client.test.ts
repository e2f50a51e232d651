import t from 'tap';
import type { RequestHead } from '../engine/index.ts';
import { withForwardedClient } from './index.ts';

const secret = 'known to both';

function head(headers: Readonly<Record<string, string>>): RequestHead {
  return {
    method: 'GET',
    path: '/',
    query: 'a=b',
    header: (name) => headers[name] ?? '',
    remoteAddress: '192.0.2.1',
  };
}

t.test('the client behind one of our own', (t) => {
  for (const [told, address] of [
    ['198.51.100.7', '198.51.100.7'],
    ['2001:DB8:0::1', '2001:db8::1'],
    ['::ffff:198.51.100.7', '198.51.100.7'],
  ] as const) {
    const got = withForwardedClient(
      head({ 'x-sallyport-forwarder': secret, 'x-forwarded-for': told, accept: 'a/b' }),
      secret,
    );
    t.match(got, { remoteAddress: address, method: 'GET', path: '/', query: 'a=b' }, told);
    t.equal(got.header('x-sallyport-forwarder'), '', 'the application does not see it');
    t.equal(got.header('accept'), 'a/b');
  }
  t.end();
});

t.test('what others say of their address', (t) => {
  for (const headers of [
    { 'x-forwarded-for': '198.51.100.7' },
    { 'x-forwarded-for': '198.51.100.7', 'x-sallyport-forwarder': 'guessed' },
    { 'x-forwarded-for': '198.51.100.7', 'x-sallyport-forwarder': '' },
    { 'x-forwarded-for': '198.51.100.7, 203.0.113.1', 'x-sallyport-forwarder': secret },
    { 'x-forwarded-for': 'localhost', 'x-sallyport-forwarder': secret },
    { 'x-sallyport-forwarder': secret },
  ]) {
    t.equal(withForwardedClient(head(headers), secret).remoteAddress, '192.0.2.1');
  }
  t.end();
});
