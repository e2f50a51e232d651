/** One cell of the matrix: does this client get into the call from here, with media both ways, by itself? */
import { rungs, type Rung } from '../../tunnel-protocol/index.ts';
import type { RungAttempt } from '../../client/index.ts';
import type { ClientReport, ClientUnderTest } from './client-under-test.ts';
import { defaultBudgetSeconds, type ClientKind, type Profile } from './profile.ts';

export interface CellRun {
  readonly ok: boolean;
  /** The rung that carried media at the end; null without any. */
  readonly rung: Rung | null;
  readonly joinMs: number | null;
  /** The error that the client came to where that is right; null otherwise. */
  readonly refusal: string | null;
  /** RTP packets that the client received, and how many it missed. */
  readonly received: number;
  readonly lost: number;
  /** The longest time without sound at the client while media was watched; null when it was not. */
  readonly gapMs: number | null;
  /** Best rung first. */
  readonly attempts: readonly RungAttempt[];
  /** Why the cell is red, for people; null if it is green. */
  readonly problem: string | null;
}

export interface CellOptions {
  readonly profile: Profile;
  readonly kind: ClientKind;
  readonly client: ClientUnderTest;
  /** In the room already when the client comes, from an open network. */
  readonly peer: ClientUnderTest;
  readonly room: string;
  /** Of the network's router: each run begins with the profile's own ruleset, fresh, and `later` changes it. */
  readonly setFirewall: (ruleset: string) => Promise<void>;
  /** How long media is watched once it flows both ways. */
  readonly watchMs: number;
}

/** Media flows when so much of each kind has come: more than what one lucky burst brings. */
const flowing = { video: 10, audio: 25 };
/** While it is watched, each second should bring at least so much; at 5 % loss and on a busy machine, too. */
const perSecond = { video: 1, audio: 10 };
const pollMs = 100;
/** For a client that does not keep its own time-outs, and for its answers. */
const graceMs = 5_000;

/** Never rejects because of the client: that is what the result is about. */
export async function runCell(options: CellOptions): Promise<CellRun> {
  const { profile, client, peer, room, watchMs } = options;
  await options.setFirewall(profile.firewall ?? '');
  if (profile.refusal !== undefined) return runRefusal(options, profile.refusal);
  const { later } = profile;
  const budgetMs = profile.budgetSeconds * 1_000;
  const wholeMs = (later === undefined ? budgetMs : (later.seconds + later.climbSeconds) * 1_000) + watchMs;
  const watched = { gapMs: null as number | null };
  await peer.join(room, budgetMs);
  try {
    const problem = await within(
      wholeMs + graceMs,
      tryCall(options, budgetMs, watched).catch(messageOf),
      `nothing more was heard of the client in ${String(wholeMs / 1_000)} s`,
    );
    const report = await within(
      graceMs,
      client.report().catch(() => null),
      null,
    );
    const wrong = problem ?? wrongRung(report?.rung ?? null, profile.rungs[options.kind]);
    return {
      ok: wrong === null,
      rung: report?.rung ?? null,
      joinMs: report?.joinMs == null ? null : Math.round(report.joinMs),
      refusal: null,
      received: report?.packets ?? 0,
      lost: report?.lost ?? 0,
      gapMs: watched.gapMs === null ? null : Math.round(watched.gapMs),
      attempts: inOrder(report?.attempts ?? []),
      problem: wrong,
    };
  } finally {
    await Promise.allSettled([client.leave(), peer.leave()]);
  }
}

/** Green when the client says soon, and in the right words, that there is no way. */
async function runRefusal(
  { client, room }: CellOptions,
  { codes, seconds }: NonNullable<Profile['refusal']>,
): Promise<CellRun> {
  const startedAt = performance.now();
  const budgetMs = seconds * 1_000;
  const message = await within(
    budgetMs + graceMs,
    client.join(room, defaultBudgetSeconds * 1_000).then(() => 'it joined', messageOf),
    'it said nothing',
  );
  const tookMs = Math.round(performance.now() - startedAt);
  const report = await within(
    graceMs,
    client.report().catch(() => null),
    null,
  );
  await client.leave().catch(() => undefined);
  const code = codes.find((known) => message.startsWith(`${known}:`)) ?? null;
  const isRight = code !== null && tookMs <= budgetMs;
  const wanted = `${codes.join(' or ')} within ${String(seconds)} s`;
  return {
    ok: isRight,
    rung: null,
    joinMs: isRight ? tookMs : null,
    refusal: code,
    received: 0,
    lost: 0,
    gapMs: null,
    attempts: inOrder(report?.attempts ?? []),
    problem: isRight ? null : `${message}, after ${String(tookMs)} ms; it should be ${wanted}`,
  };
}

