import { createHmac } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { SignJWT } from 'jose';
import type { JoinGrant } from './auth.ts';
import { https, type TestReply } from './testing/https-client.ts';
import { openSession, postSession, startTestEdge, testSecret, type TestEdge } from './testing/test-edge.ts';

/** What would leave the host's place in a URL, or be another host than it seems. */
const hostileHosts = [
  'a b',
  'a"evil',
  'evil.example/x',
  'evil.example?x',
  'evil.example#x',
  'a:443@evil.example',
  'a@evil.example',
  'evil.example:443:443',
  'evil.example:0',
  'evil.example:99999',
  'evil.example?transport=udp',
  'evil.example,a',
  '[evil]',
  '[::1%25evil]',
  '0x7f.1',
  '2130706433',
  '010.0.0.1',
  'evil..example',
  '%65vil',
];

const everything = ['publish', 'subscribe', 'data', 'admin'] as const;

function token(edge: TestEdge, grant: Partial<JoinGrant>, ttlSeconds = 60): Promise<string> {
  const defaults: JoinGrant = { identity: null, room: 'standup', name: null, can: everything, hidden: false };
  return edge.tokens.issueJoinToken({ ...defaults, ...grant }, ttlSeconds);
}

function bearer(value: string): { readonly authorization: string } {
  return { authorization: `Bearer ${value}` };
}

/** The code of a problem document; throws if it is none. */
function code(reply: TestReply): string {
  const body = JSON.parse(reply.body) as { code: string; status: number; title: string; detail: string };
  const whole = /[.?]$/.test(body.title) && /[.?]$/.test(body.detail) && body.status === reply.status;
  if (!whole || reply.headers['content-type'] !== 'application/problem+json') throw new Error(reply.body);
  return body.code;
}

t.test('sessions', async (t) => {
  const edge = await startTestEdge(t, { limits: { maxParticipantsPerRoom: 3 } });

  t.test('are opened with a token', async (t) => {
    const reply = await postSession(edge, { room: 'standup', token: await token(edge, {}), name: 'Ada' });
    t.equal(reply.status, 201);
    t.equal(reply.headers['cache-control'], 'no-store');
    const body = JSON.parse(reply.body) as Record<string, unknown>;
    t.match(body, {
      sessionId: /^[\w-]{22}$/,
      resumeToken: String,
      iceServers: [{ urls: [/^turn:/, /^turns:/], username: String, credential: String }],
      tunnel: {
        websocket: /^wss:.*\/tunnel\/v1\/ws$/,
        httpStream: /^https:.*\/tunnel\/v1\/stream$/,
        longPoll: /^https:.*\/tunnel\/v1\/poll$/,
      },
      policy: { sessionGraceMs: 30_000 },
    });
  });

  t.test('are refused with a reason', async (t) => {
    const expired = await token(edge, {}, -60);
    const foreign = await new SignJWT({ room: 'standup', can: ['publish'] })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(testSecret.toUpperCase()));
    const good = await token(edge, {});
    for (const [body, expected] of [
      [{ room: 'standup' }, 'token-missing'],
      [{ room: 'standup', token: '' }, 'token-missing'],
      [{ room: 'standup', token: 'nonsense' }, 'token-invalid'],
      [{ room: 'standup', token: foreign }, 'token-invalid'],
      [{ room: 'standup', token: expired }, 'token-expired'],
      [{ room: 'other', token: good }, 'room-mismatch'],
      [{ room: 'standup', token: await token(edge, { can: ['admin'] }) }, 'not-permitted'],
      [{ token: good }, 'bad-request'],
      [{ room: '', token: good }, 'bad-request'],
      [{ room: '*', token: good }, 'bad-request'],
      [{ room: 'x'.repeat(65), token: good }, 'bad-request'],
      [{ room: 7, token: good }, 'bad-request'],
      [{ room: 'standup', token: 7 }, 'bad-request'],
      [{ room: 'standup', token: good, name: '\u0007' }, 'bad-request'],
      [{ room: 'standup', token: good, client: undefined }, 'bad-request'],
      [{ room: 'standup', token: good, client: { kind: 'x' } }, 'bad-request'],
    ] as const) {
      t.equal(code(await postSession(edge, body)), expected, `${JSON.stringify(body).slice(0, 60)}: ${expected}`);
    }
    const post = (body: string | Buffer, headers = {}): Promise<TestReply> =>
      https(edge.port, { method: 'POST', path: '/v1/sessions', body, headers });
    for (const body of ['', '{', '[]', 'null', '"a"', Buffer.from([0x7b, 0xff, 0x7d])]) {
      t.equal(code(await post(body)), 'bad-request', JSON.stringify(body));
    }
    t.match(await post(Buffer.alloc(16_385, 32)), { status: 413, body: /"payload-too-large"/ });
    for (const host of hostileHosts) {
      const reply = await postSession(edge, { room: 'standup', token: good }, { host });
      t.ok(reply.status === 400 || reply.status === 505, `Host ${JSON.stringify(host)}: ${String(reply.status)}`);
      t.notMatch(reply.body, /evil/, 'and nothing of it is repeated');
    }
  });

  t.test('a full room', async (t) => {
    for (let i = 0; i < 3; i++) await openSession(edge, 'full');
    t.equal(code(await postSession(edge, { room: 'full', token: await token(edge, { room: 'full' }) })), 'room-full');
  });

  t.test('end by their resume token alone', async (t) => {
    const one = await openSession(edge, 'ending');
    const other = await openSession(edge, 'ending');
    const end = (id: string, headers = {}): Promise<TestReply> =>
      https(edge.port, { method: 'DELETE', path: `/v1/sessions/${id}`, headers });
    t.equal(code(await end(one.sessionId)), 'token-missing');
    t.equal(code(await end(one.sessionId, bearer('nonsense'))), 'token-invalid');
    t.equal(code(await end(one.sessionId, bearer(await token(edge, {})))), 'token-invalid');
    t.equal(code(await end(one.sessionId, bearer(other.resumeToken))), 'not-permitted');
    t.equal((await end(one.sessionId, bearer(one.resumeToken))).status, 204);
    t.equal(code(await end(one.sessionId, bearer(one.resumeToken))), 'session-unknown');
  });

  t.test('other paths and methods', async (t) => {
    const get = (path: string, method = 'GET'): Promise<TestReply> => https(edge.port, { path, method });
    t.equal(code(await get('/v1/nothing')), 'not-found');
    t.equal(code(await get('/v1/rooms/%zz')), 'not-found');
    const wrong = await get('/v1/sessions', 'GET');
    t.equal(code(wrong), 'method-not-allowed');
    t.equal(wrong.headers['allow'], 'POST, OPTIONS');
    t.equal(code(await get('/tunnel/v1/ws')), 'upgrade-required');
    t.equal(code(await get('/', 'POST')), 'method-not-allowed');
    t.equal(code(await get('/v1/sessions', 'PROPFIND')), 'method-not-allowed');
  });
});

