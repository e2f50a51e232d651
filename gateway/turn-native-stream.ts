/** A client of TURN over TCP or TLS, past Node where that is possible. */
import type { Socket } from 'node:net';
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import { serveSocket, type TurnServer, type TurnStream } from '../turn/index.ts';
import { canonicalSocketAddress } from './addresses.ts';
import { TcpConnection, type Libc, type TlsConnection } from './libc/index.ts';

/** Serves a connection of which no byte has been read, errors included. */
export function serveTcpStream(server: TurnServer, socket: Socket, remote: TransportAddress, libc: Libc | null): void {
  const connection = libc === null ? null : TcpConnection.of(socket, libc, server.limits.streamBacklogBytes);
  if (connection === null) {
    serveSocket(server, socket, 'turn-tcp', null, remote);
    return;
  }
  socket.setNoDelay(true);
  const input = server.acceptStream(new NativeStream('turn-tcp', connection, socket, remote));
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

/** Serves a connection that has said `seen` since its handshake; borrowed. */
export function serveTlsStream(
  server: TurnServer,
  connection: TlsConnection,
  remote: TransportAddress,
  seen: Uint8Array,
): void {
  const { socket } = connection;
  connection.maxUnsentBytes = server.limits.streamBacklogBytes;
  const input = server.acceptStream(new NativeStream('turn-tls', connection, socket, remote));
  if (input === null) {
    socket.destroy();
    return;
  }
  connection.setHandlers({
    data: (bytes) => {
      input.push(bytes);
    },
    ended: () => {
      connection.close();
    },
    closed: () => {
      input.closed();
    },
  });
  input.push(seen);
}

/** What TCP and TLS connections have alike. */
type NativeConnection = Pick<TcpConnection, 'bytes' | 'at' | 'open' | 'commit' | 'close'>;

class NativeStream implements TurnStream {
  readonly kind: TurnStream['kind'];
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  readonly #connection: NativeConnection;

  constructor(kind: TurnStream['kind'], connection: NativeConnection, socket: Socket, remote: TransportAddress) {
    this.kind = kind;
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
