/** Every rung of the Node client alone, through a real edge: media gets out and is recorded, both ends say which rung it is. */
import t from 'tap';
import { IvfRecorder, loadClip } from '../../client/index.ts';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { clipFiles, packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';

t.setTimeout(testTimeoutMs);

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const nodeRungs = ['udp', 'turn-udp', 'ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'] as const;

function sessionsOn(metrics: string, rung: Rung): number {
  return Number(new RegExp(`^sallyport_sessions\\{rung="${rung}"\\} (\\d+)$`, 'm').exec(metrics)?.[1]);
}

t.test('one rung allowed: it carries the clip', async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t, {}, { turn: true });
  const known = new Set(
    (await loadClip(clipFiles)).video?.frames.map(({ data }) => Buffer.from(data).toString('base64')),
  );
  const folder = t.testdir({});
  const joinMs: string[] = [];
  await Promise.all(
    nodeRungs.map(async (rung) => {
      const room = `room of ${rung}`;
      const ada = await joined(edge.url, { room, name: 'Ada', rungs: [rung] });
      t.equal(ada.rung, rung);
      t.match(ada.attempts, [{ rung, outcome: 'connected' }], `${rung}: nothing else was tried`);
      joinMs.push(`${rung} ${ada.stats().joinMs.toFixed(0)}`);
      const grace = await joined(edge.url, { room, name: 'Grace', rungs: ['udp'] });
      const source = await publishClip(ada);
      cleanUp(() => {
        source.stop();
      });
      const video = await trackOf(grace, mainVideo);
      const file = `${folder}/${rung}.ivf`;
      const recorder = await IvfRecorder.open(file);
      recorder.record(video, () => {
        grace.requestKeyFrame(mainVideo);
      });
      await Promise.all([packetsOf(video, 60), packetsOf(await trackOf(grace, mainAudio), 60)]);
      await recorder.close();
      const frames = (await loadClip([file])).video?.frames ?? [];
      t.ok(frames.length >= 5, `${rung}: ${String(frames.length)} frames`);
      t.ok(
        frames.every(({ data }) => known.has(Buffer.from(data).toString('base64'))),
        `${rung}: they are the clip's own, byte for byte`,
      );
      t.equal(grace.stats().packetsLost, 0);
    }),
  );
  t.comment(`ms from the beginning of the join until media can flow, six at once: ${joinMs.join(', ')}`);
  const metrics = await edge.metrics();
  for (const rung of nodeRungs) t.equal(sessionsOn(metrics, rung), rung === 'udp' ? 7 : 1, rung);
});

t.test('UDP does not answer: nothing waits for it, and the attempts tell', async (t) => {
  // Nobody is at the address of the candidates: UDP is silent, ICE-TCP refused at once.
  const { edge, joined } = await withEdge(t, { SALLYPORT_PUBLIC_ADDRESS: '127.0.0.3' });
  const call = await joined(edge.url, { room: 'r', name: 'Ada' });
  if (call.rung !== 'turn-tcp') {
    const changed = new Promise((resolve) => {
      call.once('rung', resolve);
    });
    t.equal(call.rung, 'websocket');
    t.same(await changed, { from: 'websocket', to: 'turn-tcp', reason: 'better-rung-proven' });
  }
  // The first of each rung: what failed is tried again while the better one is being proven.
  const attempts = new Map(call.attempts.map((attempt) => [attempt.rung, attempt] as const).reverse());
  t.match(attempts.get('turn-udp'), { outcome: 'skipped', reason: 'the edge offers none' });
  t.match(attempts.get('websocket'), { outcome: 'connected' });
  t.match(attempts.get('turn-tcp'), { outcome: 'connected' });
  t.match(attempts.get('ice-tcp'), { outcome: 'failed', reason: 'ECONNREFUSED' });
  t.match(attempts.get('udp'), { outcome: 'pending' });
  t.notOk(attempts.has('turn-tls'), 'there was no need for it');
  await t.rejects(call.switchRung('ice-tcp'), { code: 'rung-unavailable', message: /ice-tcp: ECONNREFUSED/ });
  t.equal(call.rung, 'turn-tcp', 'and it stays where it is');
});
