/** What an upstream must never be told, on bytes; and what http2-proxy by itself would tell it. */
import { createServer, type Http2Server } from 'node:http2';
import { connect, type AddressInfo } from 'node:net';
import { connect as connectHttp2 } from 'node:http2';
import http2Proxy from 'http2-proxy';
import t, { type Test } from 'tap';
import { dial } from '../testing/dial.ts';
import { askOver, rawUpstream, startForwarding, until, type Upstream } from '../testing/forward-fixture.ts';
import { endHeaders, frame, frameTypes, headerBlock, headersFrame, http2Preface } from '../testing/http2-frames.ts';
import { testCertificate } from '../testing/tls-fixture.ts';

const files = await testCertificate(t.testdir());
const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const hidden = 'GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n';

interface Listening extends Upstream {
  /** All that came, on all connections. */
  readonly said: () => string;
}

/** Answers once `isWhole` finds a whole request in what came. */
async function listeningUpstream(t: Test, isWhole: (said: string) => boolean): Promise<Listening> {
  let all = '';
  const upstream = await rawUpstream(t, (socket, said) => {
    all = said;
    if (isWhole(said)) socket.write(answer);
  });
  return { ...upstream, said: () => all };
}

const headWhole = (said: string): boolean => said.includes('\r\n\r\n');
const chunksWhole = (said: string): boolean => said.endsWith('0\r\n\r\n');
const bodyOf = (said: string): string => said.slice(said.indexOf('\r\n\r\n') + 4);

