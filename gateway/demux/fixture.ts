/** For tests and the soak command: every kind of server behind a demultiplexer, and how to talk to each. */
import { readdirSync, readFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { connect, type Socket } from 'node:net';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { CertificateFiles } from '../engine/http-engine.ts';
import { loadLibc, type Libc } from '../libc/index.ts';
import { createDemultiplexer, defaultDemuxConfig, type DemuxConfig, type Demultiplexer } from './index.ts';
import { TlsStream } from './tls-stream.ts';
import type { NativeCertificates, UwsHandler } from './types.ts';

type Uws = typeof import('uWebSockets.js');

/** Absent from the typings. */
interface AdoptingApp {
  adoptSocket(fd: number): void;
}

export interface UwsServers extends UwsHandler {
  close(): void;
}

/** Both apps answer `uws-tls ADDRESS` and `uws ADDRESS`, and echo WebSocket messages at /ws. */
export function createUwsServers(native: Uws, { certFile, keyFile }: CertificateFiles, splice = false): UwsServers {
  const tls = native.SSLApp({ cert_file_name: certFile, key_file_name: keyFile });
  const plain = native.App();
  for (const [app, name] of [
    [tls, 'uws-tls'],
    [plain, 'uws'],
  ] as const) {
    app.ws('/ws', { message: (ws, message, isBinary) => void ws.send(message, isBinary) }).any('/*', (res) => {
      const address = Buffer.from(res.getRemoteAddressAsText()).toString();
      res.end(`${name} ${address.replace('0000:0000:0000:0000:0000:ffff:', '')}`);
    });
  }
  const ports: number[] = [];
  if (splice) {
    for (const app of [tls, plain]) {
      app.listen('127.0.0.1', 0, (socket) => {
        if (socket !== false) ports.push(native.us_socket_local_port(socket));
      });
    }
  }
  const [tlsPort, plainPort] = ports;
  return {
    adoptTls: (fd) => {
      (tls as unknown as AdoptingApp).adoptSocket(fd);
    },
    adoptPlain: (fd) => {
      (plain as unknown as AdoptingApp).adoptSocket(fd);
    },
    ...(tlsPort !== undefined && plainPort !== undefined ? { splice: { tlsPort: () => tlsPort, plainPort } } : {}),
    close: () => {
      tls.close();
      plain.close();
    },
  };
}

export interface World {
  readonly demux: Demultiplexer;
  readonly port: number;
  readonly http1: HttpServer;
  readonly h2: Http2SecureServer;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly files: CertificateFiles;
  readonly uws?: UwsServers | null;
  readonly libc?: Libc | null;
  readonly config?: Partial<DemuxConfig>;
}

/**
 * The HTTP servers answer `node ADDRESS` and `h2 ADDRESS`; the others answer to the first bytes by the name of their
 * kind, the address they were told, the address that the socket tells, and the bytes in hex.
 */
export async function createWorld(options: WorldOptions): Promise<World> {
  const { files, uws = null, libc = loadLibc(), config = {} } = options;
  const key = readFileSync(files.keyFile);
  const cert = readFileSync(files.certFile);
  const limits = { headersTimeout: 1000, requestTimeout: 5000, connectionsCheckingInterval: 200 };
  const http1 = createHttpServer(limits, (request, response) => {
    response.end(`node ${String(request.socket.remoteAddress)}`);
  });
  const h2 = createSecureServer({ key, cert }, (request, response) => {
    response.end(`h2 ${String(request.socket.remoteAddress)}`);
  });
  const answer =
    (name: string) =>
    (socket: Socket | TlsStream, remote: TransportAddress): void => {
      socket.once('data', (bytes: Buffer) => {
        const told = `${remote.address}:${String(remote.port)}`;
        socket.end(`${name} ${told} ${String(socket.remoteAddress)} ${bytes.toString('hex')}`);
      });
    };
  const demux = createDemultiplexer(
    // Patient, for machines that are busy with other tests.
    { ...defaultDemuxConfig, openingTimeoutMs: 30_000, ...config },
    {
      libc,
      tls: { key, cert },
      certificates: certificatesOf(cert, key),
      handlers: {
        uws,
        http1,
        h2,
        turnTcp: answer('turn'),
        turnTls: answer('turn-tls'),
        turnNativeTls: (connection, remote, seen) => {
          answer('turn-tls')(new TlsStream(connection, seen), remote);
        },
        iceTcp: answer('ice'),
      },
    },
  );
  const port = await demux.listen(0, '127.0.0.1');
  return {
    demux,
    port,
    http1,
    h2,
    close: async () => {
      await demux.close();
      http1.closeAllConnections();
      http1.close();
      h2.close();
    },
  };
}

export function certificatesOf(cert: Buffer, key: Buffer): NativeCertificates {
  const policy = {
    ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
    ciphersuites: 'TLS_AES_128_GCM_SHA256',
    sessionIdContext: 'test',
  };
  return {
    nativeOptions: () => [{ ...policy, cert: cert.toString(), key: key.toString() }],
    indexFor: () => 0,
  };
}

/** A STUN binding request without attributes. */
export const stunRequest = Buffer.from('000100002112a442000102030405060708090a0b', 'hex');
/** An Allocate request with REQUESTED-TRANSPORT, as Chromium begins. */
export const allocateRequest = Buffer.from('000300082112a442000102030405060708090a0b0019000411000000', 'hex');
/** The binding request as an RFC 4571 frame. */
export const iceFrame = Buffer.concat([Buffer.from([0, stunRequest.length]), stunRequest]);

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** A connection that never throws: what happens to it is in `ended`. */
export class Client {
  readonly socket: Socket;
  /** All that came, and how it ended. */
  readonly ended: Promise<{ readonly bytes: Buffer; readonly code: string | null }>;

  constructor(port: number, host = '127.0.0.1', localAddress?: string) {
    this.socket = connect({ port, host, ...(localAddress === undefined ? {} : { localAddress }), noDelay: true });
    const chunks: Buffer[] = [];
    let code: string | null = null;
    this.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? 'error';
    });
    this.ended = new Promise((resolve) => {
      this.socket.once('close', () => {
        resolve({ bytes: Buffer.concat(chunks), code });
      });
    });
  }

  /** Sends, and returns what came until the end. */
  async exchange(...pieces: readonly Uint8Array[]): Promise<string> {
    for (const piece of pieces) this.socket.write(piece);
    return (await this.ended).bytes.toString('latin1');
  }
}
