import { createServer, type AddressInfo } from 'node:net';
import { ListenError } from './http-engine.ts';

/** Listens and stops: tells a port that is free for TCP (0 lets the system choose), or rejects with ListenError. */
export function probePort(address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new ListenError(error.code ?? 'EUNKNOWN', address, port));
    });
    server.listen({ host: address, port, exclusive: true }, () => {
      const bound = (server.address() as AddressInfo).port;
      server.close(() => {
        resolve(bound);
      });
    });
  });
}
