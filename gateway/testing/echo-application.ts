/** An application for tests of ports and engines: says what it was asked and by whom. */
import type { HttpApplication } from '../engine/index.ts';
import { problem, problemReply } from '../problem.ts';

export interface Echo {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly remoteAddress: string;
  readonly bodyBytes: number;
}

/**
 * Replies with an {@link Echo} to everything but `/never`, which is not answered, `/large`, which is a megabyte, and
 * `/throw`. A WebSocket at `/socket` is told its address, then gets back what it sends.
 */
export function echoApplication(): HttpApplication & { readonly refusals: string[] } {
  const refusals: string[] = [];
  const large = new Uint8Array(1_048_576);
  return {
    refusals,
    route: (head) => ({
      maxBodyBytes: 10_000,
      handle: (body) => {
        const { method, path, remoteAddress } = head;
        if (path === '/never') return new Promise(() => undefined);
        if (path === '/throw') throw new Error('thrown');
        if (path === '/large') return { status: 200, headers: {}, body: large };
        if (path === '/empty') return { status: 204, headers: {}, body: '' };
        const echo: Echo = { method, path, host: head.header('host'), remoteAddress, bodyBytes: body.length };
        // Names that HTTP/1.1 alone may say.
        return { status: 200, headers: { 'x-test': 'a', upgrade: 'websocket' }, body: JSON.stringify(echo) };
      },
    }),
    webSockets: [
      {
        path: '/socket',
        maxMessageBytes: 65_536,
        idleTimeoutSeconds: 32,
        upgrade: () => ({
          accept: true,
          protocol: 'sallyport.v1',
          open: (socket) => {
            socket.send(Buffer.from(socket.remoteAddress));
            return {
              message: (bytes) => {
                socket.send(bytes.slice());
              },
              drain: () => undefined,
              closed: () => undefined,
            };
          },
        }),
      },
    ],
    refuse: (code) => {
      refusals.push(code);
      return problemReply(problem(code, 'refused'));
    },
    failed: (error) => problemReply(problem('internal', error instanceof Error ? error.message : '')),
  };
}
