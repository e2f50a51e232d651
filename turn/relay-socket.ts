/** The sockets behind relayed addresses. */
import { createSocket } from 'node:dgram';
import type { Family } from './request.ts';

export interface RelaySocketOptions {
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** For every datagram; `address` is what the system reports. The bytes are given away. */
  readonly onMessage: (datagram: Uint8Array, address: string, port: number) => void;
  readonly onError: () => void;
}

export interface RelaySocket {
  /** The bytes stay valid, and unchanged, until the end of the current turn of the event loop. */
  send(datagram: Uint8Array, port: number, address: string): void;
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
        onMessage(datagram, remote.address, remote.port);
      });
      resolve({
        send: (datagram, toPort, toAddress) => {
          // Without a callback, which would cost a tick for each; failures come as 'error' events.
          socket.send(datagram, toPort, toAddress);
        },
        close: () => {
          socket.close();
        },
      });
    });
    socket.bind({ address, port, exclusive: true });
  });
};
