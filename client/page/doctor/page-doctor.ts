/** The doctor of a page: asks the edge, tries every rung by itself, and concludes. */
import { rungs } from '../../../tunnel-protocol/index.ts';
import type { Rung } from '../../../tunnel-protocol/index.ts';
import { checkAnswer } from '../../control/problem.ts';
import { edgeUrl } from '../../control/session-request.ts';
import { adviceFor } from '../../doctor/advice.ts';
import { readInvitation } from '../../doctor/invitation.ts';
import type { Invitation } from '../../doctor/invitation.ts';
import { pageFindings } from '../../doctor/page-findings.ts';
import type { DoctorReport, RungVerdict } from '../../doctor/types.ts';
import { untestedRungs } from '../../doctor/verdicts.ts';
import { ClientError, asClientError } from '../../errors.ts';
import { missingFor } from '../media-support.ts';
import { probeRung, unlessAborted, untested } from './probe-rung.ts';
import type { Probe } from './probe-rung.ts';
import { drawTestPicture } from './test-picture.ts';

export interface PageDoctorOptions {
  readonly signal?: AbortSignal;
  readonly onTrying?: (rung: Rung) => void;
  readonly onVerdict?: (verdict: RungVerdict) => void;
}

/** All of it ends within 30 s. */
const totalMs = 28_000;
const inviteMs = 8_000;
const joinMs = 6_000;
/**
 * Two lanes at first: where no WebSocket opens, the control channels of both ends of two tests hold four of the six
 * connections that a browser has with HTTP/1.1. Once a WebSocket is known to work, more at once are no burden.
 */
const firstLane: readonly Rung[] = ['websocket', 'udp', 'ice-tcp', 'turn-tls'];
const secondLane: readonly Rung[] = ['http-stream', 'long-poll', 'turn-udp', 'turn-tcp'];
const lanesByWebSocket = 3;

/** Resolves within 30 s, whatever the network does; never rejects. */
export async function diagnosePage(url: string, options: PageDoctorOptions = {}): Promise<DoctorReport> {
  const startedAt = performance.now();
  const when = new Date().toISOString();
  const { invitation, problem, probes } = await within(totalMs, options.signal, async (signal) => {
    try {
      const invitation = await invite(url, signal);
      return { invitation, problem: null, probes: await tryAll(url, invitation, signal, options) };
    } catch (error) {
      return { invitation: null, problem: asClientError(error, 'edge-unreachable'), probes: [] };
    }
  });
  const verdicts =
    invitation === null
      ? untestedRungs(problem)
      : rungs.flatMap((rung) => probes.find(({ verdict }) => verdict.rung === rung)?.verdict ?? []);
  const reached = probes.flatMap((probe) => probe.reached);
  const { origin, host } = new URL(url);
  const facts = {
    version: 1,
    url: origin,
    host,
    when,
    ms: Math.round(performance.now() - startedAt),
    edge: invitation?.edge ?? null,
    problem: problem === null ? null : { code: problem.code, message: problem.message },
    network: pageFindings({ invitation, problem, verdicts, reached }),
    rungs: verdicts,
  } as const;
  return { ...facts, advice: adviceFor(facts) };
}

async function tryAll(
  url: string,
  first: Invitation,
  signal: AbortSignal,
  { onTrying, onVerdict }: PageDoctorOptions,
): Promise<Probe[]> {
  const probes: Probe[] = [];
  const invitations = [first];
  const picture = drawTestPicture();
  const test = async (rung: Rung): Promise<Probe> => {
    const missing = missingFor(rung);
    if (missing !== '') return untested(rung, `this browser lacks ${missing}`);
    if (picture === null) return untested(rung, 'this browser cannot draw a test picture');
    if (signal.aborted) return untested(rung, 'there was no time left');
    onTrying?.(rung);
    try {
      const invitation = invitations.pop() ?? (await invite(url, signal));
      return await probeRung(rung, { url, invitation, picture: picture.track, joinMs, signal });
    } catch (error) {
      return untested(rung, asClientError(error, 'edge-unreachable').message);
    }
  };
  const lanes = [[...firstLane], [...secondLane]];
  const next = (own: Rung[]): Rung | undefined => own.shift() ?? lanes.find((lane) => lane.length > 0)?.shift();
  const work = async (own: Rung[]): Promise<void> => {
    for (let rung = next(own); rung !== undefined; rung = next(own)) {
      const probe = await test(rung);
      probes.push(probe);
      onVerdict?.(probe.verdict);
      if (rung === 'websocket' && probe.verdict.outcome === 'works') {
        while (running.length < lanesByWebSocket) running.push(work([]));
      }
    }
  };
  const running: Promise<void>[] = [];
  running.push(...lanes.map(work));
  // More of them join while the first ones are waited for.
  for (let index = 0; index < running.length; index++) await running[index];
  picture?.stop();
  return probes;
}

/** Rejects with a ClientError. */
function invite(url: string, signal: AbortSignal): Promise<Invitation> {
  return within(inviteMs, signal, (limited) => unlessAborted(ask(edgeUrl(url, 'v1/doctor'), limited), limited));
}

/** `AbortSignal.any` is too new for some browsers that have all else. */
async function within<T>(
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  const timer = setTimeout(abort, ms);
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

async function ask(url: string, signal: AbortSignal): Promise<Invitation> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { accept: 'application/json' },
    cache: 'no-store',
    credentials: 'omit',
    // Whoever redirects is not the edge.
    redirect: 'manual',
    signal,
  });
  if (response.type === 'opaqueredirect') throw new ClientError('captive-portal', { detail: 'a redirect' });
  const fault = checkAnswer(new URL(url), response);
  if (fault !== null) throw fault;
  const body: unknown = await response.json().catch(() => null);
  return readInvitation(response.status, body);
}
