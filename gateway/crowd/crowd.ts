/**
 * Connections of all kinds on one edge's port at once: HTTP on h2, WebSocket tunnels with a session each, HTTP/1.1,
 * TURN over TLS and over TCP with an allocation each, ICE-TCP with an accepted connectivity check each.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { startCrowdEdge, type CrowdEdge } from './crowd-edge.ts';
import type { CrowdReport } from './plan.ts';

const longerThanAnyRunMs = 3_600_000;

export interface CrowdResult {
  readonly engine: string;
  readonly opened: Readonly<Record<string, number>>;
  readonly served: Readonly<Record<string, number>>;
  readonly openSeconds: number;
  readonly serveSeconds: number;
  /** What the edge said while all were open. */
  readonly metrics: string;
  readonly rssMiB: number;
  /** Lines of the edge's log at level error. */
  readonly errors: readonly string[];
}

/** So many connections of each kind. Rejects when the crowd's process ends early. */
export async function crowd(count: number, environment: Readonly<Record<string, string>> = {}): Promise<CrowdResult> {
  const edge = await startCrowdEdge(environment, {
    sessionGraceMs: longerThanAnyRunMs,
    // Edge and clients share one machine: a handshake that waits for the processor is no slow client.
    openingTimeoutMs: longerThanAnyRunMs,
  });
  try {
    return { ...(await meet(edge, count)), engine: edge.info.engine, errors: edge.errors };
  } finally {
    await edge.close();
  }
}

async function meet(edge: CrowdEdge, count: number): Promise<Omit<CrowdResult, 'engine' | 'errors'>> {
  const plan = await edge.plan(count);
  const clients = fork(new URL('crowd-process.js', import.meta.url));
  const ended = once(clients, 'exit').then(() => {
    throw new Error('the process of the crowd ended early');
  });
  ended.catch(() => undefined);
  const report = async (): Promise<CrowdReport> => {
    const [message] = (await Promise.race([once(clients, 'message'), ended])) as [CrowdReport];
    return message;
  };
  try {
    clients.send(plan);
    const opened = await report();
    const metrics = await edge.metrics();
    const rssMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
    clients.send('again');
    const served = await report();
    if (opened.step !== 'all-open' || served.step !== 'all-served') throw new Error('the crowd speaks out of turn');
    return {
      opened: opened.opened,
      served: served.served,
      openSeconds: opened.seconds,
      serveSeconds: served.seconds,
      metrics,
      rssMiB,
    };
  } finally {
    clients.kill('SIGKILL');
  }
}
