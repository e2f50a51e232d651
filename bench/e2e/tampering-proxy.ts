/**
 * Stands between a Node client and an edge, on plain HTTP towards the client: for what a network or an attacker does to
 * the control channel. Connections can be cut, and messages changed.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, fetch } from 'undici';
import { WebSocket, WebSocketServer } from 'ws';

export interface TamperingProxy {
  /** What clients are to join. */
  readonly url: string;
  /** Cuts every tunnel connection, as a network does that goes away. */
  cut(): void;
  /** While true, new tunnel connections are cut as well. */
  down: boolean;
  close(): Promise<void>;
}

/** `change` gets every message of the edge, and returns what the client is to get. */
export async function startTamperingProxy(
  edge: string,
  change: (message: Buffer) => Buffer = (message) => message,
): Promise<TamperingProxy> {
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  const websocketUrl = `${edge.replace(/^http/, 'ws')}/tunnel/v1/ws`;
  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { authorization } = request.headers;
    const answer = await fetch(`${edge}${request.url ?? ''}`, {
      method: request.method ?? 'GET',
      dispatcher: agent,
      headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    });
    const text = await answer.text();
    // The tunnel, too, goes through here.
    const body = text.replace(/wss:\/\/[^/"]+/, url.replace(/^http/, 'ws'));
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(body);
  };
  const server = createServer((request, response) => {
    forward(request, response).catch((error: unknown) => {
      response.writeHead(502).end(String(error));
    });
  });
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'sallyport.v1' });
  const proxy = { down: false };
  sockets.on('connection', (client, request) => {
    if (proxy.down) {
      client.terminate();
      return;
    }
    const offered = request.headers['sec-websocket-protocol']?.split(/, */) ?? [];
    const upstream = new WebSocket(websocketUrl, offered, { rejectUnauthorized: false });
    const early: Buffer[] = [];
    client.on('message', (message: Buffer) => {
      if (upstream.readyState === WebSocket.OPEN) upstream.send(message);
      else early.push(message);
    });
    upstream.on('open', () => {
      for (const message of early) upstream.send(message);
    });
    upstream.on('message', (message: Buffer) => {
      client.send(change(message));
    });
    // What follows an error is a close, which is handled.
    upstream.on('error', () => undefined);
    client.on('error', () => undefined);
    upstream.on('close', (code, reason) => {
      if (code >= 4000) client.close(code, reason);
      else client.terminate();
    });
    client.on('close', () => {
      upstream.terminate();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return Object.assign(proxy, {
    url,
    cut: () => {
      for (const client of sockets.clients) client.terminate();
    },
    close: async () => {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await agent.close();
    },
  });
}
