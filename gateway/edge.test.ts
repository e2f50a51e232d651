import { createServer as createTcp, type AddressInfo } from 'node:net';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { request as requestHttp } from 'node:http';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { closeCodes, encodeFrame } from '../tunnel-protocol/index.ts';
import { dial, httpWays, proxyHeaderV1, proxyHeaderV2 } from './testing/dial.ts';
import { https, openWebSocket } from './testing/https-client.ts';
import { engineVariants } from './testing/port-fixture.ts';
import {
  openSession,
  postSession,
  startTestEdge,
  tunnelProtocols,
  type OpenedSession,
  type TestEdge,
} from './testing/test-edge.ts';
import { bindingRequest, TurnStreamClient, type Credentials } from './testing/turn-stream-client.ts';

async function admin(
  edge: TestEdge,
  path: string,
  method = 'GET',
  headers = {},
): Promise<{ status: number; body: string }> {
  const outgoing = requestHttp({ host: '127.0.0.1', port: edge.adminPort, path, method, headers, agent: false }).end();
  const [reply] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
  let body = '';
  for await (const chunk of reply) body += String(chunk);
  return { status: reply.statusCode ?? 0, body };
}

for (const { name, engine, libc, skip } of await engineVariants()) {
  const options = { environment: { SALLYPORT_ENGINE: engine }, ...(libc === null ? { libc } : {}) };

  t.test(`an edge, engine ${name}`, { skip }, async (t) => {
    // Those of the test before may still be closing.
    const before = await settledHandles(0);
    const turnUdpPort = await freeUdpPort();
    const environment = { ...options.environment, SALLYPORT_TURN_UDP_PORT: String(turnUdpPort) };
    const edge = await startTestEdge(t, { ...options, environment });
    t.equal(edge.udpPort, edge.port, 'TCP and UDP have the same number');
    t.equal(edge.turnUdpPort, turnUdpPort);
    t.match(edge.certificatePin, /=$/);

    t.equal((await admin(edge, '/healthz')).status, 200);
    t.equal((await admin(edge, '/readyz')).status, 200);
    t.equal((await admin(edge, '/readyz', 'HEAD')).status, 200);
    t.equal((await admin(edge, '/nope')).status, 404);
    t.equal((await admin(edge, '/drain')).status, 405);
    t.equal((await admin(edge, '/drain', 'POST', { origin: 'https://evil.example' })).status, 403);

    const session = await openSession(edge);
    t.equal(session.tunnel.websocket, `wss://127.0.0.1:${String(edge.port)}/tunnel/v1/ws`);
    const socket = await openWebSocket(edge.port, '/tunnel/v1/ws', tunnelProtocols(session.resumeToken));

    const turn = new TurnStreamClient(await dial(edge.port, { alpn: [] }));
    t.ok(await turn.allocate(iceServerOf(session)), 'TURN over TLS takes the credentials of the session');
    const udp = createSocket('udp4');
    udp.send(bindingRequest(), edge.turnUdpPort, '127.0.0.1');
    t.equal(((await once(udp, 'message')) as [Buffer])[0].readUInt16BE(0), 0x0101, 'TURN over UDP answers');
    const ice = await dial(edge.port, { alpn: null });
    ice.write(encodeFrame(bindingRequest()));
    udp.send(Uint8Array.of(0xf0, 1), edge.udpPort, '127.0.0.1');
    udp.send(Uint8Array.of(0x80, 1), edge.udpPort, '127.0.0.1');
    udp.send(Uint8Array.of(0, 1), edge.udpPort, '127.0.0.1');
    let text = '';
    // The datagrams and the scrape are not ordered.
    for (let i = 0; i < 50 && !text.includes('sallyport_datagrams_total{rung="udp",direction="in"} 1'); i++) {
      text = (await admin(edge, '/metrics')).body;
    }
    for (const line of [
      'sallyport_turn_allocations 1',
      'sallyport_datagrams_total{rung="turn-tls",direction="in"} 0',
      'sallyport_datagrams_dropped_total{rung="turn-tls",reason="not-relayed"} 0',
      'sallyport_connections_missed_total 0',
      'sallyport_connections_total{kind="turn-tls"} 1',
      'sallyport_connections_total{kind="ice-tcp"} 1',
      'sallyport_connections{state="ice-tcp"} 1',
      'sallyport_connections_refused_total{reason="unknown"} 0',
      'sallyport_sessions{rung="none"} 1',
      'sallyport_sessions{rung="websocket"} 0',
      'sallyport_directory_up 1',
      'sallyport_datagrams_total{rung="udp",direction="in"} 1',
      'sallyport_datagrams_dropped_total{rung="udp",reason="control-not-allowed"} 1',
      'sallyport_datagrams_dropped_total{rung="udp",reason="unknown-source"} 1',
      'sallyport_rung_attempts_total{rung="websocket",outcome="accepted"} 1',
      'sallyport_refused_total{reason="ice_malformed"} 1',
      'sallyport_refused_total{reason="udp_unknown_source"} 1',
      'sallyport_refused_total{reason="udp_rate_limited"} 0',
      'sallyport_sfu_packets_total{direction="in"} 0',
      'sallyport_sfu_events_total{event="sessions_opened"} 1',
    ]) {
      t.ok(text.includes(`${line}\n`), line);
    }
    t.match(text, /sallyport_event_loop_delay_seconds\{quantile="0.99"\} [0-9.e-]+\n/);
    t.notMatch(text, /127\.0\.0\.1|standup/, 'no label names anybody');

    const closed = socket.closed;
    const cut = [turn.socket, ice].map((end) => new Promise((resolve) => end.resume().once('close', resolve)));
    await Promise.all([edge.edge.close(), edge.edge.close()]);
    await edge.edge.closed;
    t.match(await closed, { code: closeCodes.draining.wire });
    await Promise.all(cut);
    await t.rejects(https(edge.port, { path: '/' }), { code: 'ECONNREFUSED' });
    await t.rejects(admin(edge, '/healthz'), { code: 'ECONNREFUSED' });
    const free = createSocket('udp4');
    free.bind(edge.udpPort, '127.0.0.1');
    await once(free, 'listening');
    free.close();
    await once(free, 'close');
    udp.close();
    t.same(await settledHandles(before.length), before, 'no handle is left');
    t.ok(edge.logged.some((line) => line.startsWith('info edge started')));
    t.ok(edge.logged.some((line) => line.startsWith('info edge stopped')));
    t.equal(edge.logged.some((line) => line.includes('slower way')), libc === null, 'what is missing is said'); // prettier-ignore
    t.same(edge.logged.filter((line) => line.startsWith('error')), []); // prettier-ignore
    for (const secret of [session.resumeToken, iceServerOf(session).credential]) {
      t.notOk(edge.logged.join('\n').includes(secret), 'no token in the log');
    }
  });

  t.test(`the client's address in limits, engine ${name}`, { skip }, async (t) => {
    const environment = { ...options.environment, SALLYPORT_PROXY_FROM: '127.0.0.8/31' };
    const limits = { sessions: { burst: 1, perSecond: 0.001 } };
    const edge = await startTestEdge(t, { ...options, environment, limits });
    const body = JSON.stringify({ room: 'r', client: { kind: 'test', version: '1' } });
    const question = { method: 'POST', path: '/v1/sessions', headers: { 'content-type': 'application/json' }, body };
    for (const [i, { name, alpn, ask }] of httpWays.entries()) {
      const clients = [
        { from: `127.0.1.${String(i)}` },
        { from: '127.0.0.9', header: proxyHeaderV1(`192.0.2.${String(i)}`, 4711) },
        // A /64 is one client.
        { from: '127.0.0.9', header: proxyHeaderV2(i << 8, 4711, 0x20010d00 + i) },
      ];
      for (const client of clients) {
        const asked: number[] = [];
        for (let times = 0; times < 2; times++) {
          asked.push((await ask(await dial(edge.port, { ...client, alpn }), question)).status);
        }
        // Without a token.
        t.same(asked, [401, 429], `${name} ${String(client.header ?? client.from)}`);
      }
    }
  });
}

