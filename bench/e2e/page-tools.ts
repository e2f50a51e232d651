/** What page tests ask of a tab that runs the demo page. */
import type { BrowserContext, Page } from 'playwright-core';
import type { DoctorReport, RungAttempt } from '../../client/index.ts';
import type { ControlRung, Rung } from '../../tunnel-protocol/index.ts';

/** The part of `window.sallyportCall` that tests use; `client/page` is compiled apart and cannot be imported here. */
export interface PageCall {
  readonly sessionId: string;
  readonly self: { readonly identity: string };
  readonly closed: boolean;
  readonly rung: Rung;
  readonly controlRung: ControlRung;
  /** Every rung that ICE tried since the join began, then the carriers of the control channel. */
  readonly attempts: readonly RungAttempt[];
  readonly participants: readonly { readonly id: string; readonly name: string }[];
  readonly slots: readonly { readonly mid: string; readonly kind: string; readonly participant: string | null }[];
  readonly peer: {
    readonly signalingState: string;
    readonly localDescription: { readonly sdp: string } | null;
    getConfiguration(): { readonly iceServers: readonly { readonly urls: readonly string[] }[] };
    getStats(): Promise<Map<string, PeerStatsEntry>>;
    addEventListener(name: string, listener: () => void): void;
  } | null;
  stats(): {
    readonly joinMs: number;
    readonly mediaConnected: boolean;
    readonly tracks: readonly PageTrackStats[];
  };
  /** The page's own media stack. */
  readonly tunnel: {
    readonly firstPictureAt: number | null;
    readonly stats: readonly (PageTrackStats & {
      readonly kind: string;
      readonly lost: number;
      readonly concealedSamples: number;
    })[];
  } | null;
  restartIce(): Promise<void>;
  leave(): Promise<void>;
}

/** The members that tests use, of all types of entry; every one may be missing. */
export interface PeerStatsEntry {
  readonly type: string;
  readonly selectedCandidatePairId?: string;
  readonly localCandidateId?: string;
  readonly remoteCandidateId?: string;
  readonly candidateType?: string;
  readonly protocol?: string;
  readonly relayProtocol?: string;
  readonly port?: number;
  readonly packetsSent?: number;
}

export interface PageTrackStats {
  readonly mid: string;
  readonly direction: 'send' | 'receive';
  readonly packets: number;
  readonly frames: number;
  readonly width: number;
  readonly audioEnergy: number;
  readonly audioSamples: number;
}

declare global {
  // Of the page, not of this process: functions given to `evaluate` run there. Undefined before its script has run.
  var sallyportCall: PageCall | null | undefined;
  var negotiations: number;
  var sallyportReport: DoctorReport | null | undefined;
}

/** What a browser's own ICE can end on, and what the page calls it. */
const shownAs = {
  udp: 'UDP, direct',
  'turn-udp': 'TURN over UDP',
  'ice-tcp': 'ICE over TCP',
  'turn-tcp': 'TURN over TCP',
  'turn-tls': 'TURN over TLS',
} as const satisfies Partial<Record<Rung, string>>;
export type NativeRung = keyof typeof shownAs;
export const nativeRungs = Object.keys(shownAs) as NativeRung[];

/** Long, because a machine that does other work besides decodes slowly; nothing waits for it when all is well. */
const patienceMs = 20_000;
/** Below the 60 s that a test file may take. */
export const testTimeoutMs = 110_000;

/** Opens the page by a link that joins at once, with this rung alone if one is given, and waits until it is in the call. */
export async function joinByLink(
  context: BrowserContext,
  url: string,
  name: string,
  room = 'test',
  rung?: Rung,
): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${url}/?room=${room}&name=${name}&join=1${rung === undefined ? '' : `&rung=${rung}`}`);
  await inCall(page);
  return page;
}

/** Rejects with what the page says when it could not join. */
export async function inCall(page: Page): Promise<void> {
  const problem = page.locator('#join-problem');
  const refused = problem.waitFor({ timeout: patienceMs }).then(async () => {
    throw new Error(`the page says: ${(await problem.textContent()) ?? ''}`);
  });
  await Promise.race([until(page, () => (globalThis.sallyportCall ?? null) !== null), refused]);
  refused.catch(() => undefined);
}

/** Polls in the page, because hidden tabs have no animation frames. */
export async function until<Argument>(
  page: Page,
  condition: (argument: Argument) => boolean,
  argument?: Argument,
): Promise<void> {
  await page.waitForFunction(condition as (argument: unknown) => boolean, argument, {
    timeout: patienceMs,
    polling: 100,
  });
}

/** The section's figures as of the last second; null before its first packet. */
export async function trackStats(page: Page, mid: string): Promise<PageTrackStats | null> {
  return page.evaluate(
    (wanted) => globalThis.sallyportCall?.stats().tracks.find((track) => track.mid === wanted) ?? null,
    mid,
  );
}

/** Resolves once the section has decoded this many frames more than now. */
export async function framesGrow(page: Page, mid: string, by: number): Promise<void> {
  const before = (await trackStats(page, mid))?.frames ?? 0;
  await until(
    page,
    ({ wanted, least }) =>
      (globalThis.sallyportCall?.stats().tracks.find((track) => track.mid === wanted)?.frames ?? 0) >= least,
    { wanted: mid, least: before + by },
  );
}

/** Resolves once this rung is shown on the page, and is that of its call: figures are refreshed each second. */
export async function expectRung(page: Page, rung: NativeRung): Promise<void> {
  await until(page, (wanted) => globalThis.sallyportCall?.rung === wanted, rung);
  await page.locator('#figure-rung', { hasText: shownAs[rung] }).waitFor();
  await page.locator(`#ladder-list [data-rung=${rung}][data-state=used]`).waitFor({ state: 'attached' });
}

/** The report of the doctor's page, once it is there. Longer than its 30 s only where the machine stands still. */
export async function doctorReport(page: Page): Promise<DoctorReport> {
  const report = await page.waitForFunction(() => globalThis.sallyportReport ?? null, undefined, {
    timeout: 60_000,
    polling: 100,
  });
  return (await report.jsonValue()) as DoctorReport;
}