function inOrder(attempts: readonly RungAttempt[]): readonly RungAttempt[] {
  return attempts
    .map((attempt) => ({ ...attempt, ms: Math.round(attempt.ms) }))
    .sort((a, b) => rungs.indexOf(a.rung) - rungs.indexOf(b.rung));
}

/** Null when all went well. `watched` learns of the longest gap. */
async function tryCall(
  { profile, kind, client, peer, room, watchMs, setFirewall }: CellOptions,
  budgetMs: number,
  watched: { gapMs: number | null },
): Promise<string | null> {
  const startedAt = performance.now();
  await client.join(room, budgetMs);
  const ends = { client, peer };
  for (;;) {
    const missing = await missingOf(ends, { client: flowing, peer: flowing });
    if (missing === null) break;
    if (performance.now() > startedAt + budgetMs) return `${missing} within ${String(budgetMs / 1_000)} s`;
    await pause(pollMs);
  }
  const [clientBefore, peerBefore] = await Promise.all([client.report(), peer.report()]);
  if (profile.later !== undefined) {
    const early = wrongRung(clientBefore.rung, profile.later.before[kind]);
    if (early !== null) return early;
    await pause(startedAt + profile.later.seconds * 1_000 - performance.now());
    await setFirewall(profile.later.firewall);
    const climbed = await untilOn(client, profile.rungs[kind], profile.later.climbSeconds);
    watched.gapMs = climbed.gapMs;
    if (climbed.problem !== null) return climbed.problem;
  }
  await pause(watchMs);
  const seconds = watchMs / 1_000;
  const more = (before: ClientReport): MediaCount => ({
    video: before.video + perSecond.video * seconds,
    audio: before.audio + perSecond.audio * seconds,
  });
  watched.gapMs = Math.max(watched.gapMs ?? 0, (await client.report()).gapMs);
  const missing = await missingOf(ends, { client: more(clientBefore), peer: more(peerBefore) });
  if (missing !== null) return `${missing} any more while the call was watched`;
  const most = profile.later?.mostGapMs ?? Infinity;
  if (watched.gapMs <= most) return null;
  return `no sound for ${String(Math.round(watched.gapMs))} ms; at most ${String(most)} ms are right here`;
}

/** Waits until media is on one of these rungs, and watches the sound meanwhile. */
async function untilOn(
  client: ClientUnderTest,
  wanted: readonly Rung[],
  seconds: number,
): Promise<{ readonly gapMs: number; readonly problem: string | null }> {
  const deadline = performance.now() + seconds * 1_000;
  let longest = 0;
  for (;;) {
    const { rung, gapMs } = await client.report();
    longest = Math.max(longest, gapMs);
    if (rung !== null && wanted.includes(rung)) return { gapMs: longest, problem: null };
    if (performance.now() > deadline) {
      const problem = `media stayed on ${rung ?? 'no rung'} for ${String(seconds)} s after the network had changed`;
      return { gapMs: longest, problem };
    }
    await pause(pollMs);
  }
}

interface MediaCount {
  readonly video: number;
  readonly audio: number;
}

type End = 'client' | 'peer';

/** What did not come, in words; null when everything did. */
async function missingOf(
  ends: Readonly<Record<End, ClientUnderTest>>,
  wanted: Readonly<Record<End, MediaCount>>,
): Promise<string | null> {
  for (const end of ['client', 'peer'] as const) {
    const report = await ends[end].report();
    for (const kind of ['video', 'audio'] as const) {
      if (report[kind] < wanted[end][kind]) return `no ${kind} ${end === 'client' ? 'from the peer' : 'to the peer'}`;
    }
  }
  return null;
}

function wrongRung(rung: Rung | null, expected: readonly Rung[]): string | null {
  if (rung !== null && expected.includes(rung)) return null;
  return `media ended on ${rung ?? 'no rung'}; here it should be ${expected.join(' or ')}`;
}

/** The promise's value, or the other one when it takes too long. */
async function within<T>(ms: number, promise: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => {
      resolve(otherwise);
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
