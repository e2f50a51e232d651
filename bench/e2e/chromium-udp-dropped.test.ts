/** A real browser in a network that drops all UDP, from the beginning or in the middle of a call: it helps itself. */
import t from 'tap';
import { runCell } from '../lab/cell.ts';
import { ChromiumClient } from '../lab/chromium-client.ts';
import { startLabEdge } from '../lab/lab-edge.ts';
import { labMissing } from '../lab/lab-missing.ts';
import { withNamespaces } from '../lab/namespaces.ts';
import { NodeParticipant } from '../lab/node-client.ts';
import { udpBlocked } from '../lab/profiles/udp-blocked.ts';
import { chromiumMissing } from './chromium.ts';
import { testTimeoutMs } from './page-tools.ts';

const skip = labMissing === false ? chromiumMissing : labMissing;
const room = 'faded';
const withoutUdp = ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'] as const;
const pollMs = 50;
/** ICE notices dead UDP after about 5 s, and media goes on with a key frame. */
const patienceMs = 20_000;

t.test('all UDP is dropped', { skip, timeout: testTimeoutMs }, async (t) => {
  await withNamespaces({ firewall: udpBlocked.firewall ?? '' }, async (lab) => {
    const edge = await startLabEdge(lab);
    const peer = new NodeParticipant(lab.edge, edge.url, 'Peer');
    const client = await ChromiumClient.launch(lab, edge);
    try {
      await t.test('from the beginning: ICE over TCP, or the tunnel where that is sooner', async (t) => {
        const profile = { ...udpBlocked, rungs: { ...udpBlocked.rungs, chromium: withoutUdp } };
        const run = await runCell({
          profile,
          kind: 'chromium',
          client,
          peer,
          room: 'blocked',
          watchMs: 2_000,
          setFirewall: lab.setFirewall,
        });
        t.equal(run.problem, null, 'media flows both ways');
        t.ok(
          withoutUdp.some((rung) => rung === run.rung),
          String(run.rung),
        );
        t.comment(`the first picture came after ${String(run.joinMs)} ms`);
        t.ok((await lab.packetsStopped()) > 0, 'UDP was tried and dropped');
      });

      await t.test('in the middle of a call: media goes on over TCP', async (t) => {
        await lab.setFirewall('');
        await peer.join(room, patienceMs);
        await client.join(room, patienceMs);
        await reported(client, ({ rung }) => rung === 'udp');
        await picturesMore(client, 10);
        await lab.setFirewall(udpBlocked.firewall ?? '');
        const droppedAt = performance.now();
        await reported(client, ({ rung }) => rung !== 'udp');
        t.comment(`on another rung after ${(performance.now() - droppedAt).toFixed(0)} ms`);
        await picturesMore(client, 10);
        t.comment(`10 more pictures after ${(performance.now() - droppedAt).toFixed(0)} ms`);
        const { rung } = await client.report();
        t.ok(
          withoutUdp.some((other) => other === rung),
          String(rung),
        );
        await Promise.all([client.leave(), peer.leave()]);
      });
      t.same(edge.errors, [], 'the edge logs no errors');
    } finally {
      await Promise.allSettled([client.close(), peer.close()]);
    }
  });
});

type Report = Awaited<ReturnType<ChromiumClient['report']>>;

/** Resolves when the client's report satisfies the condition; rejects when it does not in time. */
async function reported(client: ChromiumClient, condition: (report: Report) => boolean): Promise<Report> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const report = await client.report();
    if (condition(report)) return report;
    if (performance.now() > deadline) throw new Error(`the client's report stays ${JSON.stringify(report)}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function picturesMore(client: ChromiumClient, count: number): Promise<void> {
  const { video } = await client.report();
  await reported(client, (report) => report.video >= video + count);
}