t.test('content without a length: http2-proxy alone sends a second request with it', async (t) => {
  const upstream = await listeningUpstream(t, (said) => said.includes('/hidden'));
  const server: Http2Server = createServer((request, response) => {
    const { at } = upstream.target;
    if ('socketPath' in at) return;
    void http2Proxy.web(request, response, { hostname: at.host, port: at.port }, () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = connectHttp2(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
  t.teardown(() => {
    session.destroy();
    server.close();
  });
  t.match(await askOver(session, { ':path': '/', ':method': 'DELETE' }, hidden), { status: 200 });
  t.equal(bodyOf(upstream.said()), hidden, 'bare');
});

t.test('content without a length is framed', async (t) => {
  for (const method of ['DELETE', 'POST', 'PUT', 'PATCH']) {
    const upstream = await listeningUpstream(t, chunksWhole);
    const { session } = await startForwarding(t, { engine: 'node', files: [files] }, upstream.target);
    t.match(await askOver(session, { ':path': '/', ':method': method }, hidden), { status: 200 }, method);
    t.match(upstream.said(), /\r\ntransfer-encoding: chunked\r\n/i);
    t.notMatch(upstream.said(), /content-length/i);
    t.equal(bodyOf(upstream.said()), `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`);
  }
});

t.test('content of a method that has none never leaves', async (t) => {
  const upstream = await listeningUpstream(t, () => false);
  const { session, forwarder } = await startForwarding(t, { engine: 'node', files: [files] }, upstream.target);
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    const announced = { ':path': '/', ':method': method, 'content-length': String(hidden.length) };
    t.match(await askOver(session, announced, hidden), { status: 400 }, `${method}, announced`);
    t.match(await askOver(session, { ':path': '/', ':method': method }, hidden), { status: 400 }, method);
  }
  await until(() => forwarder.open === 0 && upstream.sockets.size === 0);
  t.notMatch(upstream.said(), /hidden|content-length|transfer-encoding/i);
});

t.test('content that is not as long as it says', async (t) => {
  const upstream = await listeningUpstream(t, () => false);
  const { session, forwarder } = await startForwarding(t, { engine: 'node', files: [files] }, upstream.target);
  for (const length of ['1', '1000', '0', '-1', '1e2', '0x10', '99999999999999999999']) {
    const headers = { ':path': '/', ':method': 'POST', 'content-length': length };
    const got = await askOver(session, headers, hidden);
    t.ok(got.status === 0 || got.status === 400 || got.status === 413, `${length}: ${String(got.status)}`);
    if (session.destroyed) break;
  }
  await until(() => forwarder.open === 0 && upstream.sockets.size === 0);
  t.notMatch(upstream.said(), /\/hidden HTTP/, 'no byte past the announced length');
});

t.test('half a body is not taken for a whole one', async (t) => {
  const upstream = await listeningUpstream(t, () => false);
  const { port, forwarder } = await startForwarding(t, { engine: 'node', files: [files] }, upstream.target);
  // By hand, because Node's client ends a body that it takes back.
  const socket = await dial(port, { alpn: ['h2'] });
  socket.resume();
  const head = headerBlock([
    [':method', 'POST'],
    [':scheme', 'https'],
    [':authority', 'a.example'],
    [':path', '/'],
  ]);
  const { headers, data, rstStream } = frameTypes;
  socket.write(
    Buffer.concat([http2Preface, frame(headers, endHeaders, 1, head), frame(data, 0, 1, Buffer.from('half'))]),
  );
  await until(() => upstream.said().includes('half'));
  socket.write(frame(rstStream, 0, 1, Buffer.from([0, 0, 0, 8])));
  await until(() => forwarder.open === 0 && upstream.sockets.size === 0);
  t.notOk(chunksWhole(upstream.said()));
});

t.test('header fields: only those that are known, made anew', async (t) => {
  const upstream = await listeningUpstream(t, headWhole);
  const { session } = await startForwarding(t, { engine: 'node', files: [files] }, upstream.target);
  const headers = {
    te: 'trailers',
    expect: '100-continue',
    trailer: 'x',
    'proxy-authorization': 'Basic YTpi',
    'x-http-method-override': 'DELETE',
    'x-original-url': '/admin',
    accept: 'text/plain',
  };
  t.match(await askOver(session, { ':path': '/', ...headers }), { status: 200 });
  const names = upstream
    .said()
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(':')[0]?.toLowerCase() ?? '')
    .filter((name) => name !== '');
  t.same(names.sort(), [
    'accept',
    'connection',
    'forwarded',
    'host',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
  ]);
});

t.test('what is no h2 never reaches the upstream: the field is left out, or the request is', async (t) => {
  const upstream = await listeningUpstream(t, headWhole);
  const { port, session } = await startForwarding(t, { engine: 'node', files: [files] }, upstream.target);
  const requests: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
    ['a line break in a value', [['accept', 'a\r\nx-evil: b']]],
    ['a bare line feed', [['accept', 'a\nx-evil: b']]],
    ['NUL', [['accept', 'a\0b']]],
    ['a line break in a name', [['accept: a\r\nx-evil', 'b']]],
    ['upper case', [['X-Evil', 'b']]],
    ['transfer-encoding', [['transfer-encoding', 'chunked']]],
    ['connection', [['connection', 'x-evil']]],
    ['keep-alive', [['keep-alive', 'timeout=5']]],
    ['proxy-connection', [['proxy-connection', 'x-evil']]],
    ['http2-settings', [['http2-settings', 'evil']]],
    ['upgrade', [['upgrade', 'websocket']]],
    ['te other than trailers', [['te', 'chunked']]],
    [
      'two lengths',
      [
        ['content-length', '0'],
        ['content-length', '5'],
      ],
    ],
    ['a line break in the path', [[':path', '/ HTTP/1.1\r\nx-evil: b']]],
  ];
  for (const [what, extra] of requests) {
    const socket = await dial(port, { alpn: ['h2'] });
    const path = extra.some(([name]) => name === ':path') ? [] : ([[':path', '/']] as const);
    const pseudo = [[':method', 'GET'], [':scheme', 'https'], [':authority', 'a.example'], ...path] as const;
    let got = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => (got = Buffer.concat([got, bytes])));
    socket.write(Buffer.concat([http2Preface, headersFrame(1, [...pseudo, ...extra])]));
    // RST_STREAM or GOAWAY of a stream that is in error, a reply, or the end.
    await until(() => socket.destroyed || hasFrame(got, [1, 3, 7]));
    t.notMatch(upstream.said(), /evil|chunked|keep-alive: |upgrade|\0|content-length|[^\r]\n|^te:/i, what);
    socket.destroy();
  }
  t.match(
    await askOver(session, { ':path': '/', accept: 'ü\u00ff' }),
    { status: 200 },
    'text beyond ASCII is none of these',
  );
});

function hasFrame(bytes: Buffer, types: readonly number[]): boolean {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (types.includes(bytes[at + 3] as number)) return true;
  }
  return false;
}

t.test('HTTP/1.1: two ways to say the end', async (t) => {
  const upstream = await listeningUpstream(t, headWhole);
  for (const engine of ['node', 'auto'] as const) {
    const { port } = await startForwarding(t, { engine, files: [files] }, upstream.target);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    socket.write(
      'POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n' +
        hidden,
    );
    await new Promise((resolve) => socket.once('close', resolve));
    t.notMatch(upstream.said(), /hidden/, engine);
  }
});
