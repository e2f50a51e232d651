/** Clients of the tunnel: many WebSocket sessions in one process, as plain and cheap as they can be. */
import { serveCommands } from '../harness/worker-process.ts';
import { TunnelClient } from './tunnel-client.ts';

const tunnels: TunnelClient[] = [];
const creditTickMs = 50;

export interface TunnelLoadReading {
  readonly receivedBytes: number;
  readonly receivedDatagrams: number;
}

export interface TunnelLoadOrder {
  readonly bytes: number;
  /** Datagrams of a message. */
  readonly count: number;
  readonly intervalMs: number;
  readonly durationMs: number;
}

serveCommands({
  async connect({ url, sessions, credits }: { url: string; sessions: number; credits: boolean }): Promise<void> {
    for (let i = 0; i < sessions; i++) tunnels.push(await TunnelClient.open({ url, credits }));
    setInterval(() => {
      for (const tunnel of tunnels) tunnel.tick();
    }, creditTickMs).unref();
  },
  /** Sends one message of `count` datagrams per session and interval, for the given time. Returns how many were sent. */
  async send({ bytes, count, intervalMs, durationMs }: TunnelLoadOrder): Promise<number> {
    const datagram = new Uint8Array(bytes).fill(0x80);
    const start = performance.now();
    const end = start + durationMs;
    const before = sum('droppedDatagrams');
    let messages = 0;
    for (let due = start; performance.now() < end; due += intervalMs) {
      // The sessions of a real edge are not in step: spread them over the interval.
      for (const [index, tunnel] of tunnels.entries()) {
        if (index % 10 === 0) await until(due + (index / tunnels.length) * intervalMs);
        tunnel.send(datagram, count);
        messages++;
      }
      // A machine that cannot keep up sends less often, and not all at once later.
      due = Math.max(due, performance.now() - intervalMs);
    }
    await drained();
    return messages * count - (sum('droppedDatagrams') - before);
  },
  reset(): void {
    for (const tunnel of tunnels) tunnel.receivedBytes = tunnel.receivedDatagrams = 0;
  },
  received(): TunnelLoadReading {
    return { receivedBytes: sum('receivedBytes'), receivedDatagrams: sum('receivedDatagrams') };
  },
  close(): void {
    for (const tunnel of tunnels) tunnel.destroy();
    tunnels.length = 0;
  },
});

function sum(of: 'receivedBytes' | 'receivedDatagrams' | 'droppedDatagrams'): number {
  return tunnels.reduce((total, tunnel) => total + tunnel[of], 0);
}

async function until(moment: number): Promise<void> {
  const wait = moment - performance.now();
  await (wait > 1 ? new Promise((resolve) => setTimeout(resolve, wait)) : new Promise(setImmediate));
}

async function drained(): Promise<void> {
  while (tunnels.some((tunnel) => !tunnel.isDrained)) await until(performance.now() + 5);
}
