/** UDP is dropped in the middle of calls: how long a page hears nothing. */
import { ChromiumClient } from '../lab/chromium-client.ts';
import { startLabEdge } from '../lab/lab-edge.ts';
import { withNamespaces } from '../lab/namespaces.ts';
import { NodeParticipant } from '../lab/node-client.ts';
import { udpBlocked } from '../lab/profiles/udp-blocked.ts';
import { pause } from './websocket.ts';

const patienceMs = 30_000;
/** In a call for so long; the tunnel stands by from 3 s on. */
const settleMs = 7_000;
const pollMs = 100;
/** The gap is known when sound has been back for a while. */
const afterMs = 2_500;
const longestMs = 15_000;

/** The longest time without a packet of sound in each of so many calls, in ms. Sound is looked for four times a second. */
export async function measureUdpDeath(calls: number, progress: (text: string) => void): Promise<readonly number[]> {
  return withNamespaces({}, async (lab) => {
    const edge = await startLabEdge(lab);
    const peer = new NodeParticipant(lab.edge, edge.url, 'Peer');
    const client = await ChromiumClient.launch(lab, edge);
    const gaps: number[] = [];
    try {
      for (let call = 1; call <= calls; call++) {
        await lab.setFirewall('');
        const room = `dies-${String(call)}`;
        await peer.join(room, patienceMs);
        await client.join(room, patienceMs);
        await until(async () => (await client.report()).rung === 'udp', patienceMs);
        await pause(settleMs);
        // Gaps of the join are not meant.
        await client.report();
        await lab.setFirewall(udpBlocked.firewall ?? '');
        const diedAt = performance.now();
        let gapMs = 0;
        let movedAt = Infinity;
        await until(async () => {
          const report = await client.report();
          gapMs = Math.max(gapMs, report.gapMs);
          if (report.rung !== 'udp') movedAt = Math.min(movedAt, performance.now());
          return performance.now() > movedAt + afterMs;
        }, longestMs);
        const { rung } = await client.report();
        gaps.push(gapMs);
        const moved = (movedAt - diedAt).toFixed(0);
        progress(
          `udp-dies ${String(call)} of ${String(calls)}: on ${rung ?? 'no rung'} after ${moved} ms, silent for ${gapMs.toFixed(0)} ms`,
        );
        await Promise.all([client.leave(), peer.leave()]);
      }
    } finally {
      await Promise.allSettled([client.close(), peer.close()]);
    }
    return gaps;
  });
}

async function until(isDone: () => Promise<boolean>, mostMs: number): Promise<void> {
  const deadline = performance.now() + mostMs;
  while (!(await isDone())) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${String(mostMs)} ms`);
    await pause(pollMs);
  }
}
