/**
 * A real HTTP/1.1 intermediary between a client and an edge, on Node's own server: a reverse hop that answers for the edge,
 * as one that intercepts TLS does. What it does to requests and answers can be chosen.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface HttpProxy {
  /** What clients are to join. */
  readonly url: string;
  /** Takes WebSockets from now on, or no more: an upgrade is then a plain request. */
  upgrades: boolean;
  /** Answers of tunnels are held back until they are complete. */
  buffers: boolean;
  /** Bodies that are not text are refused. */
  textOnly: boolean;
  /** Answers a path with this status, and no more. */
  readonly refused: Map<string, number>;
  /** Cuts all connections, as a network does that goes away. */
  cut(): void;
  close(): Promise<void>;
}

export async function startHttpProxy(edge: string): Promise<HttpProxy> {
  const agent = new Agent({ rejectUnauthorized: false, keepAlive: true, ALPNProtocols: ['http/1.1'] });
  const { hostname, port } = new URL(edge);
  const sockets = new Set<Socket>();
  const upstream = (incoming: IncomingMessage, headers = incoming.headers): ReturnType<typeof request> =>
    request({ hostname, port, agent, method: incoming.method, path: incoming.url, headers });
  const forward = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const path = incoming.url?.replace(/\?.*/, '') ?? '';
    const isTunnel = path.startsWith('/tunnel/');
    const type = incoming.headers['content-type'] ?? incoming.headers.accept ?? '';
    const status = proxy.refused.get(path) ?? (proxy.textOnly && isTunnel && !type.startsWith('text/') ? 403 : null);
    if (status !== null) {
      incoming.resume();
      outgoing.writeHead(status, { 'content-type': 'text/plain' }).end('no');
      return;
    }
    const { upgrade, connection, origin, ...headers } = incoming.headers;
    if (upgrade === undefined && connection !== undefined) headers['connection'] = connection;
    // The edge knows itself by https alone.
    if (origin !== undefined) headers['origin'] = origin.replace('http:', 'https:');
    const onward = upstream(incoming, headers);
    onward.on('response', (answer) => {
      const isWhole = !isTunnel || proxy.buffers;
      const held: Buffer[] = [];
      const headers = { ...answer.headers };
      if (isWhole) delete headers['content-length'];
      outgoing.writeHead(answer.statusCode ?? 502, headers);
      if (!isWhole) outgoing.flushHeaders();
      answer.on('data', (chunk: Buffer) => {
        if (isWhole) held.push(chunk);
        else outgoing.write(chunk);
      });
      answer.on('end', () => {
        const body = Buffer.concat(held);
        // The tunnels, too, go through here.
        const isSession = path === '/v1/sessions';
        outgoing.end(
          isSession ? body.toString().replaceAll('wss://', 'ws://').replaceAll('https://', 'http://') : body,
        );
      });
      answer.on('error', () => outgoing.destroy());
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    incoming.pipe(onward);
  };
  const server = createServer(forward);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex) => {
    if (!proxy.upgrades) {
      socket.end(
        'HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno',
      );
      return;
    }
    const onward = upstream(incoming);
    onward.on('upgrade', (answer, edgeSocket: Socket, head) => {
      const lines = [`HTTP/1.1 101 Switching Protocols`];
      for (const [name, value] of Object.entries(answer.headers)) lines.push(`${name}: ${String(value)}`);
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      edgeSocket.write(head);
      edgeSocket.setNoDelay(true);
      edgeSocket.pipe(socket).pipe(edgeSocket);
      const end = (): void => {
        edgeSocket.destroy();
        socket.destroy();
      };
      for (const side of [edgeSocket, socket]) side.on('error', end).on('close', end);
    });
    onward.on('response', () => socket.destroy());
    onward.on('error', () => socket.destroy());
    onward.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const proxy: HttpProxy = {
    url,
    upgrades: true,
    buffers: false,
    textOnly: false,
    refused: new Map(),
    cut,
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
      agent.destroy();
    },
  };
  return proxy;
}
