import { createServer as createTcp, type AddressInfo } from 'node:net';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { request as requestHttp } from 'node:http';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { closeCodes } from '../tunnel-protocol/index.ts';
import { https, openWebSocket } from './testing/https-client.ts';
import { openSession, postSession, startTestEdge, tunnelProtocols, type TestEdge } from './testing/test-edge.ts';

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

for (const engine of ['auto', 'node'] as const) {
  t.test(`an edge, engine ${engine}`, async (t) => {
    const before = handles();
    const edge = await startTestEdge(t, { environment: { SALLYPORT_ENGINE: engine } });
    t.equal(edge.udpPort, edge.port, 'TCP and UDP have the same number');
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

    const udp = createSocket('udp4');
    udp.send(Uint8Array.of(0xf0, 1), edge.udpPort, '127.0.0.1');
    udp.send(Uint8Array.of(0x80, 1), edge.udpPort, '127.0.0.1');
    udp.send(Uint8Array.of(0, 1), edge.udpPort, '127.0.0.1');
    let text = '';
    // The datagrams and the scrape are not ordered.
    for (let i = 0; i < 50 && !text.includes('sallyport_datagrams_total{rung="udp",direction="in"} 1'); i++) {
      text = (await admin(edge, '/metrics')).body;
    }
    for (const line of [
      'sallyport_sessions{rung="none"} 1',
      'sallyport_sessions{rung="websocket"} 0',
      'sallyport_directory_up 1',
      'sallyport_datagrams_total{rung="udp",direction="in"} 1',
      'sallyport_datagrams_dropped_total{rung="udp",reason="control-not-allowed"} 1',
      'sallyport_datagrams_dropped_total{rung="udp",reason="unknown-source"} 1',
      'sallyport_rung_attempts_total{rung="websocket",outcome="accepted"} 1',
      'sallyport_refused_total{reason="ice_malformed"} 1',
      'sallyport_sfu_packets_total{direction="in"} 0',
      'sallyport_sfu_events_total{event="sessions_opened"} 1',
    ]) {
      t.ok(text.includes(`${line}\n`), line);
    }
    t.match(text, /sallyport_event_loop_delay_seconds\{quantile="0.99"\} [0-9.e-]+\n/);
    t.notMatch(text, /127\.0\.0\.1|standup/, 'no label names anybody');

    const closed = socket.closed;
    await Promise.all([edge.edge.close(), edge.edge.close()]);
    await edge.edge.closed;
    t.match(await closed, { code: closeCodes.draining.wire });
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
    t.notMatch(edge.logged.join('\n'), new RegExp(session.resumeToken), 'no token in the log');
  });
}

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

/** Handles once there are no more than so many, or those left after many turns: closing takes a turn or two. */
async function settledHandles(count: number): Promise<readonly string[]> {
  for (let i = 0; i < 1000 && handles().length > count; i++) await new Promise((resolve) => setTimeout(resolve, 1));
  return handles();
}
