import { createServer } from 'node:https';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:net';
import t from 'tap';
import { createSession } from '../control/index.ts';
import type { TunnelClose } from '../control/index.ts';
import { selfSigned } from '../testing/certificates.ts';
import { createEdgeHttp } from './node-fetch.ts';
import { nodeSocketFactory } from './node-socket.ts';
import { explainConnectionError, tlsTrust } from './tls-trust.ts';

const client = { kind: 'node', version: '1' } as const;

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function codeOfRequest(url: string, options: Parameters<typeof tlsTrust>[0]): Promise<string> {
  const http = createEdgeHttp(tlsTrust(options));
  try {
    await createSession(url, { room: 'r', client }, http.fetch, explainConnectionError);
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await http.close();
  }
}

function closeOfSocket(url: string, options: Parameters<typeof tlsTrust>[0]): Promise<TunnelClose> {
  return new Promise((resolve) => {
    nodeSocketFactory(tlsTrust(options))(url, ['sallyport.v1']).onclose = resolve;
  });
}

t.test('certificates of requests and of the tunnel', async (t) => {
  const identity = await selfSigned();
  const server = createServer(identity, (_, response) => {
    response
      .writeHead(401, { 'content-type': 'application/problem+json' })
      .end('{"code":"token-missing","detail":"x"}');
  });
  const port = await listen(server);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = `127.0.0.1:${String(port)}`;
  t.equal(await codeOfRequest(`https://${address}`, {}), 'certificate-untrusted');
  t.equal(await codeOfRequest(`https://${address}`, { insecure: true }), 'token-missing');
  t.equal(await codeOfRequest(`https://${address}`, { ca: identity.cert }), 'certificate-wrong-host');
  t.match(await closeOfSocket(`wss://${address}/`, {}), {
    final: true,
    error: { code: 'certificate-untrusted', message: /\(DEPTH_ZERO_SELF_SIGNED_CERT, issued by [^)]+\)$/ },
  });
  t.match(await closeOfSocket(`wss://${address}/`, { insecure: true }), {
    final: true,
    error: { code: 'token-missing' },
  });
  t.match(await closeOfSocket(`wss://${address}/`, { ca: [identity.cert] }), {
    final: true,
    error: { code: 'certificate-wrong-host' },
  });
});

t.test('nobody there, or no TLS', async (t) => {
  const server = createHttpServer((_, response) => response.end());
  const port = await listen(server);
  const address = `127.0.0.1:${String(port)}`;
  t.equal(await codeOfRequest(`https://${address}`, {}), 'edge-not-sallyport');
  await new Promise((resolve) => server.close(resolve));
  t.equal(await codeOfRequest(`https://${address}`, {}), 'edge-unreachable');
  t.match(await closeOfSocket(`wss://${address}/`, {}), { wire: 1006, error: { code: 'edge-unreachable' } });
});

t.test('something in the network takes the Upgrade away, or answers itself', async (t) => {
  const answers: readonly [number, Record<string, string>, string, string, boolean][] = [
    [426, { 'content-type': 'application/problem+json' }, '{"code":"upgrade-required"}', 'upgrade-stripped', true],
    [302, { location: 'http://portal.example/' }, '', 'captive-portal', false],
    [200, { 'content-type': 'text/html' }, '<html>', 'captive-portal', false],
    [502, { 'content-type': 'text/html' }, '<html>', 'edge-refused', false],
  ];
  for (const [status, headers, body, code, final] of answers) {
    const server = createHttpServer().on('upgrade', (_, socket) => {
      const fields = Object.entries({ ...headers, 'content-length': String(body.length) });
      socket.end(`HTTP/1.1 ${String(status)} \r\n${fields.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${body}`);
    });
    const port = await listen(server);
    t.match(await closeOfSocket(`ws://127.0.0.1:${String(port)}/`, {}), { wire: 1006, final, error: { code } });
    server.close();
  }
});

t.test('ca must be a certificate', (t) => {
  t.throws(() => tlsTrust({ ca: 'nonsense' }), { code: 'bad-option' });
  t.end();
});
