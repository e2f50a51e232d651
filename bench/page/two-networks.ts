/** Two pages behind different firewalls, one that lets everything pass and one that leaves long-polls alone, for two minutes. */
import { ChromiumClient } from '../lab/chromium-client.ts';
import { startLabEdge } from '../lab/lab-edge.ts';
import { withNamespaces } from '../lab/namespaces.ts';
import { buffering } from '../lab/profiles/tls-inspect.ts';
import { clockCamera, pause } from './websocket.ts';

const patienceMs = 30_000;
const settleMs = 5_000;
const measuredMs = 120_000;
const lookMs = 1_000;

export async function measureTwoNetworks(progress: (text: string) => void): Promise<Readonly<Record<string, number>>> {
  return withNamespaces({ firewall: buffering.firewall ?? '' }, async (lab) => {
    const edge = await startLabEdge(lab);
    const hop = (await buffering.intermediary?.(lab)) ?? null;
    // The router's own packets pass no firewall.
    const open = await ChromiumClient.launch({ ...lab, client: lab.router }, edge, null, clockCamera);
    const closed = await ChromiumClient.launch(lab, edge, hop, clockCamera);
    try {
      await open.join('two', patienceMs);
      await closed.join('two', patienceMs);
      await pause(settleMs);
      const ends = { open, 'long-poll': closed };
      const before = { open: await open.report(), 'long-poll': await closed.report() };
      const silence = { open: 0, 'long-poll': 0 };
      const startedAt = performance.now();
      while (performance.now() - startedAt < measuredMs) {
        await pause(lookMs);
        for (const end of ['open', 'long-poll'] as const) {
          silence[end] = Math.max(silence[end], (await ends[end].report()).gapMs);
        }
        const seconds = Math.round((performance.now() - startedAt) / 1_000);
        if (seconds % 20 === 0) progress(`two-networks: ${String(seconds)} of ${String(measuredMs / 1_000)} s`);
      }
      const seconds = (performance.now() - startedAt) / 1_000;
      const after = { open: await open.report(), 'long-poll': await closed.report() };
      const rungs = `${after.open.rung ?? 'none'} and ${after['long-poll'].rung ?? 'none'}`;
      progress(`two-networks: on ${rungs}`);
      if (rungs !== 'udp and long-poll') throw new Error(`the pages are on ${rungs}`);
      const fps = (end: keyof typeof ends): number => (after[end].video - before[end].video) / seconds;
      return {
        'page.two-networks.open_decoded_fps': fps('open'),
        'page.two-networks.long-poll_decoded_fps': fps('long-poll'),
        'page.two-networks.open_silence_ms': silence.open,
        'page.two-networks.long-poll_silence_ms': silence['long-poll'],
      };
    } finally {
      await Promise.allSettled([open.close(), closed.close()]);
      await hop?.close();
    }
  });
}
