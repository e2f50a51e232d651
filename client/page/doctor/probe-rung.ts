/** One rung by itself: two calls of this page in a room of their own, and a test picture from one to the other. */
import type { Rung } from '../../../tunnel-protocol/index.ts';
import type { Invitation } from '../../doctor/invitation.ts';
import type { RungVerdict } from '../../doctor/types.ts';
import { noFigures } from '../../doctor/verdicts.ts';
import { ClientError, asClientError } from '../../errors.ts';
import { join } from '../browser-call.ts';
import type { BrowserCall } from '../browser-call.ts';
import { lookAtIce } from '../ice-stats.ts';

export interface ProbeOptions {
  readonly url: string;
  readonly invitation: Invitation;
  readonly picture: MediaStreamTrack;
  /** A rung that is not there after this is not usable for anybody who waits for it. */
  readonly joinMs: number;
  readonly signal: AbortSignal;
}

export interface Probe {
  readonly verdict: RungVerdict;
  /** Addresses of the edge that ICE got an answer from. */
  readonly reached: readonly string[];
}

/** How long the first of the test picture is waited for, and how long it is then measured. */
const firstMediaMs = 3_000;
const measureMs = 2_000;
const lookMs = 150;

interface Received {
  readonly bytes: number;
  readonly packets: number;
  readonly lost: number;
}

/** Never rejects. */
export async function probeRung(rung: Rung, options: ProbeOptions): Promise<Probe> {
  const { invitation, picture, signal } = options;
  const reached = new Set<string>();
  const calls: BrowserCall[] = [];
  try {
    const sender = await unlessAborted(joinTest(rung, options), signal);
    calls.push(sender);
    // A share of the screen has one layer, so that one encoder per rung is enough.
    await unlessAborted(sender.publish(picture, { source: 'screen' }), signal);
    const receiver = await unlessAborted(joinTest(rung, options), signal);
    calls.push(receiver);
    const { media, latencyMs } = await measure(sender, receiver, signal);
    for (const { peer } of calls) if (peer !== null) await noteAnswers(peer, reached);
    const verdict = {
      ...noFigures,
      rung,
      joinMs: Math.round(sender.stats().joinMs),
    } as const;
    if (media === null) {
      const detail = 'it connects, but media does not come through';
      return { verdict: { ...verdict, outcome: 'blocked', detail }, reached: [...reached] };
    }
    return { verdict: { ...verdict, ...media, latencyMs, outcome: 'works' }, reached: [...reached] };
  } catch (error) {
    if (signal.aborted) return untested(rung, 'there was no time left');
    const { code, message } = asClientError(error, 'media-unreachable');
    if (code === 'rung-unavailable' && rung === 'turn-udp' && invitation.edge.ports.turnUdp === 0) {
      return { verdict: { ...noFigures, rung, outcome: 'not-offered' }, reached: [] };
    }
    return { verdict: { ...noFigures, rung, outcome: 'blocked', code, detail: message }, reached: [] };
  } finally {
    // Nothing waits for the goodbyes: the room ends by itself.
    for (const call of calls) void call.leave();
  }
}

export function untested(rung: Rung, detail: string): Probe {
  return { verdict: { ...noFigures, rung, outcome: 'untested', detail }, reached: [] };
}

function joinTest(rung: Rung, { url, invitation, joinMs, signal }: ProbeOptions): Promise<BrowserCall> {
  const { room, token } = invitation;
  return join(url, { room, token, name: 'doctor', rungs: [rung], telemetry: false, timeoutMs: joinMs, signal });
}

interface Measured {
  /** Null when nothing came. */
  readonly media: { readonly bitsPerSecond: number; readonly lossFraction: number } | null;
  readonly latencyMs: number | null;
}

async function measure(sender: BrowserCall, receiver: BrowserCall, signal: AbortSignal): Promise<Measured> {
  const startedAt = performance.now();
  let first: (Received & { readonly at: number }) | null = null;
  // The shortest: this page, with encoders at work, is later than the network at most other times.
  let latencyMs: number | null = null;
  for (;;) {
    await pause(lookMs, signal);
    for (const call of [sender, receiver]) {
      const roundTripMs = await roundTripOf(call);
      if (roundTripMs !== null) latencyMs = Math.min(latencyMs ?? Infinity, roundTripMs);
    }
    const received = await receivedBy(receiver);
    const now = performance.now();
    if (first === null) {
      if (received.packets > 0) first = { ...received, at: now };
      else if (now - startedAt > firstMediaMs) return { media: null, latencyMs };
    } else if (now - first.at >= measureMs) {
      const packets = received.packets - first.packets;
      const lost = Math.max(0, received.lost - first.lost);
      const media = {
        bitsPerSecond: Math.round(((received.bytes - first.bytes) * 8_000) / (now - first.at)),
        lossFraction: packets + lost === 0 ? 0 : lost / (packets + lost),
      };
      return { media, latencyMs };
    }
  }
}

async function receivedBy({ peer, tunnel }: BrowserCall): Promise<Received> {
  const sum = { bytes: 0, packets: 0, lost: 0 };
  (await peer?.getStats())?.forEach((entry: Partial<Record<string, unknown>>) => {
    if (entry['type'] !== 'inbound-rtp') return;
    sum.bytes += Number(entry['bytesReceived'] ?? 0);
    sum.packets += Number(entry['packetsReceived'] ?? 0);
    sum.lost += Number(entry['packetsLost'] ?? 0);
  });
  for (const { direction, bytes, packets, lost } of tunnel?.stats ?? []) {
    if (direction !== 'receive') continue;
    sum.bytes += bytes;
    sum.packets += packets;
    sum.lost += lost;
  }
  return sum;
}

async function roundTripOf({ peer, tunnel }: BrowserCall): Promise<number | null> {
  return peer === null ? (tunnel?.roundTripMs ?? null) : (await lookAtIce(peer)).roundTripMs;
}

async function noteAnswers(peer: RTCPeerConnection, reached: Set<string>): Promise<void> {
  const report = (await peer.getStats()) as ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  report.forEach(({ type, state, remoteCandidateId }) => {
    if (type !== 'candidate-pair' || state !== 'succeeded') return;
    const address = report.get(String(remoteCandidateId))?.['address'];
    if (typeof address === 'string') reached.add(address);
  });
}

/** Rejects when it is called off. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return unlessAborted(new Promise((resolve) => setTimeout(resolve, ms)), signal);
}

/** Whatever the promise still waits for. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      reject(new ClientError('edge-unreachable', { detail: 'no answer in time' }));
    };
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', fail);
    });
  });
}
