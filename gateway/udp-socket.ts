/** Opening the UDP sockets of one port: one for each local address, so that answers come from the one that was asked. */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { ListenError } from './engine/index.ts';

/** Binds exclusively; 0 lets the system choose the port. Errors after that are `onError`'s. Rejects with {@link ListenError}. */
export function openUdpSocket(
  address: string,
  port: number,
  bufferBytes: number,
  onError: () => void,
): Promise<Socket> {
  const ipv6 = isIPv6(address);
  const socket = createSocket({
    type: ipv6 ? 'udp6' : 'udp4',
    ipv6Only: ipv6,
    recvBufferSize: bufferBytes,
    sendBufferSize: bufferBytes,
    // Destinations are addresses already; Node would ask its resolver, with a turn of the loop for each datagram.
    lookup: (host, _options, callback) => {
      callback(null, host, ipv6 ? 6 : 4);
    },
  });
  return new Promise((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      reject(new ListenError(error.code ?? 'EUNKNOWN', address, port));
    });
    socket.once('listening', () => {
      socket.removeAllListeners('error');
      socket.on('error', onError);
      resolve(socket);
    });
    socket.bind({ address, port, exclusive: true });
  });
}

/**
 * Calls `open` for each address, with the same port; 0 lets the system choose it. An address that went away in the
 * meantime is passed over as long as another one is there. Resolves with the port; rejects with {@link ListenError},
 * and what was opened until then is the caller's to close.
 */
export async function listenUdpOnEach(
  addresses: readonly string[],
  port: number,
  open: (address: string, port: number) => Promise<Socket>,
): Promise<number> {
  let bound = port;
  let opened = 0;
  let fault: ListenError | null = null;
  for (const address of addresses) {
    try {
      bound = (await open(address, bound)).address().port;
      opened++;
    } catch (error) {
      if (!(error instanceof ListenError) || error.code !== 'EADDRNOTAVAIL') throw error;
      fault = error;
    }
  }
  if (opened === 0) throw fault ?? new ListenError('EADDRNOTAVAIL', 'no address', port);
  return bound;
}

/** Resolves when the socket is closed. */
export function closeUdpSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(resolve);
  });
}
