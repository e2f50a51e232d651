import { X509Certificate } from 'node:crypto';
import { createServer as createTlsServer } from 'node:https';
import { readFile } from 'node:fs/promises';
import { Server as HttpServer, type IncomingMessage } from 'node:http';
import t, { type Test } from 'tap';
import { askHttp1, dial } from '../testing/dial.ts';
import {
  askOver,
  httpUpstream,
  listening,
  startForwarding,
  until,
  type Forwarding,
} from '../testing/forward-fixture.ts';
import { engineVariants } from '../testing/port-fixture.ts';
import { testCertificate } from '../testing/tls-fixture.ts';
import type { ForwarderOptions, ForwardTarget } from './index.ts';

const files = await testCertificate(t.testdir());
const variants = await engineVariants();

const start = (t: Test, target: ForwardTarget, options?: Partial<ForwarderOptions>): Promise<Forwarding> =>
  startForwarding(t, { engine: 'node', files: [files] }, target, options);

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function seen(request: IncomingMessage): Promise<Seen> {
  let body = '';
  for await (const chunk of request) body += (chunk as Buffer).toString('latin1');
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    headers: request.headers as Record<string, string>,
    body,
  };
}

const echoUpstream = (t: Test): ReturnType<typeof httpUpstream> =>
  httpUpstream(t, (request, response) => {
    void seen(request).then((all) => response.end(JSON.stringify(all)));
  });

t.test('requests and answers, by one connection to the upstream', async (t) => {
  const upstream = await echoUpstream(t);
  const { session, forwarder } = await start(t, upstream.target);
  const got = await askOver(session, { ':path': '/a%2fb?q=1', ':method': 'POST', 'content-type': 'x/y' }, 'hello');
  t.match(got, { status: 200 });
  t.match(JSON.parse(got.body), {
    method: 'POST',
    url: '/a%2fb?q=1',
    headers: { 'content-type': 'x/y' },
    body: 'hello',
  });
  for (const method of ['GET', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']) {
    const body = method === 'GET' || method === 'OPTIONS' ? undefined : 'content';
    const answer = await askOver(session, { ':path': '/', ':method': method }, body);
    t.match(JSON.parse(answer.body), { method, url: '/', body: body ?? '' }, method);
  }
  t.equal(upstream.accepted(), 1);
  t.equal(forwarder.open, 0);
  t.same(forwarder.sockets, { busy: 0, free: 1 });
  t.match(await askOver(session, { ':path': '/', ':method': 'HEAD' }), { status: 200, body: '' });
});

t.test('answers without a body, long ones, and errors of the upstream', async (t) => {
  const long = Buffer.alloc(3_000_000, 'x');
  const upstream = await httpUpstream(t, (request, response) => {
    if (request.url === '/long') response.end(long);
    else if (request.url === '/parts') response.write('first ', () => response.end('second'));
    else response.writeHead(Number(request.url?.slice(1)), { etag: '"a"' }).end();
  });
  const { session } = await start(t, upstream.target);
  t.match(await askOver(session, { ':path': '/204' }), { status: 204, body: '' });
  t.match(await askOver(session, { ':path': '/304' }), { status: 304, headers: { etag: '"a"' }, body: '' });
  t.match(await askOver(session, { ':path': '/503' }), { status: 503, body: '' });
  t.equal((await askOver(session, { ':path': '/long' })).body.length, long.length);
  t.match(await askOver(session, { ':path': '/parts' }), { status: 200, body: 'first second' });
});

t.test('bodies flow both ways at once, and are never whole in memory', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    response.flushHeaders();
    request.pipe(response);
  });
  const { session, forwarder } = await start(t, { ...upstream.target, maxBodyBytes: Infinity });
  const stream = session.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
  let heard = 0;
  stream.on('data', (chunk: Buffer) => (heard += chunk.length));
  const piece = Buffer.alloc(10_000, 'x');
  for (let sent = 0; sent < 100;) {
    stream.write(piece);
    sent++;
    await until(() => heard === sent * piece.length);
  }
  t.equal(heard, 1_000_000);
  t.equal(forwarder.open, 1);
  stream.end();
  await new Promise((resolve) => stream.once('close', resolve));
  t.equal(forwarder.open, 0);
});

