import t from 'tap';
import { parseNoProxy, proxyRoute } from './proxy-route.ts';

const edge = { host: 'edge.example', port: 443, secure: true };

t.test('the option', (t) => {
  const environment = { https_proxy: 'http://env.example:1', NO_PROXY: '*' };
  t.equal(proxyRoute(false, environment)(edge), null);
  t.match(proxyRoute('http://proxy.example:3128', environment)(edge), {
    host: 'proxy.example',
    port: 3128,
    secure: false,
  });
  t.match(proxyRoute('proxy.example', {})(edge), { host: 'proxy.example', port: 80 });
  t.match(proxyRoute({ url: 'https://[::1]' }, {})(edge), { host: '::1', port: 443, secure: true });
  for (const option of ['socks5://proxy.example', 'http://a:secret@b:c', '', { url: 'http://' }]) {
    const error = t.throws(() => proxyRoute(option, {}), { code: 'bad-option', message: /proxy: / }) as Error;
    t.notMatch(error.message, 'secret');
  }
  t.end();
});

t.test('user names and passwords', (t) => {
  const basic = (option: Parameters<typeof proxyRoute>[0], environment = {}): string | undefined => {
    const auth = proxyRoute(option, environment)(edge)?.auth;
    auth?.challenged('Basic realm="r"', null);
    const value = auth?.authorization('CONNECT', 'x:1')?.slice('Basic '.length);
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
  };
  t.equal(basic('http://ada:l0ve%3a%20x@proxy.example'), 'ada:l0ve: x');
  t.equal(basic({ url: 'http://ada:x@proxy.example', username: 'grace', password: 'y' }), 'grace:y');
  t.equal(basic({ username: 'grace', password: 'y' }, { HTTPS_PROXY: 'http://proxy.example' }), 'grace:y');
  t.equal(basic('http://100%:x@proxy.example'), '100%:x');
  t.equal(basic('http://proxy.example'), undefined);
  t.end();
});

t.test('the environment', (t) => {
  const hostOf = (environment: Record<string, string>, target = edge): string | undefined =>
    proxyRoute(undefined, environment)(target)?.host;
  const plain = { ...edge, port: 80, secure: false };
  const both = { HTTPS_PROXY: 'http://s.example', HTTP_PROXY: 'http://p.example' };
  t.equal(hostOf({}), undefined);
  t.equal(hostOf(both), 's.example');
  t.equal(hostOf(both, plain), 'p.example');
  t.equal(hostOf({ HTTP_PROXY: 'http://p.example' }), undefined, 'for http:// alone');
  t.equal(hostOf({ ...both, REQUEST_METHOD: 'GET' }, plain), undefined, 'a header of a CGI script’s caller');
  t.equal(hostOf({ ...both, https_proxy: 'l.example:1' }), 'l.example');
  t.equal(hostOf({ ...both, https_proxy: '' }), 's.example');
  t.equal(hostOf({ ...both, NO_PROXY: 'other.example', no_proxy: 'example' }), undefined);
  t.equal(hostOf({ ...both, NO_PROXY: 'example', no_proxy: '' }), undefined);
  t.throws(() => hostOf({ HTTPS_PROXY: 'socks5://x' }), { code: 'bad-option', message: /HTTPS_PROXY/ });
  t.end();
});

t.test('NO_PROXY', (t) => {
  const cases: readonly [string, string, boolean][] = [
    ['', 'a.example', false],
    ['*', 'a.example', true],
    ['*,x', 'a.example', false],
    ['example', 'A.Example', true],
    ['.example', 'example', true],
    ['.example.', 'a.example.', true],
    ['ample', 'a.example', false],
    ['x, b.example  a.example', 'a.example', true],
    ['a.example:443', 'a.example', true],
    ['a.example:80', 'a.example', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['0.0.1', '127.0.0.1', false],
    ['127.0.0.0/8', '127.9.9.9', true],
    ['127.0.0.0/8', '128.0.0.1', false],
    ['127.0.0.0/33, 10/8', '127.0.0.1', false],
    ['127.0.0.0/8', '127.example', false],
    ['::1', '[::1]', true],
    ['[::1]', '::1', true],
    ['[::1]:443', '0:0:0:0:0:0:0:1', true],
    ['fd00::/8', 'fd12::1', true],
    ['fd00::/8', '10.0.0.1', false],
    [':::, [, /, a:b:c', 'a.example', false],
  ];
  for (const [list, host, expected] of cases) {
    t.equal(parseNoProxy(list)(host, 443), expected, `${list} ~ ${host}`);
  }
  t.end();
});
