/** The sockets behind relayed addresses. */
import { createSocket } from 'node:dgram';
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import type { Family } from './request.ts';

export interface RelaySocketOptions {
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** For every datagram; `from` is what the system reports. The bytes are borrowed until it returns. */
  readonly onMessage: (datagram: Uint8Array, from: TransportAddress) => void;
  readonly onError: () => void;
}

/** One peer, as a socket sends to it. */
export interface RelayTarget {
  /** The bytes are borrowed until the call returns. */
  send(datagram: Uint8Array): void;
}

export interface RelaySocket {
  /** Made once per peer, so that nothing has to be looked up per datagram. `address` is an IP address of the family. */
  target(address: string, port: number): RelayTarget;
  close(): void;
}

/** Rejects when the port cannot be bound. */
export type CreateRelaySocket = (options: RelaySocketOptions) => Promise<RelaySocket>;

const socketBufferBytes = 262_144;

/** One `node:dgram` socket, bound exclusively. */
export const createDgramRelaySocket: CreateRelaySocket = (options) => {
  const { family, address, port, onMessage, onError } = options;
  const ipv6 = family === 'ipv6';
  const socket = createSocket({
    type: ipv6 ? 'udp6' : 'udp4',
    ipv6Only: ipv6,
    recvBufferSize: socketBufferBytes,
    sendBufferSize: socketBufferBytes,
    // Destinations are addresses already; Node would ask its resolver, with a turn of the loop for each datagram.
    lookup: (host, _options, callback) => {
      callback(null, host, ipv6 ? 6 : 4);
    },
  });
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.once('listening', () => {
      socket.removeAllListeners('error');
      socket.on('error', onError);
      socket.on('message', (datagram, remote) => {
        onMessage(datagram, remote);
      });
      resolve({
        target: (toAddress, toPort) => ({
          send: (datagram) => {
            // A copy, because the system may take it later; and no callback, which would cost a tick for each:
            // failures come as 'error' events.
            socket.send(Buffer.from(datagram), toPort, toAddress);
          },
        }),
        close: () => {
          socket.close();
        },
      });
    });
    socket.bind({ address, port, exclusive: true });
  });
};