t.test('the end of a session ends its allocations', async (t) => {
  const edge = await startTestEdge(t);
  const session = await openSession(edge);
  const turn = new TurnStreamClient(await dial(edge.port, { alpn: null }));
  t.ok(await turn.allocate(iceServerOf(session)));
  const allocations = async (): Promise<string> => (await admin(edge, '/metrics')).body;
  t.match(await allocations(), 'sallyport_turn_allocations 1\n');
  const headers = { authorization: `Bearer ${session.resumeToken}` };
  await https(edge.port, { method: 'DELETE', path: `/v1/sessions/${session.sessionId}`, headers });
  t.match(await allocations(), 'sallyport_turn_allocations 0\n');
  const late = new TurnStreamClient(await dial(edge.port, { alpn: null }));
  t.notOk(await late.allocate(iceServerOf(session)), 'and makes no more');
  for (const { socket } of [turn, late]) socket.destroy();
});

t.test('what a first start leaves in the data folder, and a second one finds', async (t) => {
  const environment = { SALLYPORT_SECRET: '', SALLYPORT_DATA_DIR: path.join(t.testdir(), 'data') };
  const first = await startTestEdge(t, { environment });
  const file = path.join(environment.SALLYPORT_DATA_DIR, 'secret');
  const secret = await readFile(file, 'utf8');
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.ok(first.logged.some((line) => line.startsWith('warn SALLYPORT_SECRET is not set')));
  t.ok(first.logged.some((line) => line.startsWith('warn the certificate is self-signed')));
  t.notMatch(first.logged.join('\n'), new RegExp(secret.trim()));
  const can = ['subscribe'] as const;
  const grant = { identity: null, room: 'r', name: null, can, hidden: false };
  const token = await first.tokens.issueJoinToken(grant, 60);
  await first.edge.close();
  const second = await startTestEdge(t, { environment });
  t.equal(second.certificatePin, first.certificatePin);
  t.equal((await postSession(second, { room: 'r', token })).status, 201, 'a token outlives a restart');
});

