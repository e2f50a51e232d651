/** A Node client in three networks, through a real edge: what the matrix is made of. */
import t from 'tap';
import { runCell, type CellRun } from './cell.ts';
import { startLabEdge } from './lab-edge.ts';
import { labMissing } from './lab-missing.ts';
import { withNamespaces } from './namespaces.ts';
import { NodeParticipant } from './node-client.ts';
import { forwardRules, type Profile } from './profile.ts';
import { open } from './profiles/open.ts';
import { udpBlocked } from './profiles/udp-blocked.ts';

const walledIn: Profile = {
  ...open,
  name: 'walled-in',
  summary: 'nothing passes',
  firewall: forwardRules('counter drop'),
  budgetSeconds: 2,
};

t.setTimeout(55_000);

t.test('cells are green or red for the right reasons', { skip: labMissing, timeout: 110_000 }, (t) =>
  withNamespaces({}, async (lab) => {
    const edge = await startLabEdge(lab);
    const peer = new NodeParticipant(lab.edge, edge.url, 'Peer');
    const client = new NodeParticipant(lab.client, edge.url, 'Client');
    const run = async (profile: Profile): Promise<CellRun> => {
      return runCell({
        profile,
        kind: 'node',
        client,
        peer,
        room: profile.name,
        watchMs: 2_000,
        setFirewall: lab.setFirewall,
      });
    };

    const inTheOpen = await run(open);
    t.match(inTheOpen, { ok: true, rung: 'udp', problem: null });
    t.ok((inTheOpen.joinMs ?? 0) > 0, `first packet after ${String(inTheOpen.joinMs)} ms`);
    t.ok(inTheOpen.attempts.some(({ rung, outcome }) => rung === 'udp' && outcome === 'connected'));

    const withoutUdp = await run(udpBlocked);
    t.match(withoutUdp, { ok: true, problem: null });
    t.not(withoutUdp.rung, 'udp');
    t.ok((await lab.packetsStopped()) > 0, 'UDP was tried and dropped');

    t.match(await run({ ...open, rungs: { chromium: [], node: ['long-poll'] } }), {
      ok: false,
      rung: 'udp',
      problem: 'media ended on udp; here it should be long-poll',
    });

    t.match(await run(walledIn), { ok: false, rung: null, joinMs: null, received: 0, problem: /./ });
    t.same(edge.errors, []);
    await Promise.all([client.close(), peer.close()]);
  }),
);
