/** A `net` or `tls` socket as a client's connection. */
import type { Socket } from 'node:net';
import { formatIpAddress, parseIpAddress, type TransportAddress } from '../tunnel-protocol/index.ts';
import { BatchedStream } from './batched-stream.ts';
import { unmapped } from './ip-ranges.ts';
import { readStatically } from './static-read.ts';
import type { TurnServer } from './turn-server.ts';

const lingerMs = 5000;

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
  const stream = new BatchedStream({
    kind,
    remote,
    local: addressOf(socket.localAddress, socket.localPort),
    write: (bytes) => socket.write(bytes),
    bufferedBytes: () => socket.writableLength,
    backlogBytes: server.limits.streamBacklogBytes,
    close: () => {
      // A client that does not read must not keep it.
      socket.setTimeout(lingerMs, () => socket.destroy());
      socket.destroySoon();
    },
  });
  const input = server.acceptStream(stream);
  if (input === null) {
    socket.destroy();
    return;
  }
  socket.on('close', () => {
    stream.lost();
    input.closed();
  });
  if (read !== null) input.push(read);
  readStatically(socket, (bytes) => {
    input.push(bytes);
  });
}

/** Sockets that take both families report IPv4 clients as mapped addresses. */
function addressOf(address: string | undefined, port: number | undefined): TransportAddress {
  const ip = parseIpAddress((address ?? '').split('%')[0] as string);
  return { address: ip === null ? '::' : formatIpAddress(unmapped(ip)), port: port ?? 0 };
}
