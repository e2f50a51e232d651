/** One suite, both engines; long because both pass the same list. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { problem, problemReply, type HttpReply } from '../problem.ts';
import { https, openWebSocket, webSocket } from '../testing/https-client.ts';
import { engineVariants, startTestPort, type TestPort } from '../testing/port-fixture.ts';
import { testCertificate } from '../testing/tls-fixture.ts';
import type { EngineSocket, HttpApplication, Reaction, RequestHead, SocketEvents, WebSocketRoute } from './index.ts';

class TestApplication implements HttpApplication {
  readonly events: string[] = [];
  readonly waiting: (() => void)[] = [];
  socket: EngineSocket | null = null;
  onRoute: () => void = () => undefined;
  readonly #idleTimeoutSeconds: number;

  constructor(idleTimeoutSeconds = 8) {
    this.#idleTimeoutSeconds = idleTimeoutSeconds;
  }

  onMessage: (bytes: Uint8Array, isBinary: boolean) => void = (bytes, isBinary) => {
    if (isBinary) this.socket?.send(bytes.slice());
    else this.socket?.close(4202, 'text');
  };

  get webSockets(): readonly WebSocketRoute[] {
    return [this.#socketRoute()];
  }

  #socketRoute(): WebSocketRoute {
    return {
      path: '/socket',
      maxMessageBytes: 65_536,
      idleTimeoutSeconds: this.#idleTimeoutSeconds,
      upgrade: async (head: RequestHead) => {
        await Promise.resolve();
        if (head.header('authorization') === 'throw') throw new Error('upgrade failed');
        if (head.header('authorization') !== 'yes') {
          return {
            accept: false,
            reply: problemReply(problem('token-missing', head.header('sec-websocket-protocol'))),
          } as const;
        }
        return { accept: true, protocol: 'sallyport.v1', open: (socket: EngineSocket) => this.#open(socket) } as const;
      },
    };
  }

  readonly refuse = (code: 'bad-request' | 'payload-too-large' | 'headers-too-large'): HttpReply => {
    this.note(`refused ${code}`);
    return problemReply(problem(code, 'refused'));
  };

  readonly failed = (error: unknown): HttpReply => {
    this.note(`failed ${(error as Error).message}`);
    return problemReply(problem('internal', 'failed'));
  };

  readonly route = (head: RequestHead): Reaction => {
    if (head.path === '/unroutable') throw new Error('route');
    this.onRoute();
    const text = (status: number, body: string): HttpReply => ({ status, headers: { 'x-test': 'a' }, body });
    const replies: Record<string, Reaction['handle']> = {
      '/sync': () => text(200, 'at once'),
      '/late': () => new Promise((resolve) => setImmediate(resolve, text(201, 'later'))),
      '/empty': () => text(204, ''),
      '/throw': () => {
        throw new Error('sync');
      },
      '/reject': () => Promise.reject(new Error('async')),
      '/never': () => {
        this.note('never');
        return new Promise((resolve) => {
          this.waiting.push(() => {
            resolve(text(200, 'too late'));
          });
        });
      },
    };
    const echo: Reaction['handle'] = (body) => {
      const { method, path, query, remoteAddress } = head;
      const request = {
        method,
        path,
        query,
        remoteAddress,
        header: head.header('x-multi'),
        absent: head.header('nope'),
      };
      return text(200, JSON.stringify({ ...request, body: Buffer.from(body).toString('latin1') }));
    };
    return { maxBodyBytes: 100_000, handle: replies[head.path] ?? echo };
  };

  note(event: string): void {
    this.events.push(event);
    for (const listener of this.#listeners.splice(0)) listener();
  }

  readonly #listeners: (() => void)[] = [];

  /** Waits for an event by its beginning. */
  async seen(start: string): Promise<string> {
    for (;;) {
      const found = this.events.find((event) => event.startsWith(start));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#listeners.push(resolve));
    }
  }

  closeAtOnce = false;

  #open(socket: EngineSocket): SocketEvents {
    this.socket = socket;
    if (this.closeAtOnce) socket.close(4200, 'unknown-session');
    this.note(`open ${socket.remoteAddress}`);
    return {
      message: (bytes, isBinary) => {
        this.onMessage(bytes, isBinary);
      },
      drain: () => {
        this.note('drain');
      },
      closed: (code, reason) => {
        this.note(`closed ${String(code)} ${reason}`);
      },
    };
  }
}

const files = await testCertificate(t.testdir());