t.test('rooms, for administrators', async (t) => {
  const edge = await startTestEdge(t);
  await openSession(edge, 'standup');
  await openSession(edge, 'r/ü');
  const call = async (path: string, grant: Partial<JoinGrant>, method = 'GET', body = ''): Promise<TestReply> =>
    https(edge.port, { path, method, body, headers: bearer(await token(edge, grant)) });

  t.equal(code(await https(edge.port, { path: '/v1/rooms' })), 'token-missing');
  t.equal(code(await call('/v1/rooms', { can: ['publish', 'subscribe', 'data'] })), 'not-permitted');
  const rooms = async (room: string): Promise<readonly string[]> => {
    const body = JSON.parse((await call('/v1/rooms', { room, can: ['admin'] })).body) as { rooms: { room: string }[] };
    return body.rooms.map(({ room }) => room).sort();
  };
  t.same(await rooms('standup'), ['standup']);
  t.same(await rooms('*'), ['r/ü', 'standup']);
  t.match(JSON.parse((await call('/v1/rooms/r%2F%C3%BC', { room: 'r/ü' })).body), { room: 'r/ü', participants: [] });
  t.equal(code(await call('/v1/rooms/other', {})), 'not-permitted');
  t.equal(code(await call('/v1/rooms/other', { room: '*' })), 'not-found');
  const act = (action: string, body?: string): Promise<TestReply> =>
    call(`/v1/rooms/standup/participants/nobody/${action}`, {}, 'POST', body);
  t.equal(code(await act('kick')), 'not-found');
  t.equal(code(await act('mute')), 'not-found');
  t.equal(code(await act('mute', '{"source":"smell"}')), 'bad-request');
  t.equal(code(await act('mute', '{')), 'bad-request');
  t.equal(code(await act('dance')), 'not-found');
});

t.test('web origins', async (t) => {
  const edge = await startTestEdge(t, { environment: { SALLYPORT_ORIGINS: 'https://app.example' } });
  const good = await token(edge, {});
  const post = (origin: string): Promise<TestReply> => postSession(edge, { room: 'standup', token: good }, { origin });
  const own = await post(`https://127.0.0.1:${String(edge.port)}`);
  t.equal(own.status, 201);
  t.equal(own.headers['access-control-allow-origin'], undefined);
  const listed = await post('https://app.example');
  t.equal(listed.status, 201);
  t.equal(listed.headers['access-control-allow-origin'], 'https://app.example');
  for (const origin of [
    'https://evil.example',
    'http://app.example',
    'https://app.example.evil',
    'null',
    `http://127.0.0.1:${String(edge.port)}`,
  ]) {
    const refused = await post(origin);
    t.equal(code(refused), 'origin-not-allowed', origin);
    t.equal(refused.headers['access-control-allow-origin'], undefined);
  }
  const preflight = await https(edge.port, {
    method: 'OPTIONS',
    path: '/v1/sessions/abc',
    headers: { origin: 'https://app.example', 'access-control-request-method': 'DELETE' },
  });
  t.match(preflight, {
    status: 204,
    headers: {
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-methods': /DELETE/,
      'access-control-allow-headers': 'authorization, content-type',
    },
  });
  t.equal(listed.headers['vary'], 'origin');
});

