/** A listening TCP socket, whose connections come out before Node reads a byte of them. */
import { createServer, Socket, type AddressInfo, type Server } from 'node:net';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { canonicalSocketAddress } from '../addresses.ts';
import { ListenError } from '../engine/http-engine.ts';
import { socketOption, type Libc } from '../libc/index.ts';
import type { Candidate, IntakeMethod } from './types.ts';

/** Seconds in which the kernel keeps connections that send nothing to itself. */
const deferAcceptSeconds = 5;
const backlog = 4096;
/** Connections taken in one turn of the event loop. Node itself takes one, so that they would queue up in a rush. */
const acceptsPerTurn = 64;

export interface ListenerOptions {
  readonly method: IntakeMethod;
  readonly libc: Libc | null;
  readonly notSentLowWaterBytes: number;
  readonly accept: (candidate: Candidate, remote: TransportAddress) => void;
  /** Failures of accept(2), and connections that were gone before they could be looked at. */
  readonly failed: () => void;
}

/** Node's own objects under a listening socket and under a connection; not public. */
interface ListenHandle {
  readonly fd: number;
  onconnection: (status: number, handle?: ConnectionHandle) => void;
}
interface ConnectionHandle {
  readonly fd: number;
  close(): void;
  getpeername(into: { address?: string; port?: number }): number;
  setNoDelay(on: boolean): number;
}

export interface TcpListener {
  readonly server: Server;
  readonly port: number;
  /** The one asked for, or the next that Node's insides allow. */
  readonly method: IntakeMethod;
}

/** Rejects with {@link ListenError}. */
export async function listenTcp(host: string, port: number, options: ListenerOptions): Promise<TcpListener> {
  const server = createServer({ pauseOnConnect: true, noDelay: true });
  server.on('connection', (socket: Socket) => {
    acceptPublic(socket, options);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new ListenError(error.code ?? 'EUNKNOWN', host, port));
    });
    server.listen({ host, port, backlog, exclusive: true }, resolve);
  });
  server.removeAllListeners('error').on('error', options.failed);
  const bound = (server.address() as AddressInfo).port;
  const handle = listenHandleOf(server);
  if (handle === null || options.method === 'read') return { server, port: bound, method: 'read' };
  tune(handle, options);
  if (options.method === 'peek-public' || typeof handle.onconnection !== 'function') {
    return { server, port: bound, method: 'peek-public' };
  }
  const { libc } = options;
  handle.onconnection = (status, connection) => {
    if (status === 0 && connection !== undefined) acceptRaw(connection, options);
    else options.failed();
    if (libc !== null) acceptMore(libc, handle.fd, options);
  };
  return { server, port: bound, method: 'peek' };
}

/** Set on the listening socket, and inherited by its connections: no system call for each. */
function tune({ fd }: ListenHandle, { libc, notSentLowWaterBytes }: ListenerOptions): void {
  if (libc === null || fd < 0) return;
  libc.setOption(fd, socketOption.tcpDeferAccept, deferAcceptSeconds);
  libc.setOption(fd, socketOption.tcpNoDelay, 1);
  if (notSentLowWaterBytes > 0) libc.setOption(fd, socketOption.tcpNotSentLowWater, notSentLowWaterBytes);
}

function acceptRaw(handle: ConnectionHandle, options: ListenerOptions): void {
  const name: { address?: string; port?: number } = {};
  if (handle.getpeername(name) !== 0 || name.address === undefined || handle.fd < 0) {
    handle.close();
    options.failed();
    return;
  }
  const candidate: Candidate = {
    fd: handle.fd,
    socket: () =>
      guarded(new Socket({ handle, readable: true, writable: true } as ConstructorParameters<typeof Socket>[0])),
    drop: () => {
      handle.close();
    },
  };
  options.accept(candidate, { address: canonicalSocketAddress(name.address), port: name.port ?? 0 });
}

function acceptMore(libc: Libc, listening: number, options: ListenerOptions): void {
  for (let taken = 1; taken < acceptsPerTurn; taken++) {
    const fd = libc.accept(listening);
    // None is left, or none can be had: then Node's own attempt says so, and sheds load.
    if (fd < 0) return;
    const candidate: Candidate = {
      fd,
      socket: () => guarded(new Socket({ fd, readable: true, writable: true })),
      drop: () => {
        libc.close(fd);
      },
    };
    options.accept(candidate, libc.acceptedFrom());
  }
}

function acceptPublic(socket: Socket, options: ListenerOptions): void {
  guarded(socket);
  const fd = options.method === 'read' ? -1 : (connectionHandleOf(socket)?.fd ?? -1);
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) {
    socket.destroy();
    options.failed();
    return;
  }
  const candidate: Candidate = { fd, socket: () => socket, drop: () => socket.destroy() };
  options.accept(candidate, { address: canonicalSocketAddress(remoteAddress), port: remotePort });
}

/** A reset before anybody listens must not end the process; `close` follows it. */
function guarded(socket: Socket): Socket {
  return socket.on('error', ignore);
}

function ignore(): void {
  // Said by `close`.
}

function listenHandleOf(server: Server): ListenHandle | null {
  return (server as unknown as { readonly _handle?: ListenHandle | null })._handle ?? null;
}

function connectionHandleOf(socket: Socket): ConnectionHandle | null {
  return (socket as unknown as { readonly _handle?: ConnectionHandle | null })._handle ?? null;
}
