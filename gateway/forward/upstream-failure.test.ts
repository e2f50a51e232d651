import t, { type Test } from 'tap';
import {
  askOver,
  httpUpstream,
  rawUpstream,
  startForwarding,
  until,
  type Forwarding,
  type Upstream,
} from '../testing/forward-fixture.ts';
import { testCertificate } from '../testing/tls-fixture.ts';
import type { ForwarderOptions } from './index.ts';

const files = await testCertificate(t.testdir());

const start = (t: Test, upstream: Upstream, options?: Partial<ForwarderOptions>): Promise<Forwarding> =>
  startForwarding(t, { engine: 'node', files: [files] }, upstream.target, options);

const nothingLeft = (forwarding: Forwarding, upstream: Upstream): Promise<void> =>
  until(() => forwarding.forwarder.open + forwarding.forwarder.sockets.busy + upstream.sockets.size === 0);

/** Answers each connection's first request with these bytes, then ends it if told so. */
const saying = (t: Test, bytes: string, ends = false): Promise<Upstream> =>
  rawUpstream(t, (socket) => {
    if (ends) socket.end(bytes, 'latin1');
    else socket.write(bytes, 'latin1');
  });

t.test('an upstream that is not there', async (t) => {
  const upstream = await httpUpstream(t, () => undefined);
  await new Promise((resolve) => upstream.server.close(resolve));
  const { session, failures } = await start(t, upstream);
  const answer = await askOver(session, { ':path': '/' });
  t.match(answer, { status: 502, code: 'upstream-failed', headers: { 'content-type': 'application/problem+json' } });
  t.match(await askOver(session, { ':path': '/', ':method': 'POST' }, 'content'), { status: 502 });
  t.same(failures, ['upstream-failed', 'upstream-failed']);
});

t.test('an upstream that never answers', async (t) => {
  const upstream = await rawUpstream(t, () => undefined);
  const forwarding = await start(t, upstream, { timeoutMs: 60 });
  const answer = await askOver(forwarding.session, { ':path': '/' });
  t.match(answer, { status: 504, code: 'upstream-timeout', headers: { 'content-type': 'application/problem+json' } });
  await nothingLeft(forwarding, upstream);
  t.same(forwarding.failures, ['upstream-timeout']);
});

t.test('an upstream that answers later than the five seconds of Node’s own agent', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => {
    setTimeout(() => response.end('late'), 5300);
  });
  const { session } = await start(t, upstream);
  t.match(await askOver(session, { ':path': '/' }), { status: 200, body: 'late' });
});

