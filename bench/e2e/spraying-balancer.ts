/** A balancer before several edges that gives every single request to one of them at random, on plain HTTP towards clients. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface SprayingBalancer {
  /** What clients are to join. */
  readonly url: string;
  /** Requests by edge, in the order of the edges. */
  readonly requests: readonly number[];
  close(): Promise<void>;
}

/** `edges`: their URLs. WebSockets do not pass. */
export async function startSprayingBalancer(edges: readonly string[]): Promise<SprayingBalancer> {
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false, maxFreeSockets: 64 });
  const requests = edges.map(() => 0);
  const server = createServer((incoming, outgoing) => {
    const at = Math.floor(Math.random() * edges.length);
    requests[at] = (requests[at] ?? 0) + 1;
    const onward = request(`${edges[at] ?? ''}${incoming.url ?? ''}`, {
      agent,
      method: incoming.method,
      headers: incoming.headers,
    });
    incoming.pipe(onward);
    onward.once('response', (answer) => void passOn(incoming.url ?? '', answer, outgoing));
    // The client sees a connection that ends, as with any balancer.
    onward.once('error', () => outgoing.destroy());
    outgoing.once('close', () => onward.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    requests,
    close: async () => {
      agent.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function passOn(url: string, answer: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  if (!url.startsWith('/v1/')) {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
    answer.once('aborted', () => outgoing.destroy());
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  // The tunnels, too, go through here.
  const body = Buffer.concat(chunks).toString().replaceAll('"https://', '"http://').replaceAll('"wss://', '"ws://');
  const headers = { ...answer.headers, 'content-length': String(Buffer.byteLength(body)) };
  outgoing.writeHead(answer.statusCode ?? 502, headers).end(body);
}
