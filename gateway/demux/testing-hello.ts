/** A real ClientHello, for tests. */
import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';

/** The first flight of Node's own client. */
export function captureHello(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, callback) => {
        resolve(chunk);
        callback();
      },
    });
    connect({ socket: wire, servername: 'edge.example', ...options }).on('error', () => undefined);
  });
}
