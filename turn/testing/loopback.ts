/** A TURN server on real sockets of 127.0.0.1, and clients for it. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import {
  createServer as createTcpServer,
  connect,
  type AddressInfo,
  type Server,
  type Socket as TcpSocket,
} from 'node:net';
import { createServer as createTlsServer, connect as connectTls } from 'node:tls';
import type { TurnConfig } from '../config.ts';
import { createTurnCredentials } from '../credentials.ts';
import { serveSocket } from '../node-stream.ts';
import { StreamSplitter } from '../stream-splitter.ts';
import { createTurnServer, type TurnDeps, type TurnServer } from '../turn-server.ts';
import { TurnTestClient } from './turn-client.ts';
import { udpOutput } from './udp-output.ts';

export const loopback = '127.0.0.1';
const secret = 'loopback secret';

export class LoopbackServer {
  readonly server: TurnServer;
  readonly errors: object[] = [];
  udpPort = 0;
  tcpPort = 0;
  tlsPort = 0;
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(config: Partial<TurnConfig>, deps: Partial<TurnDeps>) {
    const ignore = (): void => {
      // Nobody reads it.
    };
    this.server = createTurnServer(
      {
        realm: 'loopback',
        secret,
        relay: { ipv4: { advertised: loopback, bind: loopback }, ipv6: { advertised: '::1', bind: '::1' } },
        sfuAddresses: [],
        ...config,
      },
      {
        now: () => performance.now(),
        wallClock: Date.now,
        log: { info: ignore, warn: ignore, error: (fields) => this.errors.push(fields) },
        sessionLives: () => true,
        ...deps,
      },
    );
  }

  static async start(
    config: Partial<TurnConfig> = {},
    options: { deps?: Partial<TurnDeps>; tls?: { key: string; cert: string } } = {},
  ): Promise<LoopbackServer> {
    const started = new LoopbackServer(config, options.deps ?? {});
    await started.#listen(options.tls);
    return started;
  }

  credentials(session = 's'): { username: string; credential: string } {
    return createTurnCredentials(secret, session, Date.now() / 1000 + 600);
  }

  async udpClient(session = 's'): Promise<TurnTestClient> {
    const socket = await udpSocket();
    this.#closers.push(() => closed(socket));
    const client = new TurnTestClient((bytes) => {
      socket.send(bytes, this.udpPort, loopback);
    }, this.credentials(session));
    socket.on('message', (datagram) => {
      client.receive(datagram);
    });
    return client;
  }

  async streamClient(kind: 'tcp' | 'tls', session = 's'): Promise<{ client: TurnTestClient; socket: TcpSocket }> {
    const socket =
      kind === 'tcp'
        ? connect(this.tcpPort, loopback)
        : connectTls({ port: this.tlsPort, host: loopback, rejectUnauthorized: false });
    await once(socket, kind === 'tcp' ? 'connect' : 'secureConnect');
    const splitter = new StreamSplitter();
    const client = new TurnTestClient((bytes) => {
      socket.write(bytes);
    }, this.credentials(session));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      splitter.push(chunk);
      for (let message = splitter.next(); message !== null; message = splitter.next()) client.receive(message);
    });
    this.#closers.push(() => gone(socket));
    return { client, socket };
  }

  async close(): Promise<void> {
    this.server.close();
    await Promise.all(this.#closers.splice(0).map((close) => close()));
  }

  async #listen(tls?: { key: string; cert: string }): Promise<void> {
    const udp = await udpSocket();
    this.udpPort = udp.address().port;
    const input = this.server.acceptUdp(
      udpOutput({ address: loopback, port: this.udpPort }, (datagram, { address, port }) => {
        udp.send(datagram, port, address);
      }),
    );
    udp.on('message', (datagram, remote) => {
      input.receive(datagram, remote);
    });
    this.#closers.push(() => closed(udp));
    this.tcpPort = await this.#listenTcp(
      createTcpServer((socket) => {
        serveSocket(this.server, socket, 'turn-tcp');
      }),
    );
    if (tls === undefined) return;
    const server = createTlsServer(tls, (socket) => {
      serveSocket(this.server, socket, 'turn-tls');
    });
    server.on('tlsClientError', () => {
      // Probing clients break off.
    });
    this.tlsPort = await this.#listenTcp(server);
  }

  async #listenTcp(server: Server): Promise<number> {
    server.listen(0, loopback);
    await once(server, 'listening');
    this.#closers.push(() => stopped(server));
    return (server.address() as AddressInfo).port;
  }
}

/** A peer that keeps what it gets. */
export class TestPeer {
  readonly socket: Socket;
  readonly got: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('message', (datagram) => {
      this.got.push(datagram);
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
  }

  static async open(): Promise<TestPeer> {
    return new TestPeer(await udpSocket());
  }

  get address(): { address: string; port: number } {
    return { address: loopback, port: this.socket.address().port };
  }

  /** Resolves when the datagram has been handed to the kernel. */
  send(data: Uint8Array, port: number): Promise<void> {
    return new Promise((resolve) => {
      this.socket.send(data, port, loopback, () => {
        resolve();
      });
    });
  }

  async arrived(count: number): Promise<readonly Buffer[]> {
    while (this.got.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.got;
  }

  close(): void {
    this.socket.close();
  }
}

async function udpSocket(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, loopback);
  await once(socket, 'listening');
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(resolve);
  });
}

function gone(socket: TcpSocket): Promise<void> {
  socket.destroy();
  return Promise.resolve();
}

/** Connections may outlive their listener by a moment: nobody waits for them. */
function stopped(server: Server): Promise<void> {
  server.close();
  return Promise.resolve();
}
