/** A `net` or `tls` socket as a client's connection. */
import type { Socket } from 'node:net';
import { formatIpAddress, parseIpAddress, type TransportAddress } from '../tunnel-protocol/index.ts';
import { unmapped } from './ip-ranges.ts';
import type { TurnServer } from './turn-server.ts';

/**
 * Serves the socket from now on, errors included; `read` are bytes that were read from it before. `remote` tells the
 * client's address where the socket does not know it (behind a proxy).
 */
export function serveSocket(
  server: TurnServer,
  socket: Socket,
  kind: 'turn-tcp' | 'turn-tls',
  read: Uint8Array | null = null,
  remote: TransportAddress = addressOf(socket.remoteAddress, socket.remotePort),
): void {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  const input = server.acceptStream({
    kind,
    remote,
    local: addressOf(socket.localAddress, socket.localPort),
    write: (bytes) => socket.write(bytes),
    bufferedBytes: () => socket.writableLength,
    close: () => {
      socket.destroySoon();
    },
  });
  if (input === null) {
    socket.destroy();
    return;
  }
  socket.on('data', (chunk: Buffer) => {
    input.push(chunk);
  });
  socket.on('close', () => {
    input.closed();
  });
  if (read !== null) input.push(read);
}

/** Sockets that take both families report IPv4 clients as mapped addresses. */
function addressOf(address: string | undefined, port: number | undefined): TransportAddress {
  const ip = parseIpAddress((address ?? '').split('%')[0] as string);
  return { address: ip === null ? '::' : formatIpAddress(unmapped(ip)), port: port ?? 0 };
}
