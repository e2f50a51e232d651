/** Which rung a real browser takes when it may choose among all: the direct one, whatever servers it has been given. */
import t from 'tap';
import type { Page } from 'playwright-core';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { joinInsecurely, publishClip } from './node-tools.ts';
import { expectRung, framesGrow, joinByLink, testTimeoutMs } from './page-tools.ts';

const [mainVideo] = videoSlotMids;

/** How often, and how long each time, the choice is watched. */
const choices = 3;
const watchMs = 3_000;

interface SelectedPair {
  readonly local: string;
  readonly remotePort: number;
  readonly packetsSent: number;
}

t.test('Chromium with all servers', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge({ turn: true });
  t.teardown(() => edge.close());
  const chromium = await launchChromium({
    pins: edge.certificatePin === null ? [] : [edge.certificatePin],
    // Its TURN client refuses servers on the loopback address otherwise.
    flags: ['--allow-loopback-in-peer-connection'],
  });
  t.teardown(() => chromium.close());
  const context = await chromium.context({ viewport: { width: 640, height: 480 } });
  await context.addInitScript(answerAfterRelays);
  const grace = await joinInsecurely(edge.url, { room: 'r', name: 'Grace', rungs: ['websocket'] });
  t.teardown(() => grace.leave());
  const clip = await publishClip(grace);
  t.teardown(() => {
    clip.stop();
  });

  await t.test('with all servers it takes the direct way, and stays there', async (t) => {
    for (let choice = 1; choice <= choices; choice++) {
      const page = await joinByLink(context, edge.url, 'Ada', 'r');
      const errors = collectErrors(page);
      const servers = await page.evaluate(() => globalThis.sallyportCall?.peer?.getConfiguration().iceServers[0]?.urls);
      t.equal(servers?.length, 3, 'it has TURN over UDP, TCP and TLS');
      t.ok(
        servers?.every((url) => !url.includes(`:${String(edge.udpPort)}?transport=udp`)),
        'none on the media port',
      );
      await expectRung(page, 'udp');
      await framesGrow(page, mainVideo, 5);
      // What arrived is read before, and afterwards behind, what was sent: nothing of that can be missing.
      const arrivedBefore = await datagramsFrom(edge, 'udp');
      const before = { ...(await selectedPair(page)), changes: await page.locator('#history li').count() };
      await page.waitForTimeout(watchMs);
      await expectRung(page, 'udp');
      const after = await selectedPair(page);
      const arrived = (await datagramsFrom(edge, 'udp')) - arrivedBefore;
      for (const { local, remotePort } of [before, after]) {
        t.equal(local, 'direct', 'no relay');
        t.equal(remotePort, edge.udpPort, 'the other end of the selected pair is the media port');
      }
      const sent = after.packetsSent - before.packetsSent;
      t.ok(sent >= 20, `${String(sent)} RTP packets sent`);
      t.ok(arrived >= sent * 0.8, `${String(arrived)} datagrams came to the media port meanwhile`);
      t.match(await edge.metrics(), 'sallyport_sessions{rung="udp"} 1\n');
      t.equal(await page.locator('#history li').count(), before.changes, 'nothing has changed meanwhile');
      t.same(errors, []);
      await page.evaluate(() => globalThis.sallyportCall?.leave());
      await page.close();
    }
  });
  t.same(edge.errors, [], 'the edge logs no errors');
});

interface Peer {
  addEventListener(
    name: 'icecandidate',
    listener: (event: { readonly candidate: { readonly type: string; readonly url?: string | null } | null }) => void,
  ): void;
}

type Describe = (this: Peer, description: unknown) => Promise<void>;

/**
 * Runs in the page: the answer takes effect when every TURN server has given an address, as it does on a slow network.
 * Otherwise the direct pair may be there before a relay takes part, and browsers then end their gathering.
 */
function answerAfterRelays(): void {
  const page = globalThis as unknown as {
    RTCPeerConnection: { prototype: { setLocalDescription: Describe; setRemoteDescription: Describe } };
  };
  const { prototype } = page.RTCPeerConnection;
  const { setLocalDescription, setRemoteDescription } = prototype;
  let allRelayed: Promise<void> | null = null;
  prototype.setLocalDescription = function (description) {
    allRelayed ??= new Promise((resolve) => {
      const relays = new Set<string>();
      this.addEventListener('icecandidate', ({ candidate }) => {
        if (candidate?.type === 'relay' && typeof candidate.url === 'string') relays.add(candidate.url);
        if (relays.size === 3) resolve();
      });
    });
    return setLocalDescription.call(this, description);
  };
  prototype.setRemoteDescription = async function (description) {
    await allRelayed;
    await setRemoteDescription.call(this, description);
  };
}

async function selectedPair(page: Page): Promise<SelectedPair> {
  return page.evaluate(async () => {
    const stats = (await globalThis.sallyportCall?.peer?.getStats()) ?? new Map<string, never>();
    const entries = [...stats.values()];
    const pair = stats.get(entries.find(({ type }) => type === 'transport')?.selectedCandidatePairId ?? '');
    const local = stats.get(pair?.localCandidateId ?? '');
    return {
      local: local?.candidateType === 'relay' || local?.protocol !== 'udp' ? 'not direct' : 'direct',
      remotePort: stats.get(pair?.remoteCandidateId ?? '')?.port ?? 0,
      packetsSent: entries
        .filter(({ type }) => type === 'outbound-rtp')
        .reduce((sum, { packetsSent = 0 }) => sum + packetsSent, 0),
    };
  });
}

async function datagramsFrom(edge: { metrics(): Promise<string> }, rung: Rung): Promise<number> {
  const line = new RegExp(`^sallyport_datagrams_total\\{rung="${rung}",direction="in"\\} (\\d+)$`, 'm');
  return Number(line.exec(await edge.metrics())?.[1] ?? Number.NaN);
}
