import { once } from 'node:events';
import { connect, constants, type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import type { PublicPort } from '../public-port.ts';
import { echoApplication, type Echo } from '../testing/echo-application.ts';
import { startTestPort } from '../testing/port-fixture.ts';
import { testCertificate } from '../testing/tls-fixture.ts';

const files = await testCertificate(t.testdir());

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly rstCode: number;
}

interface Started {
  readonly session: ClientHttp2Session;
  readonly port: number;
  readonly publicPort: PublicPort;
  readonly refusals: readonly string[];
}

async function start(t: Test): Promise<Started> {
  const application = echoApplication();
  const { port, publicPort } = await startTestPort(t, { engine: 'node', files: [files], application });
  return { port, publicPort, session: open(t, port), refusals: application.refusals };
}

function open(t: Test, port: number): ClientHttp2Session {
  const session = connect(`https://localhost:${String(port)}`, {
    rejectUnauthorized: false,
    createConnection: () => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] }),
  });
  session.on('error', () => undefined);
  t.teardown(() => {
    session.destroy();
  });
  return session;
}

async function ask(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Buffer): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  let got: Record<string, unknown> = {};
  let text = '';
  stream.on('response', (response) => {
    got = response;
  });
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  stream.on('error', () => undefined);
  if (body !== undefined) stream.end(body);
  await new Promise((resolve) => stream.once('close', resolve));
  return { status: Number(got[':status'] ?? 0), headers: got, body: text, rstCode: stream.rstCode };
}

t.test('requests and replies', async (t) => {
  const { session, port } = await start(t);
  const echoed = await ask(session, { ':path': '/a%2fb?q=1', ':method': 'POST' }, Buffer.alloc(10_000));
  t.same(JSON.parse(echoed.body) as Echo, {
    method: 'POST',
    path: '/a%2fb',
    host: `localhost:${String(port)}`,
    remoteAddress: '127.0.0.1',
    bodyBytes: 10_000,
  });
  t.match(echoed.headers, { 'x-test': 'a', 'content-length': String(echoed.body.length) });
  t.notOk('upgrade' in echoed.headers, 'what belongs to HTTP/1.1 stays there');
  t.match(await ask(session, { ':path': '/', ':method': 'HEAD' }), { status: 200, body: '' });
  t.match(await ask(session, { ':path': '/empty' }), { status: 204, body: '' });
  t.match(await ask(session, { ':path': '/throw' }), { status: 500 });
  t.equal((await ask(session, { ':path': '/large' })).body.length, 1_048_576);
  const answers = await Promise.all(Array.from({ length: 90 }, () => ask(session, { ':path': '/' })));
  t.ok(answers.every(({ status }) => status === 200));
});

t.test('limits', async (t) => {
  const { session, refusals } = await start(t);
  await once(session, 'remoteSettings');
  t.match(session.remoteSettings, { maxConcurrentStreams: 100, maxHeaderListSize: 8192 });
  t.notOk(session.remoteSettings.enableConnectProtocol, 'no WebSockets over h2');
  const announced = { ':path': '/', ':method': 'POST', 'content-length': '10001' };
  t.match(await ask(session, announced, Buffer.alloc(10_001)), { status: 413 });
  t.match(await ask(session, { ':path': '/', ':method': 'POST' }, Buffer.alloc(200_000)), { status: 413 });
  t.match(await ask(session, { ':path': '*', ':method': 'OPTIONS' }), { status: 400 });
  t.same(refusals, ['payload-too-large', 'payload-too-large', 'bad-request']);
  t.match(await ask(session, { ':path': '/' }), { status: 200 }, 'the connection lives');
});

t.test('headers that are too large never reach the application', async (t) => {
  const { session, refusals } = await start(t);
  t.match(await ask(session, { ':path': '/', x: 'a'.repeat(9000) }), { status: 431 });
  const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x${String(i)}`, 'a']));
  t.not((await ask(session, { ':path': '/', ...many })).status, 200);
  t.same(refusals, ['headers-too-large']);
});

t.test('streams that are opened only to be reset end the connection', async (t) => {
  const { session, port, publicPort } = await start(t);
  await once(session, 'remoteSettings');
  t.equal(publicPort.demux.nodeConnections, 1);
  let left = 1000;
  const flood = (): void => {
    for (let i = 0; i < 20 && left > 0 && !session.destroyed; i++, left--) {
      const stream = session.request({ ':path': '/never' });
      stream.on('error', () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
    }
    if (left > 0 && !session.destroyed) setImmediate(flood);
  };
  flood();
  // Asked of the server: Node's client does not always notice that its connection was reset while it wrote.
  while (publicPort.demux.nodeConnections > 0) await new Promise((resolve) => setImmediate(resolve));
  t.match(await ask(open(t, port), { ':path': '/' }), { status: 200 }, 'others go on');
});

t.test('more streams than may be open are not served', async (t) => {
  const { session } = await start(t);
  await once(session, 'remoteSettings');
  const streams = Array.from({ length: 100 }, () => session.request({ ':path': '/never' }));
  for (const stream of streams) stream.on('error', () => undefined);
  let answered = false;
  const last = ask(session, { ':path': '/' }).then(() => (answered = true));
  await new Promise((resolve) => session.ping(resolve));
  t.equal(answered, false, 'it waits for its turn');
  streams[0]?.close(constants.NGHTTP2_CANCEL);
  await last;
  t.equal(answered, true);
});

t.test('frames that are none', async (t) => {
  const { port } = await start(t);
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  socket.on('error', () => undefined).resume();
  await once(socket, 'secureConnect');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(Buffer.alloc(5000, 0xf5));
  await once(socket, 'close');
  t.match(await ask(open(t, port), { ':path': '/' }), { status: 200 });
});