t.test('open mode is said loudly', async (t) => {
  const edge = await startTestEdge(t, { environment: { SALLYPORT_AUTH: 'open', SALLYPORT_SECRET: 'short' } });
  t.ok(edge.logged.some((line) => line.startsWith('warn OPEN MODE')));
  t.ok(edge.logged.some((line) => line.includes('shorter than 32 bytes')));
  t.equal((await postSession(edge, { room: 'r' })).status, 201);
  t.equal((await postSession(edge, { room: 'r', token: 'x' })).status, 401, 'a token that is given is still checked');
});

t.test('ports that are taken: one line that says what to do, and nothing stays open', async (t) => {
  const tcp = createTcp().listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  t.teardown(() => tcp.close());
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket('udp4');
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  t.teardown(() => udp.close());
  const before = handles();
  const dataDir = t.testdir();
  for (const [environment, message] of [
    [
      { SALLYPORT_PORT: String(port), SALLYPORT_UDP_PORT: '0' },
      /^the public TCP port, \d+ on 127.0.0.1, is taken .*SALLYPORT_PORT=/,
    ],
    [{ SALLYPORT_UDP_PORT: String(udp.address().port) }, /^the UDP port, .* is taken .*SALLYPORT_UDP_PORT=/],
    [
      { SALLYPORT_TURN_UDP_PORT: String(udp.address().port) },
      /^the UDP port of TURN, .* is taken .*SALLYPORT_TURN_UDP_PORT=\d+, or none by SALLYPORT_TURN_UDP_PORT=0$/,
    ],
    [{ SALLYPORT_ADMIN_PORT: String(port) }, /^the admin port, .* is taken .*SALLYPORT_ADMIN_PORT=/],
    [{ SALLYPORT_HOST: '192.0.2.1' }, /does not have that address: correct SALLYPORT_HOST/],
  ] as const) {
    await t.rejects(startTestEdge(t, { environment: { ...environment, SALLYPORT_DATA_DIR: dataDir } }), {
      name: 'StartError',
      message,
    });
  }
  t.ok((await settledHandles(before.length)).length <= before.length);
});

t.test('drain: nobody new, those inside go on, then it closes', async (t) => {
  const edge = await startTestEdge(t);
  const session = await openSession(edge);
  t.equal((await admin(edge, '/drain', 'POST')).status, 202);
  t.equal((await admin(edge, '/drain', 'POST')).status, 202);
  t.equal((await admin(edge, '/readyz')).status, 503);
  t.equal((await admin(edge, '/healthz')).status, 200);
  t.match(await postSession(edge, { room: 'standup' }), { status: 503, body: /"code":"draining"/ });
  const socket = await openWebSocket(edge.port, '/tunnel/v1/ws', tunnelProtocols(session.resumeToken));
  t.equal(socket.ws.readyState, socket.ws.OPEN, 'a session may come back');
  const left = await https(edge.port, {
    method: 'DELETE',
    path: `/v1/sessions/${session.sessionId}`,
    headers: { authorization: `Bearer ${session.resumeToken}` },
  });
  t.equal(left.status, 204);
  await edge.edge.closed;
});

t.test('drain ends at its deadline', async (t) => {
  const edge = await startTestEdge(t);
  await openSession(edge);
  await edge.edge.drain(10);
  await t.rejects(https(edge.port, { path: '/' }), { code: 'ECONNREFUSED' });
});

function handles(): readonly string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /Wrap|Server|Socket/i.test(name) && !/Pipe|TTY|Req/.test(name));
}

/** Handles once there are no more than so many, or those left after a long time: closing takes a turn or two. */
async function settledHandles(count: number): Promise<readonly string[]> {
  const until = performance.now() + 20_000;
  while (handles().length > count && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 1));
  return handles();
}

function iceServerOf({ iceServers: [server] }: OpenedSession): Credentials {
  if (server === undefined) throw new Error('no iceServers');
  return server;
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
