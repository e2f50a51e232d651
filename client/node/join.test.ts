/** What `join()` does when it cannot join; calls that succeed are tried end to end in bench/e2e/. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { TunnelServer } from '../testing/tunnel-server.ts';
import { join } from './join.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(t: Test, handler: Handler): Promise<{ url: string; server: Server; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method ?? ''} ${request.url ?? ''}`);
    request.resume();
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, server, seen };
}

function sessionHandler(websocket: string): Handler {
  return (request, response) => {
    if (request.method === 'DELETE') {
      response.writeHead(204).end();
      return;
    }
    const session = { sessionId: 's1', resumeToken: 'r1', iceServers: [], tunnel: { websocket }, policy: {} };
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(session));
  };
}

t.test('options are checked before anything is sent', async (t) => {
  await t.rejects(join('http://127.0.0.1:1', { room: '' }), { code: 'bad-option', message: /room/ });
  await t.rejects(join('http://127.0.0.1:1', { room: 'r', timeoutMs: 0 }), { code: 'bad-option' });
  await t.rejects(join('http://127.0.0.1:1', { room: 'r', rungs: [] }), { code: 'rung-unavailable' });
  await t.rejects(join('http://127.0.0.1:1', { room: 'r', ca: 'x' }), { code: 'bad-option' });
  await t.rejects(join('edge', { room: 'r' }), { code: 'bad-url' });
});

t.test('an edge that is not there, or refuses', async (t) => {
  const gone = await serve(t, (_, response) => response.end());
  await new Promise((resolve) => gone.server.close(resolve));
  await t.rejects(join(gone.url, { room: 'r' }), { code: 'edge-unreachable' });
  const refusing = await serve(t, (_, response) => {
    response.writeHead(401, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ code: 'token-expired', detail: 'An hour ago.' }));
  });
  await t.rejects(join(refusing.url, { room: 'r', token: 'old' }), {
    code: 'token-expired',
    serverCode: 'token-expired',
  });
});

t.test('called off: before, during the request, during the WebSocket, during the offer', async (t) => {
  const reason = new Error('the user closed the window');
  await t.rejects(join('http://127.0.0.1:1', { room: 'r', signal: AbortSignal.abort(reason) }), {
    code: 'aborted',
    cause: reason,
  });

  const abort = new AbortController();
  const silent = await serve(t, () => {
    abort.abort(reason);
  });
  await t.rejects(join(silent.url, { room: 'r', signal: abort.signal }), { code: 'aborted', cause: reason });

  // A server that accepts the connection and never answers the upgrade.
  const opening = new AbortController();
  const deaf = createServer();
  deaf.on('upgrade', () => {
    opening.abort(reason);
  });
  await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    deaf.close();
  });
  const port = String((deaf.address() as AddressInfo).port);
  const edge = await serve(t, sessionHandler(`ws://127.0.0.1:${port}/`));
  await t.rejects(join(edge.url, { room: 'r', signal: opening.signal }), { code: 'aborted' });
  t.same(edge.seen, ['POST /v1/sessions', 'DELETE /v1/sessions/s1'], 'the edge is told');
  deaf.closeAllConnections();

  const offering = new AbortController();
  const tunnel = new TunnelServer({
    reply: () => {
      offering.abort(reason);
      return null;
    },
  });
  const other = await serve(t, sessionHandler(await tunnel.listen()));
  t.teardown(() => tunnel.close());
  await t.rejects(join(other.url, { room: 'r', signal: offering.signal }), { code: 'aborted' });
});

t.test('time-outs say how far it came', async (t) => {
  const silent = await serve(t, () => undefined);
  await t.rejects(join(silent.url, { room: 'r', timeoutMs: 50 }), {
    code: 'edge-unreachable',
    message: /took too long/,
  });
  const tunnel = new TunnelServer();
  t.teardown(() => tunnel.close());
  const edge = await serve(t, sessionHandler(await tunnel.listen()));
  await t.rejects(join(edge.url, { room: 'r', timeoutMs: 1500 }), { code: 'no-reply' });
});

t.test('a server that answers nonsense', async (t) => {
  const participant = { id: 'p', identity: 'i', name: 'n', publications: [], status: {} };
  const tunnel = new TunnelServer({
    reply: ({ type, id }) =>
      type === 'join'
        ? { type: 'reply', id, ok: true, body: { of: 'join', self: participant, participants: [] } }
        : { type: 'reply', id, ok: true, body: { of: 'offer', sdp: 'v=0\r\n' } },
  });
  t.teardown(() => tunnel.close());
  const edge = await serve(t, sessionHandler(await tunnel.listen()));
  await t.rejects(join(edge.url, { room: 'r' }), { code: 'bad-answer' });
  t.equal(tunnel.connections, 1);
});