t.test('a slow client holds its upstream back', async (t) => {
  const piece = Buffer.alloc(65_536);
  let taken = 0;
  const upstream = await httpUpstream(t, (_request, response) => {
    const more = (): void => {
      while (taken < 200_000_000) {
        taken += piece.length;
        if (!response.write(piece)) break;
      }
    };
    response.on('drain', more);
    more();
  });
  const { session, forwarder } = await start(t, upstream.target);
  const stream = session.request({ ':path': '/' });
  stream.on('error', () => undefined);
  stream.pause();
  await until(() => taken > 1_000_000);
  let before = 0;
  while (before !== taken) {
    before = taken;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  t.ok(taken < 20_000_000, `${String(taken)} bytes, of which the kernel holds the most`);
  stream.destroy();
  await until(() => forwarder.open === 0 && upstream.sockets.size === 0);
});

t.test('Host, and what forwarded headers say', async (t) => {
  const upstream = await echoUpstream(t);
  const { session } = await start(t, upstream.target, { secret: 'known to us' });
  const headersSeen = async (headers: Record<string, string>): Promise<Record<string, string>> =>
    (JSON.parse((await askOver(session, { ':path': '/', ...headers })).body) as Seen).headers;
  const plain = await headersSeen({ ':authority': 'edge.example:8443' });
  t.match(plain, {
    host: 'edge.example:8443',
    forwarded: 'for=127.0.0.1;proto=https;host="edge.example:8443"',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'edge.example:8443',
    'x-forwarded-proto': 'https',
    'x-sallyport-forwarder': 'known to us',
  });
  const lies = await headersSeen({
    ':authority': 'edge.example:8443',
    forwarded: 'for=192.0.2.1',
    'x-forwarded-for': '192.0.2.1',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-port': '1',
    'x-real-ip': '192.0.2.1',
    'x-sallyport-forwarder': 'guessed',
    via: '2 a',
    cookie: 'a=b',
  });
  t.same(lies, plain, 'nothing that a client says of itself gets through');
  t.match(await headersSeen({ ':authority': 'edge.example', host: 'other.example' }), { host: 'edge.example' });
  for (const host of ['a@b', 'a:0', '[::g]', '1.2.3', 'a,b', '-a']) {
    t.match(await askOver(session, { ':path': '/', ':authority': host }), { status: 400, code: 'bad-request' }, host);
  }
  for (const host of ['a b', 'a/b', 'a\\b']) {
    t.match(await askOver(session, { ':path': '/', ':authority': host }), { status: 0 }, `${host} is not h2`);
  }
});

for (const { name, engine, libc, skip } of variants) {
  t.test(`requests on HTTP/1.1: ${name}`, { skip }, async (t) => {
    const upstream = await echoUpstream(t);
    const { port, forwarder } = await startForwarding(t, { engine, libc, files: [files] }, upstream.target);
    const connect = (): ReturnType<typeof dial> => dial(port, { alpn: ['http/1.1'] });
    const got = await askHttp1(await connect(), {
      method: 'POST',
      path: '/x?y',
      body: 'hello',
      headers: { authorization: 'Bearer a', te: 'trailers' },
    });
    t.equal(got.status, 200);
    const { headers, body } = JSON.parse(got.body.slice(got.body.indexOf('{'), got.body.lastIndexOf('}') + 1)) as Seen;
    t.equal(body, 'hello');
    t.match(headers, { authorization: 'Bearer a', connection: 'keep-alive', 'content-length': '5' });
    t.notOk('te' in headers);
    const upgrade = { upgrade: 'WebSocket' };
    t.equal((await askHttp1(await connect(), { path: '/', headers: upgrade })).status, 400, 'no WebSockets');
    t.equal(forwarder.open, 0);
  });
}

t.test('an upstream over TLS is known by its own name, not by the Host of the client', async (t) => {
  const [key, cert] = await Promise.all([readFile(files.keyFile), readFile(files.certFile)]);
  const names: string[] = [];
  const server = createTlsServer({ key, cert }, (request, response) => {
    response.end(String(request.headers.host));
  });
  server.on('tlsClientError', () => undefined);
  server.on('secureConnection', (socket) => names.push(String(socket.servername)));
  const { target } = await listening(t, server);
  const trusted = { serverName: 'localhost', ca: cert };
  const { session } = await start(t, { ...target, tls: trusted });
  t.match(await askOver(session, { ':path': '/', ':authority': 'victim.example' }), {
    status: 200,
    body: 'victim.example',
  });
  t.same(names, ['localhost']);
  for (const tls of [{ serverName: 'localhost' }, { serverName: 'other.example', ca: cert }]) {
    const other = await start(t, { ...target, tls });
    t.match(await askOver(other.session, { ':path': '/' }), { status: 502, code: 'upstream-failed' });
  }
});

t.test('an upstream that is known by its certificate alone', async (t) => {
  const [key, cert] = await Promise.all([readFile(files.keyFile), readFile(files.certFile)]);
  let asked = 0;
  const server = createTlsServer({ key, cert }, (request, response) => {
    asked++;
    response.end(request.url);
  });
  const { target } = await listening(t, server);
  const { fingerprint256 } = new X509Certificate(cert);
  const { session } = await start(t, { ...target, tls: { fingerprint: fingerprint256 } });
  for (const path of ['/a', '/b']) t.match(await askOver(session, { ':path': path }), { status: 200, body: path });
  const other = await start(t, { ...target, tls: { fingerprint: fingerprint256.replaceAll('A', 'B') } });
  t.match(await askOver(other.session, { ':path': '/' }), { status: 502, code: 'upstream-failed' });
  t.equal(asked, 2, 'it is told nothing before');
});

t.test('limits', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    request.resume();
    if (request.url !== '/never') request.once('end', () => response.end());
  });
  const { session, forwarder, failures } = await start(t, upstream.target, { maxBodyBytes: 1000, maxOpen: 2 });
  const post = { ':path': '/', ':method': 'POST' };
  t.match(await askOver(session, post, Buffer.alloc(1000)), { status: 200 });
  t.match(await askOver(session, post, Buffer.alloc(1001)), { status: 413, code: 'payload-too-large' });
  t.match(await askOver(session, { ...post, 'content-length': '1001' }, Buffer.alloc(1001)), { status: 413 });
  const held = [session.request({ ':path': '/never' }), session.request({ ':path': '/never' })];
  for (const stream of held) stream.on('error', () => undefined);
  await until(() => forwarder.open === 2);
  t.match(await askOver(session, { ':path': '/' }), {
    status: 503,
    code: 'upstream-busy',
    headers: { 'retry-after': '1' },
  });
  t.same(failures, ['upstream-busy']);
  for (const stream of held) stream.close();
  await until(() => forwarder.open === 0);
  t.match(await askOver(session, { ':path': '/' }), { status: 200 });
});

