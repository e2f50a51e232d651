import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createSecureServer } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import t from 'tap';
import type { Test } from 'tap';
import { selfSigned } from '../testing/certificates.ts';
import { createEdgeHttp } from './node-fetch.ts';
import type { EdgeFetchInit, EdgeHttp } from './node-fetch.ts';

type Answer = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

interface TestServer {
  readonly sessions: Set<ServerHttp2Session>;
  readonly http: EdgeHttp;
  readonly url: string;
  /** Connections so far. */
  readonly connections: () => number;
}

async function serve(t: Test, alpn: 'h2' | 'http/1.1', answer: Answer): Promise<TestServer> {
  const identity = await selfSigned();
  const server: Server =
    alpn === 'h2'
      ? createSecureServer(identity, answer)
      : createHttpsServer(identity, answer as unknown as RequestListener);
  const sessions = new Set<ServerHttp2Session>();
  let connections = 0;
  server.on('secureConnection', (socket: TLSSocket) => {
    connections += 1;
    t.teardown(() => socket.destroy());
  });
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const http = createEdgeHttp({ rejectUnauthorized: false });
  t.teardown(() => {
    // Not waited for: some answers never end.
    void http.close();
  });
  const url = `https://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return { sessions, http, url, connections: () => connections };
}

function post(body?: EdgeFetchInit['body'], signal?: AbortSignal): EdgeFetchInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    ...(body === undefined ? {} : { body, duplex: 'half' }),
    ...(signal === undefined ? {} : { signal }),
  };
}

const get: EdgeFetchInit = { method: 'GET', headers: {} };

async function textOf(body: ReadableStream<Uint8Array> | null): Promise<string> {
  return new Response(body).text();
}

/** `/endless` streams for ever and says hello at once; everything else is an echo. */
const echo: Answer = (request, response) => {
  if (request.url === '/endless') {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    response.write('hello');
    return;
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'x-method': request.method });
  request.pipe(response);
};

for (const alpn of ['h2', 'http/1.1'] as const) {
  t.test(`${alpn}: an answer that never ends, and requests beside it`, async (t) => {
    const { http, url, connections } = await serve(t, alpn, echo);
    const abort = new AbortController();
    const endless = await http.fetch(`${url}/endless`, { ...get, signal: abort.signal });
    t.equal(http.isHttp2(), alpn === 'h2');
    const reader = endless.body?.getReader();
    t.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'hello');
    for (const body of ['text', Buffer.from('bytes'), Buffer.alloc(300_000, 'x')]) {
      const response = await http.fetch(`${url}/echo`, post(body));
      t.equal(response.status, 200);
      t.equal(response.headers.get('X-Method'), 'POST');
      t.equal(response.headers.get('absent'), null);
      t.equal(await textOf(response.body), body.toString());
    }
    // undici takes one more when a request begins before it has noticed the end of the one before.
    t.ok(alpn === 'h2' ? connections() === 1 : connections() <= 3);

    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const streaming = http.fetch(`${url}/echo`, post(readable));
    await writer.write(Buffer.from('one'));
    const echoed = (await streaming).body?.getReader();
    t.equal(Buffer.from((await echoed?.read())?.value ?? []).toString(), 'one', 'before the request has ended');
    await writer.write(Buffer.from('two'));
    t.equal(Buffer.from((await echoed?.read())?.value ?? []).toString(), 'two');
    await writer.close();
    t.equal((await echoed?.read())?.done, true);

    abort.abort(new Error('enough'));
    await t.rejects(Promise.resolve(reader?.read()), { message: 'enough' });
  });

  t.test(`${alpn}: called off, cut, and not JSON`, async (t) => {
    const { http, url, sessions } = await serve(t, alpn, (request, response) => {
      if (request.url === '/json') response.end('{"a":1}');
      else if (request.url === '/text') response.end('a');
      else if (request.url === '/cut') {
        response.writeHead(200, { 'content-length': '10' });
        response.write('a', () => {
          request.socket.destroySoon();
        });
      }
    });
    await t.rejects(http.fetch(`${url}/never`, { ...get, signal: AbortSignal.abort(new Error('before')) }), {
      message: 'before',
    });
    const abort = new AbortController();
    const waiting = http.fetch(`${url}/never`, { ...get, signal: abort.signal });
    setImmediate(() => {
      abort.abort(new Error('meanwhile'));
    });
    await t.rejects(waiting, { message: 'meanwhile' });
    t.same(await (await http.fetch(`${url}/json`, get)).json(), { a: 1 });
    await t.rejects((await http.fetch(`${url}/text`, get)).json());
    for (const session of sessions) session.destroy();
    t.same(await (await http.fetch(`${url}/json`, get)).json(), { a: 1 }, 'on another connection');
    if (alpn === 'http/1.1') await t.rejects(textOf((await http.fetch(`${url}/cut`, get)).body));
  });
}

t.test('h2: a server that closes answers what it has, and is connected to again', async (t) => {
  let answer = (): void => undefined;
  const { http, url, sessions, connections } = await serve(t, 'h2', (request, response) => {
    const respond = (): void => {
      response.end('done');
    };
    if (request.url === '/slow') answer = respond;
    else respond();
  });
  await textOf((await http.fetch(`${url}/`, get)).body);
  const slow = http.fetch(`${url}/slow`, get);
  await textOf((await http.fetch(`${url}/`, get)).body);
  const [session] = sessions;
  session?.close();
  const again = await Promise.all(['/1', '/2', '/3'].map((path) => http.fetch(url + path, get)));
  t.same(await Promise.all(again.map(({ body }) => textOf(body))), ['done', 'done', 'done']);
  answer();
  t.equal(await textOf((await slow).body), 'done');
  t.equal(connections(), 2);
});

t.test('h2: a connection that has died without a word is not used again', async (t) => {
  const { http, url } = await serve(t, 'h2', echo);
  const target = Number(new URL(url).port);
  const relayed: Socket[] = [];
  const relay = createTcpServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => undefined);
    relayed.push(near, far);
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.teardown(() => {
    for (const socket of relayed) socket.destroy();
    relay.close();
  });
  const through = `https://127.0.0.1:${String((relay.address() as AddressInfo).port)}`;
  const { body } = await http.fetch(`${through}/endless`, get);
  const reader = body?.getReader();
  await reader?.read();
  for (const socket of relayed) socket.unpipe().pause();
  await t.rejects(http.fetch(`${through}/`, { ...get, signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' });
  await t.rejects(Promise.resolve(reader?.read()), { message: /does not answer/ });
  t.equal((await http.fetch(`${through}/`, post('x'))).status, 200);
});

t.test('h2: a reader that stops holds the server back', async (t) => {
  let sent = 0;
  const { http, url } = await serve(t, 'h2', (_, response) => {
    const chunk = Buffer.alloc(65_536);
    const more = (): void => {
      while (sent < 32_000_000) {
        sent += chunk.length;
        if (response.write(chunk)) continue;
        response.once('drain', more);
        return;
      }
      response.end();
    };
    more();
  });
  const { body } = await http.fetch(url, get);
  let received = 0;
  let sentAtFirst = 0;
  for await (const chunk of body ?? []) {
    if (received === 0) {
      // Long enough for loopback to fill every window.
      for (let before = -1; before !== sent;) {
        before = sent;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      sentAtFirst = sent;
    }
    received += chunk.length;
  }
  t.ok(sentAtFirst < 4_000_000, `${String(sentAtFirst)} bytes`);
  t.equal(received, sent);
});

t.test('answers that no edge gives', async (t) => {
  const server = createServer((request, response) => {
    const status = Number(request.url?.slice(1, 4));
    const location = request.url?.slice(5);
    response.writeHead(status, {
      'content-type': status === 204 ? 'text/plain' : 'text/html; charset=utf-8',
      ...(location === '' ? {} : { location: decodeURIComponent(location ?? '') }),
    });
    response.end(status === 204 ? undefined : '<html>sign in</html>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const http = createEdgeHttp({ rejectUnauthorized: true });
  t.teardown(async () => {
    await http.close();
    server.close();
  });
  const code = (path: string): Promise<string> =>
    http.fetch(url + path, post('{}')).then(
      ({ status }) => String(status),
      (error: unknown) => (error as { code: string }).code,
    );
  t.equal(await code('/200/'), 'captive-portal');
  t.equal(await code('/511/'), 'captive-portal');
  t.equal(await code(`/302/${encodeURIComponent('http://portal.example/?a=1')}`), 'captive-portal');
  t.equal(await code(`/307/${encodeURIComponent('http://[')}`), 'captive-portal');
  t.equal(await code('/301/elsewhere'), 'edge-not-sallyport', 'to the same host');
  t.equal(await code('/204/'), '204');
  t.equal(await code('/502/'), '502', 'a server in front of the edge, perhaps');
  t.equal(await code('/404/'), '404');
});
