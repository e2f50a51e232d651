import t from 'tap';
import { ClientError } from '../errors.ts';
import { createSession, deleteSession, edgeUrl } from './session-request.ts';
import type { FetchInit, FetchLike } from './session-request.ts';

const client = { kind: 'node', version: '1' } as const;
const good = {
  sessionId: 's1',
  resumeToken: 'r1',
  iceServers: [{ urls: 'turn:x' }, { urls: 7 }, null],
  tunnel: { websocket: '/tunnel/v1/ws', httpStream: '/tunnel/v1/stream', longPoll: 'ftp://x/' },
  policy: { sessionGraceMs: 1234 },
};

function answering(status: number, body: unknown, calls: { url: string; init: FetchInit }[] = []): FetchLike {
  return (url, init) => {
    calls.push({ url, init });
    return Promise.resolve({
      status,
      json: () => (body instanceof Error ? Promise.reject(body) : Promise.resolve(body)),
    });
  };
}

t.test('what is sent and what comes back', async (t) => {
  const calls: { url: string; init: FetchInit }[] = [];
  const fetchLike = answering(201, good, calls);
  const session = await createSession('https://edge.example', { room: 'r', token: 't', name: 'n', client }, fetchLike);
  t.strictSame(session, {
    sessionId: 's1',
    resumeToken: 'r1',
    iceServers: [{ urls: 'turn:x' }],
    websocketUrl: 'wss://edge.example/tunnel/v1/ws',
    audioUrl: null,
    httpStreamUrl: 'https://edge.example/tunnel/v1/stream',
    longPollUrl: null,
    edges: [],
    policy: { sessionGraceMs: 1234 },
  });
  t.equal(calls[0]?.url, 'https://edge.example/v1/sessions');
  t.same(JSON.parse(calls[0]?.init.body ?? ''), { room: 'r', token: 't', name: 'n', client });
  await deleteSession('https://edge.example/', session, fetchLike);
  t.match(calls[1], {
    url: 'https://edge.example/v1/sessions/s1',
    init: { method: 'DELETE', headers: { authorization: 'Bearer r1' } },
  });
});

t.test('other edges are those that the answer names, and nothing else', async (t) => {
  const edges = ['https://b.example:8443', 'http://c.example', 7, 'not a URL'];
  const session = await createSession(
    'https://edge.example',
    { room: 'r', client },
    answering(201, { ...good, edges }),
  );
  t.same(session.edges, ['https://b.example:8443']);
});

t.test('addresses', (t) => {
  t.equal(edgeUrl('http://a:8/prefix?x#y', 'v1/sessions'), 'http://a:8/prefix/v1/sessions');
  t.throws(() => edgeUrl('edge.example', 'x'), { code: 'bad-url' });
  t.throws(() => edgeUrl('ftp://edge.example', 'x'), { code: 'bad-url' });
  t.end();
});

t.test('refusals by problem document', async (t) => {
  const refusal = (status: number, body: unknown): Promise<unknown> =>
    createSession('https://e', { room: 'r', client }, answering(status, body)).catch((error: unknown) => error);
  for (const [serverCode, code] of [
    ['token-missing', 'token-missing'],
    ['token-invalid', 'token-invalid'],
    ['token-expired', 'token-expired'],
    ['room-mismatch', 'token-wrong-room'],
    ['room-full', 'room-full'],
    ['draining', 'edge-draining'],
    ['bad-request', 'edge-refused'],
  ]) {
    t.match(await refusal(400, { code: serverCode, detail: 'Why.\u001b[31m' }), {
      code,
      serverCode,
      message: /\(Why\.\?\[31m\)$/,
    });
  }
  t.match(await refusal(404, new Error('not JSON')), { code: 'edge-not-sallyport', message: /HTTP 404/ });
  t.match(await refusal(502, '<html>'), { code: 'edge-refused' });
  t.match(await refusal(201, '<html>'), { code: 'edge-not-sallyport' });
  t.match(await refusal(201, { ...good, resumeToken: 1 }), { code: 'bad-answer' });
  t.match(await refusal(201, { ...good, tunnel: {} }), { code: 'bad-answer' });
  t.match(await refusal(201, { ...good, tunnel: { websocket: 'http://[' } }), { code: 'bad-answer' });
  t.match(await refusal(201, { ...good, tunnel: { websocket: 'ftp://x/' } }), { code: 'bad-answer' });
});

t.test('no answer', async (t) => {
  const failing: FetchLike = () => Promise.reject(new Error('ECONNREFUSED'));
  await t.rejects(createSession('https://e', { room: 'r', client }, failing), { code: 'edge-unreachable' });
  const explain = (): ClientError => new ClientError('certificate-expired');
  await t.rejects(createSession('https://e', { room: 'r', client }, failing, explain), { code: 'certificate-expired' });
  const signal = AbortSignal.abort('stop');
  await t.rejects(createSession('https://e', { room: 'r', client, signal }, failing), {
    code: 'aborted',
    cause: 'stop',
  });
});
