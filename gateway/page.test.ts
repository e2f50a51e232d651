import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { Page } from './page.ts';
import type { HttpReply } from './problem.ts';
import { https, type TestReply } from './testing/https-client.ts';
import { startTestEdge } from './testing/test-edge.ts';
import type { RequestHead } from './engine/index.ts';

const script = 'console.log("hello");'.repeat(50);
const files = {
  secret: 'not served',
  page: {
    'index.html': '<!doctype html><title>Sallyport</title>',
    'other.html': 'other',
    'app.js': script,
    'chunk-5UQGKCBV.js': 'export {}',
    'icon.svg': '<svg/>',
    sub: { 'index.html': 'sub' },
    'unknown.bin': '\0',
  },
};

t.test('files of the page', async (t) => {
  const folder = t.testdir(files);
  const edge = await startTestEdge(t, {
    pageFolder: `${folder}/page`,
    environment: { SALLYPORT_DATA_DIR: `${folder}/data` },
  });
  const get = (path: string, headers = {}, method = 'GET'): Promise<TestReply> =>
    https(edge.port, { path, method, headers });
  const index = await get('/?room=r');
  t.equal(index.body, files.page['index.html']);
  t.match(index.headers, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'content-security-policy': /default-src 'self'/,
  });
  t.equal((await get('/index.html')).body, index.body);
  t.equal((await get('/sub/')).body, 'sub');
  t.equal((await get('/other')).body, 'other');
  const app = await get('/app.js');
  t.equal(app.body, script);
  t.equal(app.headers['content-type'], 'text/javascript; charset=utf-8');
  t.match((await get('/chunk-5UQGKCBV.js')).headers, { 'cache-control': /immutable/ });
  t.equal((await get('/icon.svg')).headers['content-type'], 'image/svg+xml');
  t.equal((await get('/unknown.bin')).headers['content-type'], 'application/octet-stream');

  const head = await get('/app.js', {}, 'HEAD');
  t.match(head, { status: 200, body: '', headers: { 'content-length': String(script.length) } });
  const etag = String(app.headers['etag']);
  t.match(await get('/app.js', { 'if-none-match': `"x", ${etag}` }), { status: 304, body: '' });

  for (const path of [
    '/secret',
    '/../secret',
    '/..%2fsecret',
    '/%2e%2e/secret',
    '//secret',
    '/page',
    '/./app.js',
    '/doctor',
    '/sub',
  ]) {
    t.match(await get(path), { status: 404, body: /"code":"not-found"/ }, path);
  }
});

t.test('compressed where the client takes it', async (t) => {
  const page = await Page.load(`${t.testdir(files)}/page`);
  const ask = async (encoding: string): Promise<HttpReply | undefined> => {
    const header = (name: string): string => (name === 'accept-encoding' ? encoding : '');
    const head: RequestHead = { method: 'GET', path: '/app.js', query: '', header, remoteAddress: '127.0.0.1' };
    return page.find(head)?.handle(new Uint8Array(0));
  };
  const gzipped = await ask('br, gzip;q=0.8');
  t.equal(gzipped?.headers['content-encoding'], 'gzip');
  t.equal(gunzipSync(gzipped?.body as Uint8Array).toString(), script);
  for (const encoding of ['', 'br', 'gzip;q=0', 'gzip; q=0.0, br']) {
    t.equal((await ask(encoding))?.headers['content-encoding'], undefined, encoding);
  }
});

t.test('a page that was not built', async (t) => {
  t.equal((await Page.load(`${t.testdir()}/none`)).isEmpty, true);
  const edge = await startTestEdge(t, { pageFolder: '/nonexistent' });
  t.match(await https(edge.port, { path: '/' }), { status: 404, body: /npm run build/ });
  t.ok(edge.logged.some((line) => line.startsWith('warn the page is not built')));
});