t.test('too many sessions from one address', async (t) => {
  const edge = await startTestEdge(t, { limits: { sessions: { burst: 3, perSecond: 0 } } });
  for (let i = 0; i < 3; i++) t.equal((await postSession(edge, { room: 'r' })).status, 401);
  const limited = await postSession(edge, { room: 'r' });
  t.equal(code(limited), 'too-many-requests');
  t.equal(limited.headers['retry-after'], '2');
});

t.test('the places where clients find TURN', (t) => {
  const joined = async (edge: TestEdge, host?: string): Promise<Joined> => {
    const body = { room: 'standup', token: await token(edge, {}) };
    const reply = await postSession(edge, body, host === undefined ? {} : { host });
    return JSON.parse(reply.body) as Joined;
  };

  t.test("are the request's Host, with credentials for a day", async (t) => {
    const edge = await startTestEdge(t);
    const port = String(edge.port);
    const { sessionId, iceServers } = await joined(edge);
    t.equal(iceServers.length, 1);
    const [{ urls, username, credential }] = iceServers;
    t.same(urls, [`turn:127.0.0.1:${port}?transport=tcp`, `turns:127.0.0.1:${port}?transport=tcp`]);
    const [expiry, session] = username.split(':');
    t.equal(session, sessionId);
    t.ok(Math.abs(Number(expiry) - Date.now() / 1000 - 86_400) < 60);
    t.equal(credential, createHmac('sha1', testSecret).update(username).digest('base64'));

    t.same((await joined(edge, 'Edge.Example')).iceServers[0].urls, [
      'turn:edge.example:443?transport=tcp',
      'turns:edge.example:443?transport=tcp',
    ]);
    const ipv6 = await joined(edge, '[2001:DB8::1]:8443');
    t.same(ipv6.iceServers[0].urls, [
      'turn:[2001:db8::1]:8443?transport=tcp',
      'turns:[2001:db8::1]:8443?transport=tcp',
    ]);
    t.equal(ipv6.tunnel.websocket, 'wss://[2001:db8::1]:8443/tunnel/v1/ws');
  });

  t.test('never have TURN over UDP where media is', async (t) => {
    for (const publicHost of ['', 'edge.example:443']) {
      const edge = await startTestEdge(t, {
        environment: { SALLYPORT_TURN_UDP_PORT: String(await freeUdpPort()), SALLYPORT_PUBLIC_HOST: publicHost },
      });
      const [{ urls }] = (await joined(edge)).iceServers;
      t.equal(urls.length, 3);
      const udp = urls.filter((url) => !url.endsWith('?transport=tcp'));
      t.match(udp, [/^turn:.*\?transport=udp$/]);
      t.equal(Number(/:(\d+)\?/.exec(udp[0] ?? '')?.[1]), edge.turnUdpPort);
      t.not(edge.turnUdpPort, edge.udpPort);
      await edge.edge.close();
    }
  });
  t.end();
});

t.test('a configured public host stands in URLs whatever the request says', async (t) => {
  for (const [publicHost, authority, turn] of [
    ['Edge.Example:443', 'edge.example', 'edge.example:443'],
    ['edge.example:4443', 'edge.example:4443', 'edge.example:4443'],
    ['2001:db8::1', '[2001:db8::1]:PORT', '[2001:db8::1]:PORT'],
  ] as const) {
    const edge = await startTestEdge(t, { environment: { SALLYPORT_PUBLIC_HOST: publicHost } });
    const reply = await postSession(edge, { room: 'standup', token: await token(edge, {}) }, { host: 'evil.example' });
    const expected = (text: string): string => text.replace('PORT', String(edge.port));
    t.match(JSON.parse(reply.body), {
      tunnel: { websocket: `wss://${expected(authority)}/tunnel/v1/ws` },
      iceServers: [{ urls: [`turn:${expected(turn)}?transport=tcp`, `turns:${expected(turn)}?transport=tcp`] }],
    });
  }
});

interface Joined {
  readonly sessionId: string;
  readonly iceServers: readonly [
    { readonly urls: readonly string[]; readonly username: string; readonly credential: string },
  ];
  readonly tunnel: { readonly websocket: string };
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}
