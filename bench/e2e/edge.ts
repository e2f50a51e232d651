/** A real edge in this process on free ports of the loopback address, with its data in a temporary folder. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createEdge, loadConfig } from '../../gateway/index.ts';
import type { EdgeDeps, EdgeInfo } from '../../gateway/index.ts';

export interface TestEdge extends EdgeInfo {
  /** `https://127.0.0.1:…` */
  readonly url: string;
  /** What the edge logged as an error, for tests to expect nothing. */
  readonly errors: readonly object[];
  metrics(): Promise<string>;
  close(): Promise<void>;
}

export interface TestEdgeOptions {
  /** `SALLYPORT_*` variables over the defaults of tests. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly deps?: Partial<EdgeDeps>;
  /** Serves TURN over UDP on a free port, told as `turnUdpPort`; otherwise that is off, and TURN has the TCP port alone. */
  readonly turn?: boolean;
}

export async function startEdge({
  environment = {},
  deps = {},
  turn = false,
}: TestEdgeOptions = {}): Promise<TestEdge> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-edge-'));
  const errors: object[] = [];
  const silent = (): void => undefined;
  const log = {
    debug: silent,
    info: silent,
    warn: silent,
    error: (fields: object, message: string) => errors.push({ ...fields, message }),
  };
  const config = loadConfig({
    environment: {
      SALLYPORT_HOST: '127.0.0.1',
      SALLYPORT_PORT: '0',
      SALLYPORT_ADMIN_PORT: '0',
      SALLYPORT_TURN_UDP_PORT: turn ? String(await freeUdpPort()) : '0',
      SALLYPORT_AUTH: 'open',
      SALLYPORT_DATA_DIR: folder,
      ...environment,
    },
    readFile: (file) => readFileSync(file, 'utf8'),
    machine: { hostName: 'test', addresses: ['127.0.0.1'] },
  });
  const edge = createEdge(config, { log, ...deps });
  const removeFolder = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const info = await edge.start();
    return {
      ...info,
      url: `https://127.0.0.1:${String(info.port)}`,
      errors,
      metrics: async () => {
        const response = await fetch(`http://127.0.0.1:${String(info.adminPort)}/metrics`);
        return response.text();
      },
      close: async () => {
        await edge.close();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

/** The setting's 0 means off, so a number that the system would choose has to be found first. */
async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
