/** What the real proxies of bench/e2e/proxies.test.ts never do: nonsense, silence, TLS to the proxy itself. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import t from 'tap';
import type { Test } from 'tap';
import { selfSigned } from '../testing/certificates.ts';
import { openEdgeSocket } from './edge-socket.ts';
import { proxyRoute } from './proxy-route.ts';
import { explainConnectionError } from './tls-trust.ts';
import type { TlsTrust } from './tls-trust.ts';

async function serve(t: Test, server: Server, answer: (socket: Socket, request: string) => void): Promise<number> {
  const sockets = new Set<Socket>();
  server.on(server.listenerCount('secureConnection') > 0 ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let request = '';
    const take = (chunk: Buffer): void => {
      request += chunk.toString('latin1');
      if (!request.includes('\r\n\r\n')) return;
      socket.off('data', take);
      answer(socket, request);
    };
    socket.on('data', take);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Options {
  readonly host?: string;
  readonly trust?: TlsTrust;
}

function open(proxy: string, { host = 'edge.example', trust = { rejectUnauthorized: true } }: Options = {}) {
  const route = proxyRoute(proxy, {});
  return new Promise<Socket | Error>((resolve) => {
    openEdgeSocket({ host, port: 443, tls: null, proxy: { route, trust, secure: true } }, (result) => {
      resolve(result instanceof Error ? explainConnectionError(result) : result);
    });
  });
}

t.test('answers that are no tunnel', async (t) => {
  const cases: readonly [string | null, string, RegExp][] = [
    [
      'HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n',
      'captive-portal',
      /302 Found, to http:\/\/portal/,
    ],
    ['HTTP/1.1 511 \r\n\r\n', 'captive-portal', /HTTP 511/],
    [
      'HTTP/1.1 502 Bad\tGateway\r\nContent-Length: 5\r\n\r\nwrong',
      'proxy-refused',
      /CONNECT edge\.example:443 at .* 502 Bad/,
    ],
    ['HTTP/1.1 407 \r\nProxy-Authenticate: Negotiate, NTLM\r\n\r\n', 'proxy-auth-required', /Negotiate, NTLM/],
    ['HTTP/1.1 407 \r\n\r\n', 'proxy-auth-required', /no scheme at all/],
    ['SSH-2.0-OpenSSH_9.2p1 Debian\r\n', 'proxy-unreachable', /Parse Error/],
    [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`, 'proxy-unreachable', /Parse Error/],
    [null, 'proxy-unreachable', /127\.0\.0\.1/],
  ];
  for (const [answer, code, message] of cases) {
    const port = await serve(t, createServer(), (socket) => {
      if (answer === null) socket.destroy();
      else socket.write(answer, 'latin1');
    });
    t.match(await open(`http://ada:x@127.0.0.1:${String(port)}`), { code, message }, answer?.slice(0, 30) ?? 'cut off');
  }
});

t.test('what comes with the answer is kept, and IPv6 is written as in URLs', async (t) => {
  const port = await serve(t, createServer(), (socket, request) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n${request.split('\r\n')[0] ?? ''}`);
    socket.end();
  });
  const socket = (await open(`http://127.0.0.1:${String(port)}`, { host: '2001:db8::1' })) as Socket;
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  t.equal(text, 'CONNECT [2001:db8::1]:443 HTTP/1.1');
});

t.test('a proxy behind TLS', async (t) => {
  const identity = await selfSigned();
  const port = await serve(
    t,
    createTlsServer(identity).on('secureConnection', () => undefined),
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nhello');
    },
  );
  const url = `https://127.0.0.1:${String(port)}`;
  t.match(await open(url), { code: 'certificate-untrusted', message: /the proxy, .*issued by/ });
  const socket = (await open(url, { trust: { rejectUnauthorized: false } })) as Socket;
  t.equal(String((await once(socket, 'data'))[0]), 'hello');
  socket.destroy();
});

t.test('called off at any moment: nothing stays open', async (t) => {
  const server = createServer();
  const port = await serve(t, server, () => undefined);
  const route = proxyRoute(`http://127.0.0.1:${String(port)}`, {});
  const target = { host: 'h', port: 1, tls: null, proxy: { route, trust: { rejectUnauthorized: true }, secure: true } };
  const never = (): void => {
    t.fail('nothing is told after it was called off');
  };
  openEdgeSocket(target, never)();
  const cancel = openEdgeSocket(target, never);
  const [accepted] = (await once(server, 'connection')) as [Socket];
  cancel();
  await once(accepted, 'close');
  t.pass('the connection to the proxy is closed');
  // The listener is still there.
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
});