for (const { name, engine, libc, skip } of await engineVariants()) {
  t.test(`engine ${name}`, { skip }, (t) => {
    const serve = async (t: Test): Promise<TestPort & { readonly application: TestApplication }> => {
      const application = new TestApplication();
      return { application, ...(await startTestPort(t, { engine, libc, files: [files], application })) };
    };

    t.test('requests and replies', async (t) => {
      const { port, application } = await serve(t);
      const echoed = await https(port, {
        method: 'POST',
        path: '/a%2fb/../c?q=1&r=%20',
        headers: { 'x-multi': ['1', '2'] },
        body: 'höher',
      });
      t.equal(echoed.headers['x-test'], 'a');
      t.same(JSON.parse(echoed.body), {
        method: 'POST',
        path: '/a%2fb/../c',
        query: 'q=1&r=%20',
        remoteAddress: '127.0.0.1',
        header: '1, 2',
        absent: '',
        body: Buffer.from('höher').toString('latin1'),
      });
      const large = Buffer.alloc(100_000, 120);
      const chunked = { 'transfer-encoding': 'chunked' };
      const { body } = await https(port, { method: 'POST', path: '/', headers: chunked, body: large });
      t.equal((JSON.parse(body) as { body: string }).body.length, 100_000);
      t.match(await https(port, { path: '/sync' }), { status: 200, body: 'at once' });
      t.match(await https(port, { path: '/late' }), { status: 201, body: 'later' });
      const empty = await https(port, { path: '/empty' });
      t.match(empty, { status: 204, body: '' });
      const head = await https(port, { method: 'HEAD', path: '/sync' });
      t.match(head, { status: 200, body: '', headers: { 'content-length': '7' } });
      t.match(await https(port, { path: '/throw' }), { status: 500 });
      t.match(await https(port, { path: '/reject' }), { status: 500 });
      t.match(await https(port, { path: '/unroutable' }), { status: 500 });
      t.same(application.events, ['failed sync', 'failed async', 'failed route']);
    });

    t.test('limits', async (t) => {
      const { port, application } = await serve(t);
      const oversized = Buffer.alloc(100_001);
      t.match(await https(port, { method: 'POST', path: '/', body: oversized }), { status: 413 });
      const tls = await tlsConnection(port);
      tls.write('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
      for (let i = 0; i < 26; i++) tls.write(`1000\r\n${'x'.repeat(4096)}\r\n`);
      t.match(await readAll(tls), /^HTTP\/1.1 413 /);
      t.same(application.events, ['refused payload-too-large', 'refused payload-too-large']);
      const huge = await tlsConnection(port);
      huge.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`);
      t.match(await readAll(huge), /^HTTP\/1.1 431 /);
    });

    t.test('a client that went away before the answer', async (t) => {
      const { port, application } = await serve(t);
      const tls = await tlsConnection(port);
      tls.write('GET /never HTTP/1.1\r\nhost: a\r\n\r\n');
      await application.seen('never');
      tls.destroy();
      await once(tls, 'close');
      // A round trip on another connection: by then the server knows.
      await https(port, { path: '/sync' });
      application.waiting[0]?.();
      t.match(await https(port, { path: '/sync' }), { status: 200 });
    });

    t.test('a client that resets the connection behind its request', async (t) => {
      const { port, application } = await serve(t);
      const request = 'GET /sync HTTP/1.1\r\nhost: a\r\n\r\n';
      for (const second of [request, upgradeRequest]) {
        const raw = connect(port, '127.0.0.1');
        raw.on('error', () => undefined);
        // Between two requests that came together, so that the system knows no peer any more at the second.
        application.onRoute = () => {
          raw.resetAndDestroy();
          application.onRoute = () => undefined;
        };
        raw.write(request + second);
        await once(raw, 'close');
        t.match(await https(port, { path: '/sync' }), { status: 200 });
      }
    });

    t.test('an upgrade is refused with a document', async (t) => {
      const { port } = await serve(t);
      const refused = await webSocket(port, '/socket', ['a', 'b']);
      t.match(refused, { status: 401, body: /"detail":"a, ?b"/ });
      t.match(await webSocket(port, '/socket', ['a'], { headers: { authorization: 'throw' } }), { status: 500 });
      t.match(await https(port, { path: '/socket' }), { status: 200 }, 'without upgrade it is a plain request');
      const key = { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' };
      t.match(await https(port, { path: '/socket', headers: key }), { status: 200 }, 'as where a proxy took it out');
    });

    t.test('lengths that contradict each other', async (t) => {
      const { port } = await serve(t);
      const socket = await tlsConnection(port);
      socket.write('POST /sync HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd');
      t.match(await readAll(socket), /^HTTP\/1.1 400 /);
    });

    t.test('messages both ways, and the end from either side', async (t) => {
      const { port, application } = await serve(t);
      const authorized = { headers: { authorization: 'yes' } };
      const socket = await openWebSocket(port, '/socket', ['sallyport.v1', 'bearer.x'], authorized);
      t.equal(socket.ws.protocol, 'sallyport.v1');
      t.equal(socket.ws.extensions, '');
      t.equal(application.events[0], 'open 127.0.0.1');
      for (const size of [1, 1200, 65_536]) {
        const message = Buffer.alloc(size, size & 255);
        socket.ws.send(message);
        t.ok((await socket.next()).equals(message), `${String(size)} bytes come back`);
      }
      const server = application.socket;
      server?.cork(() => {
        t.equal(server.send(Uint8Array.of(1)), true);
        t.equal(server.send(Uint8Array.of(2)), true);
      });
      t.same([...(await socket.next()), ...(await socket.next())], [1, 2]);
      socket.ws.send('text');
      t.match(await socket.closed, { code: 4202, reason: 'text' });
      t.equal(await application.seen('closed'), 'closed 4202 text');
      t.equal(server?.send(Uint8Array.of(1)), false, 'a closed socket takes nothing');
      t.equal(server?.bufferedBytes, 0);
      server?.close(4000, 'again');

      application.events.length = 0;
      const second = await openWebSocket(port, '/socket', ['sallyport.v1'], authorized);
      second.ws.close(4000, 'bye');
      t.equal(await application.seen('closed'), 'closed 4000 bye');

      application.events.length = 0;
      const third = await openWebSocket(port, '/socket', ['sallyport.v1'], authorized);
      third.ws.terminate();
      t.match(await application.seen('closed'), /^closed 1006/);
    });

    t.test('a socket that is closed as soon as it opens', async (t) => {
      const { port, application } = await serve(t);
      application.closeAtOnce = true;
      const socket = await openWebSocket(port, '/socket', ['sallyport.v1'], { headers: { authorization: 'yes' } });
      t.match(await socket.closed, { code: 4200, reason: 'unknown-session' });
      await application.seen('closed');
      t.equal(application.events.filter((event) => event.startsWith('closed')).length, 1);
    });

    t.test('an oversized message ends the connection, others go on', async (t) => {
      const { port, application } = await serve(t);
      const authorized = { headers: { authorization: 'yes' } };
      const other = await openWebSocket(port, '/socket', ['sallyport.v1'], authorized);
      const otherSocket = application.socket;
      const socket = await openWebSocket(port, '/socket', ['sallyport.v1'], authorized);
      socket.ws.send(Buffer.alloc(65_537));
      t.ok([1006, 1009].includes((await socket.closed).code));
      await application.seen('closed');
      otherSocket?.send(Uint8Array.of(7));
      t.same([...(await other.next())], [7]);
    });

    t.test('a reader that stops: the buffer is bounded, and drain tells when it empties', async (t) => {
      const { port, application } = await serve(t);
      const socket = await openWebSocket(port, '/socket', ['sallyport.v1'], { headers: { authorization: 'yes' } });
      const server = application.socket;
      socket.ws.pause();
      let sent = 0;
      const limit = 1000;
      // One message per turn of the loop: the kernel's buffers fill first.
      while (sent < limit && server?.send(new Uint8Array(65_536)) === true) {
        sent++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      t.ok(sent < limit, `refused after ${String(sent)} messages`);
      t.ok(server !== null && server.bufferedBytes > 65_536 && server.bufferedBytes < 1_000_000);
      socket.ws.resume();
      await application.seen('drain');
      for (let i = 0; i < sent; i++) t.equal((await socket.next()).length, 65_536);
    });

    t.test('TLS that is no HTTP, and HTTP that is none', async (t) => {
      const { port } = await serve(t);
      const tls = await tlsConnection(port);
      tls.write(Buffer.alloc(30_000, 0xf5));
      await readAll(tls);
      for (const request of ['GET nowhere HTTP/1.1\r\nhost: a\r\n\r\n', 'GET / HTTP/9.9\r\nhost: a\r\n\r\n']) {
        const plain = connect(port, '127.0.0.1');
        plain.on('error', () => undefined);
        plain.write(request);
        t.match(await readAll(plain), /^HTTP\/1\.1 [45]0/, request);
      }
      t.match(await https(port, { path: '/sync' }), { status: 200 });
    });

    t.test('close ends everything, twice is once', async (t) => {
      const { publicPort, port } = await serve(t);
      const socket = await openWebSocket(port, '/socket', ['sallyport.v1'], { headers: { authorization: 'yes' } });
      const idle = await tlsConnection(port);
      const ended = once(idle, 'close');
      await publicPort.close();
      await publicPort.close();
      await ended;
      t.ok((await socket.closed).code >= 1000);
      await t.rejects(https(port, { path: '/sync' }), { code: 'ECONNREFUSED' });
    });
    t.end();
  });
}

t.test('engine node pings the silent, and closes those that do not answer', async (t) => {
  // uWebSockets.js does this itself, with a resolution of four seconds.
  const application = new TestApplication(1);
  const { port } = await startTestPort(t, { engine: 'node', files: [files], application });
  const headers = { authorization: 'yes' };
  const dead = await openWebSocket(port, '/socket', ['sallyport.v1'], { headers, autoPong: false });
  await dead.closed;
  t.match(await application.seen('closed'), /^closed 1006/);
  const alive = await openWebSocket(port, '/socket', ['sallyport.v1'], { headers });
  for (let pings = 0; pings < 2; pings++) await once(alive.ws, 'ping');
  t.equal(alive.ws.readyState, alive.ws.OPEN);
});

const upgradeRequest = [
  ...['GET /socket HTTP/1.1', 'host: a', 'connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13'],
  ...['sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-protocol: sallyport.v1', '', ''],
].join('\r\n');

async function tlsConnection(port: number): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

/** What the server sends until it closes. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  if (!socket.destroyed) await once(socket, 'close');
  return text;
}
