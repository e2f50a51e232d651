/**
 * Calls on the HTTP rungs: media both ways between Node clients, over HTTP/2 and HTTP/1.1. What grows too old on the way, as
 * it does on a machine that does other work, is dropped on purpose; how much that is, the lab and the benches count.
 */
import t from 'tap';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { packetsOf, publishClip, statsUntil, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import { startHttpProxy } from './http-proxy.ts';

t.setTimeout(testTimeoutMs);

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;

for (const rung of ['http-stream', 'long-poll'] as const) {
  for (const version of ['HTTP/2', 'HTTP/1.1'] as const) {
    t.test(`${rung} over ${version}: media both ways`, async (t) => {
      const { edge, joined, cleanUp } = await withEdge(t);
      let { url } = edge;
      if (version === 'HTTP/1.1') {
        // Node's own server knows nothing else.
        const proxy = await startHttpProxy(edge.url);
        cleanUp(() => proxy.close());
        url = proxy.url;
      }
      const calls = [
        await joined(url, { room: 'r', name: 'Ada', rungs: [rung] }),
        await joined(url, { room: 'r', name: 'Grace', rungs: [rung] }),
      ];
      for (const call of calls) {
        t.match(call, { rung, controlRung: rung });
        t.match(call.attempts, [
          { rung, outcome: 'connected' },
          { rung, outcome: 'connected', channel: 'control' },
        ]);
        const source = await publishClip(call);
        cleanUp(() => {
          source.stop();
        });
      }
      for (const call of calls) {
        await Promise.all([
          packetsOf(await trackOf(call, mainVideo), 60),
          packetsOf(await trackOf(call, mainAudio), 60),
        ]);
        const { packetsLost, packetsReceived } = await statsUntil(call, ({ packetsSent }) => packetsSent > 60);
        t.comment(`${String(packetsLost)} of ${String(packetsReceived)} packets lost`);
      }
      const [ada, grace] = calls;
      const updated = new Promise<unknown>((resolve) => {
        grace?.on('participant-updated', ({ status }) => {
          if (status['hand'] === true) resolve(status);
        });
      });
      await ada?.status({ hand: true });
      t.same(await updated, { hand: true });
      const metrics = await edge.metrics();
      t.match(metrics, new RegExp(`sallyport_sessions\\{rung="${rung}"\\} 2`));
      t.match(metrics, /sallyport_datagrams_total\{rung="websocket",direction="in"\} 0/);
      t.comment(`joined in ${calls.map((call) => call.stats().joinMs.toFixed(0)).join(' and ')} ms`);
    });
  }
}
