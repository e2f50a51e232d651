/** A page in a call: the SFU node that has its room is killed, and then its edge. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { clusterMissing, startCluster } from './cluster.ts';
import { joinInsecurely, publishClip } from './node-tools.ts';
import { framesGrow, joinByLink, until } from './page-tools.ts';

t.setTimeout(115_000);

const [mainVideo] = videoSlotMids;

t.test(
  'the page joins again by itself at another node, and goes on at another edge',
  { skip: clusterMissing() || chromiumMissing },
  async (t) => {
    const cluster = await startCluster({ edges: 2, nodes: 2 });
    t.teardown(() => cluster.close());
    const [first, second] = cluster.edges;
    if (first === undefined || second === undefined) throw new Error('there are two edges');
    const ada = await joinInsecurely(second.url, { room: 'r', name: 'Ada', rungs: ['websocket'] });
    t.teardown(() => ada.leave());
    const source = await publishClip(ada);
    t.teardown(() => {
      source.stop();
    });
    const chromium = await launchChromium();
    t.teardown(() => chromium.close());
    const context = await chromium.context({ viewport: { width: 640, height: 480 } });
    const page = await joinByLink(context, first.url, 'Grace', 'r', 'websocket');
    const errors = collectErrors(page);
    await framesGrow(page, mainVideo, 10);
    await page.getByRole('button', { name: 'Mute' }).click();
    const { sessionId, identity } = await page.evaluate(() => ({
      sessionId: globalThis.sallyportCall?.sessionId ?? '',
      identity: globalThis.sallyportCall?.self.identity ?? '',
    }));

    for (const node of cluster.nodes) {
      if (/sallyport_sessions\{rung="websocket"\} [1-9]/.test(await node.metrics())) await node.end('SIGKILL');
    }
    await until(
      page,
      (before) => {
        const call = globalThis.sallyportCall;
        return call?.closed === false && call.sessionId !== before;
      },
      sessionId,
    );
    await framesGrow(page, mainVideo, 10);
    t.equal(await page.evaluate(() => globalThis.sallyportCall?.self.identity), identity, 'the same guest');
    t.ok(await page.getByRole('button', { name: 'Unmute' }).isVisible(), 'still muted');
    const again = await page.evaluate(() => globalThis.sallyportCall?.sessionId);
    await first.end('SIGKILL');
    await framesGrow(page, mainVideo, 10);
    t.equal(await page.evaluate(() => globalThis.sallyportCall?.sessionId), again, 'the same session at another edge');
    t.same(
      errors.filter((text) => !text.includes('WebSocket connection to')),
      [],
      'but for what the browser says of connections',
    );
  },
);