t.test('an upstream that takes no content', async (t) => {
  const upstream = await httpUpstream(t, () => undefined);
  const { session, forwarder } = await start(
    t,
    { ...upstream.target, maxBodyBytes: Infinity },
    { maxWaitingBytes: 100_000 },
  );
  const stream = session.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
  stream.on('error', () => undefined);
  let status = 0;
  stream.on('response', (headers) => (status = Number(headers[':status'])));
  const piece = Buffer.alloc(65_536);
  while (status === 0) {
    stream.write(piece);
    await until(() => status !== 0 || stream.writableLength === 0);
  }
  t.equal(status, 502);
  await until(() => forwarder.open + forwarder.sockets.busy === 0);
});

t.test('methods that are not passed on', async (t) => {
  const upstream = await echoUpstream(t);
  const { session } = await start(t, upstream.target);
  for (const method of ['TRACE', 'PROPFIND', 'M-SEARCH']) {
    t.match(await askOver(session, { ':path': '/', ':method': method }), { status: 405 }, method);
  }
  t.equal(upstream.accepted(), 0);
});

t.test('by a unix domain socket', { skip: process.platform === 'win32' }, async (t) => {
  const socketPath = `${t.testdir()}/s`;
  const server = new HttpServer((request, response) => response.end(String(request.headers['x-forwarded-for'])));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => server.close());
  const { session } = await start(t, { at: { socketPath }, tls: null });
  t.match(await askOver(session, { ':path': '/' }), { status: 200, body: '127.0.0.1' });
});

t.test('closing', async (t) => {
  const upstream = await httpUpstream(t, () => undefined);
  const { session, forwarder } = await start(t, upstream.target);
  const answer = askOver(session, { ':path': '/' });
  await until(() => upstream.sockets.size === 1);
  forwarder.close();
  t.match(await answer, { status: 502 });
  forwarder.close();
  await until(() => upstream.sockets.size === 0);
});
