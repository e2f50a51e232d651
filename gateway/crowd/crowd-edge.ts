/** The edge that a crowd goes to: a whole one, in this process, on free ports of the loopback address. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createSfu, type Sfu } from '../../sfu/index.ts';
import { createTurnCredentials } from '../../turn/index.ts';
import { loadConfig } from '../config.ts';
import { createEdge, type EdgeInfo, type EdgeLimits } from '../edge.ts';
import { joinWithIce, type IcePeer } from '../testing/ice-peer.ts';
import type { CrowdPlan } from './plan.ts';

const secret = 'the secret of a crowd, longer than thirty-two bytes';
/** As many paths as an ICE agent keeps. */
const checksPerSession = 16;
const tickMs = 1000;
const unlimited = { burst: 1e9, perSecond: 1e9 };

export interface CrowdEdge {
  readonly info: EdgeInfo;
  /** Lines of the log at level error. */
  readonly errors: readonly string[];
  /** Opens the sessions that so many connections of each kind need. */
  plan(count: number): Promise<CrowdPlan>;
  metrics(): Promise<string>;
  close(): Promise<void>;
}

export async function startCrowdEdge(
  environment: Readonly<Record<string, string>>,
  limits: Partial<EdgeLimits>,
): Promise<CrowdEdge> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-crowd-'));
  await writeFile(path.join(folder, 'index.html'), '<!doctype html><title>crowd</title>');
  const errors: string[] = [];
  let made: Sfu | null = null;
  const silent = (): void => undefined;
  const edge = createEdge(
    loadConfig({
      environment: {
        SALLYPORT_HOST: '127.0.0.1',
        SALLYPORT_PORT: '0',
        SALLYPORT_ADMIN_PORT: '0',
        SALLYPORT_TURN_UDP_PORT: '0',
        SALLYPORT_AUTH: 'open',
        SALLYPORT_SECRET: secret,
        SALLYPORT_DATA_DIR: folder,
        ...environment,
      },
      readFile: () => '',
      machine: { hostName: 'crowd', addresses: ['127.0.0.1'] },
    }),
    {
      log: { debug: silent, info: silent, warn: silent, error: (_, message) => errors.push(message) },
      pageFolder: folder,
      createSfu: (config, deps) => (made = createSfu(config, deps)),
      limits: { sessions: unlimited, maxParticipantsPerRoom: 10_000, ...limits },
    },
  );
  const peers: IcePeer[] = [];
  const ticks = setInterval(() => {
    for (const peer of peers) peer.tick();
  }, tickMs);
  const close = async (): Promise<void> => {
    clearInterval(ticks);
    await edge.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const info = await edge.start();
    const sfu = made as Sfu | null;
    if (sfu === null) throw new Error('the edge made no SFU');
    return {
      info,
      errors,
      plan: (count) => planFor(info, count, sfu, peers),
      metrics: async () => (await fetch(`http://127.0.0.1:${String(info.adminPort)}/metrics`)).text(),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function planFor({ port }: EdgeInfo, count: number, sfu: Sfu, peers: IcePeer[]): Promise<CrowdPlan> {
  const sessions = Math.ceil(count / checksPerSession);
  const checks: string[] = [];
  for (let i = 0; i < sessions; i++) {
    const peer = await joinWithIce(sfu, `session-${String(i)}`);
    peers.push(peer);
    for (let j = 0; j < checksPerSession; j++) checks.push(Buffer.from(peer.check()).toString('hex'));
  }
  const expiry = Date.now() / 1000 + 3600;
  const turnUsers = Array.from({ length: 2 * count }, (_, i) =>
    createTurnCredentials(secret, `session-${String(i % sessions)}`, expiry),
  );
  return { port, count, checks, turnUsers };
}
