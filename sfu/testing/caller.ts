/** A page of Chromium in a call, and what its statistics say. */
import type { ChromiumBrowser, InboundStats, PeerOptions, PeerPage, PeerStats } from './chromium.ts';
import type { SfuFixture } from './sfu-fixture.ts';
import type { TunnelClient } from './tunnel.ts';

export interface Caller {
  readonly id: string;
  readonly page: PeerPage;
  readonly client: TunnelClient;
}

/** A page that has joined, offered, published what it has, and is connected. */
export async function call(
  sfu: SfuFixture,
  browser: ChromiumBrowser,
  name: string,
  options: PeerOptions,
): Promise<Caller> {
  const page = await browser.open(options);
  const client = sfu.open({ name });
  const { self } = await client.must({ type: 'join' });
  await negotiate(page, client);
  if (options.camera) {
    await client.must({ type: 'publish', source: 'microphone', muted: false });
    await client.must({ type: 'publish', source: 'camera', muted: false });
  }
  if (options.screen === true) await client.must({ type: 'publish', source: 'screen', muted: false });
  await page.connected();
  return { id: self.id, page, client };
}

export async function negotiate(page: PeerPage, client: TunnelClient, iceRestart = false): Promise<void> {
  const sdp = await page.offer({ iceRestart });
  await page.answer((await client.must({ type: 'offer', sdp })).sdp);
}

export const frames = (stats: PeerStats, mid: string): number => stats.inbound[mid]?.framesDecoded ?? 0;
export const height = (stats: PeerStats, mid: string): number => stats.inbound[mid]?.frameHeight ?? 0;
export const inbound = (stats: PeerStats, mid: string): InboundStats => {
  const report = stats.inbound[mid];
  if (report === undefined) throw new Error(`nothing came on mid ${mid}`);
  return report;
};