t.test('an upstream that dies in mid-body', async (t) => {
  const short = await saying(t, 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', true);
  const whole = await start(t, short);
  t.match(await askOver(whole.session, { ':path': '/' }), { status: 502 }, 'a short answer is replaced');
  await nothingLeft(whole, short);

  for (const head of ['content-length: 1000000', 'transfer-encoding: chunked']) {
    const long = await saying(t, `HTTP/1.1 200 OK\r\n${head}\r\n\r\n4\r\nhalf\r\n`, true);
    const parts = await start(t, long);
    const got = await askOver(parts.session, { ':path': '/' });
    t.equal(got.status, 200);
    t.not(got.rstCode, 0, `${head}: broken off, not ended`);
    await nothingLeft(parts, long);
  }
});

t.test('an upstream that stops in mid-body', async (t) => {
  const upstream = await saying(t, 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n');
  const forwarding = await start(t, upstream, { timeoutMs: 60 });
  const got = await askOver(forwarding.session, { ':path': '/' });
  t.match(got, { status: 200, body: 'half' });
  t.not(got.rstCode, 0);
  await nothingLeft(forwarding, upstream);
});

t.test('answers that are none', async (t) => {
  const answers = {
    'a status beyond HTTP': 'HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n',
    'a status of nothing': 'HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n',
    'an upgrade nobody asked for': 'HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nfree bytes',
    'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
    'a length and chunks': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    'a head that is too large': `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(20_000)}\r\ncontent-length: 0\r\n\r\n`,
    'a head that h2 would not send': `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(7500)}\r\ncontent-length: 0\r\n\r\n`,
    'a control character': 'HTTP/1.1 200 OK\r\nx: a\x01b\r\ncontent-length: 0\r\n\r\n',
    garbage: 'SSH-2.0-OpenSSH\r\n',
    nothing: '',
  };
  for (const [what, bytes] of Object.entries(answers)) {
    const upstream = await saying(t, bytes, true);
    const forwarding = await start(t, upstream);
    t.match(await askOver(forwarding.session, { ':path': '/' }), { status: 502, code: 'upstream-failed' }, what);
    await nothingLeft(forwarding, upstream);
  }
});

t.test('what of a head is not passed on', async (t) => {
  const lines = [
    'connection: x-named, close',
    'x-named: a',
    'keep-alive: timeout=5',
    'server: secret/1.0',
    'via: 1.1 inner',
    'alt-svc: h3=":443"',
    'proxy-authenticate: Basic',
    'x-forwarded-for: 10.0.0.1',
    'set-cookie: a=b',
    'x-kept: b',
    'content-length: 2',
  ];
  const upstream = await saying(t, `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\nok`);
  const { session } = await start(t, upstream);
  const { headers, body } = await askOver(session, { ':path': '/' });
  t.same(Object.keys(headers).sort(), [':status', 'content-length', 'date', 'x-kept']);
  t.equal(body, 'ok');
});

t.test('clients that reset', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    request.resume();
    if (request.url === '/begun') response.write('x');
  });
  const forwarding = await start(t, upstream);
  const { session, forwarder } = forwarding;
  for (let round = 0; round < 30; round++) {
    for (const [path, method] of [
      ['/never', 'GET'],
      ['/never', 'POST'],
      ['/begun', 'GET'],
    ] as const) {
      const stream = session.request({ ':path': path, ':method': method }, { endStream: method === 'GET' });
      stream.on('error', () => undefined);
      if (round % 2 === 0) await until(() => forwarder.open === 1);
      if (round % 3 === 0 && path === '/begun') await new Promise((resolve) => stream.once('response', resolve));
      stream.close(8);
      await new Promise((resolve) => stream.once('close', resolve));
      await until(() => forwarder.open === 0);
    }
  }
  await nothingLeft(forwarding, upstream);
  t.equal(forwarder.sockets.free, 0);
  t.same(forwarding.failures, []);
});

t.test('a kept connection that the upstream ends just then', async (t) => {
  let requests = 0;
  const upstream = await httpUpstream(t, (request, response) => {
    requests++;
    // Every second one of a connection is met by its end.
    if (requests % 2 === 0) request.socket.destroy();
    else response.end('ok');
  });
  const { session, forwarder } = await start(t, upstream);
  t.match(await askOver(session, { ':path': '/' }), { status: 200 });
  await until(() => forwarder.sockets.free === 1);
  t.match(await askOver(session, { ':path': '/' }), { status: 200, body: 'ok' }, 'asked again, once');
  t.equal(requests, 3);
  requests = 0;
  t.match(await askOver(session, { ':path': '/' }), { status: 200 });
  await until(() => forwarder.sockets.free === 1);
  t.match(
    await askOver(session, { ':path': '/', ':method': 'POST' }, 'x'),
    { status: 502 },
    'never what may change something',
  );
  t.equal(requests, 2);
});

t.test('listeners do not pile up on a kept connection', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('ok'));
  const { session, forwarder } = await start(t, upstream);
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on('warning', warned);
  t.teardown(() => process.off('warning', warned));
  for (let i = 0; i < 50; i++) {
    await askOver(session, { ':path': '/' });
    await until(() => forwarder.sockets.free === 1);
  }
  t.equal(upstream.accepted(), 1);
  t.same(warnings, []);
});
