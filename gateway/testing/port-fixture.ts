/** A public port on loopback with an application of the test's own, and echoes in the place of TURN and ICE-TCP. */
import type { Duplex } from 'node:stream';
import type { Test } from 'tap';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { CertificateSet, type CertificateFiles } from '../certificates.ts';
import { TlsStream, type DemuxConfig } from '../demux/index.ts';
import type { HttpApplication } from '../engine/index.ts';
import { loadLibc, type Libc } from '../libc/index.ts';
import { PublicPort } from '../public-port.ts';

export interface TestPort {
  readonly publicPort: PublicPort;
  readonly port: number;
  /** Level and message of every line that was logged. */
  readonly logged: readonly string[];
}

export interface TestPortOptions {
  readonly engine: 'uws' | 'node' | 'auto';
  readonly files: readonly CertificateFiles[];
  readonly application: HttpApplication;
  readonly libc?: Libc | null;
  readonly demux?: Partial<DemuxConfig>;
}

/** The echoes say `turn-tcp`, `turn-tls` or `ice-tcp` and the client's address first. The port is closed when the test ends. */
export async function startTestPort(t: Test, options: TestPortOptions): Promise<TestPort> {
  const { engine, files, application, libc = loadLibc(), demux = {} } = options;
  const logged: string[] = [];
  const line =
    (level: string) =>
    (_fields: object, message: string): void => {
      logged.push(`${level} ${message}`);
    };
  const echo =
    (name: string) =>
    (socket: Duplex, remote: TransportAddress): void => {
      socket.write(`${name} ${remote.address} `);
      socket.on('data', (bytes: Buffer) => socket.write(bytes));
      socket.on('end', () => socket.end());
    };
  const publicPort = await PublicPort.create(
    { engine, certificates: await CertificateSet.load(files), demux: { openingTimeoutMs: 30_000, ...demux } },
    {
      application,
      turn: {
        serveTcp: echo('turn-tcp'),
        serveTls: echo('turn-tls'),
        serveNativeTls: (connection, remote, seen) => {
          echo('turn-tls')(new TlsStream(connection, seen), remote);
        },
      },
      iceTcp: { serve: echo('ice-tcp') },
      libc,
      log: { info: line('info'), warn: line('warn'), error: line('error') },
    },
  );
  t.teardown(() => publicPort.close());
  return { publicPort, port: await publicPort.listen(['127.0.0.1'], 0), logged };
}

/** The engines that there are here; `skip` says why one cannot be tried. */
export interface EngineVariant {
  readonly name: string;
  readonly engine: 'uws' | 'node';
  readonly libc: Libc | null;
  /** A test is skipped for this reason; under CI it is not, and fails. */
  readonly skip: string | false;
}

export async function engineVariants(): Promise<readonly EngineVariant[]> {
  const libc = loadLibc();
  const missing = await import('uWebSockets.js').then(
    () => false as const,
    (error: unknown) => process.env['CI'] !== 'true' && `uWebSockets.js does not load: ${String(error)}`,
  );
  return [
    { name: 'uws', engine: 'uws', libc, skip: missing },
    { name: 'uws, spliced', engine: 'uws', libc: null, skip: missing },
    { name: 'node', engine: 'node', libc, skip: false },
  ];
}
