/** A TCP client of TURN, past Node where that is possible. */
import type { Socket } from 'node:net';
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import { serveSocket, type TurnServer, type TurnStream } from '../turn/index.ts';
import { canonicalSocketAddress } from './addresses.ts';
import { TcpConnection, type Libc } from './libc/index.ts';

/** Serves a connection of which no byte has been read, errors included. */
export function serveTcpStream(server: TurnServer, socket: Socket, remote: TransportAddress, libc: Libc | null): void {
  const connection = libc === null ? null : TcpConnection.of(socket, libc, server.limits.streamBacklogBytes);
  if (connection === null) {
    serveSocket(server, socket, 'turn-tcp', null, remote);
    return;
  }
  socket.setNoDelay(true);
  const input = server.acceptStream(new TcpStream(connection, socket, remote));
  if (input === null) {
    socket.destroy();
    return;
  }
  connection.start({
    data: (bytes) => {
      input.push(bytes);
    },
    closed: () => {
      input.closed();
    },
  });
}

class TcpStream implements TurnStream {
  readonly kind = 'turn-tcp';
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  readonly #connection: TcpConnection;

  constructor(connection: TcpConnection, socket: Socket, remote: TransportAddress) {
    this.#connection = connection;
    this.remote = remote;
    this.local = { address: canonicalSocketAddress(socket.localAddress ?? '::'), port: socket.localPort ?? 0 };
  }

  get bytes(): Uint8Array {
    return this.#connection.bytes;
  }

  get at(): number {
    return this.#connection.at;
  }

  open(length: number): boolean {
    return this.#connection.open(length);
  }

  commit(): void {
    this.#connection.commit();
  }

  close(): void {
    this.#connection.close();
  }
}
