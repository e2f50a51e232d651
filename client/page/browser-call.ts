/**
 * `join()` of call.ts for browsers: control channel over whichever tunnel opens, media by the browser's own WebRTC or, where
 * that does not get through, by the page's own stack on the control channel's connection.
 */
import { controlRungs } from '../../tunnel-protocol/index.ts';
import type { ControlRung, Rung } from '../../tunnel-protocol/index.ts';
import type { JoinOptions } from '../call.ts';
import { ControlClient, EdgeRing, createSession, deleteSession } from '../control/index.ts';
import { ClientError, asClientError } from '../errors.ts';
import { isNativeRung, planIce } from '../page-model/ice-plan.ts';
import type { IcePlan } from '../page-model/ice-plan.ts';
import { JoinTimeline } from '../qos/join-timeline.ts';
import { Roster } from '../page-model/roster.ts';
import { clientVersion } from '../version.ts';
import { CallSampler } from './call-sampler.ts';
import { BrowserCall } from './connected-call.ts';
import { loadExchanges, openLazily } from './lazy-exchange.ts';
import { MediaConnection } from './media-connection.ts';
import { MediaRoutes } from './media-routes.ts';
import { mediaSupport } from './media-support.ts';
import { recall, remember } from './memory.ts';
import { PageData } from './page-data.ts';
import { openWebSocketTunnel } from './web-socket-tunnel.ts';

export { BrowserCall } from './connected-call.ts';
export type { BrowserCallEvents, BrowserCallStats, JoinSplit } from './connected-call.ts';

export type JoinStep = 'session' | 'control' | 'negotiation' | 'media';

export interface BrowserJoinOptions extends JoinOptions {
  /** Told at the beginning of each step. */
  readonly onStep?: (step: JoinStep) => void;
  /** The resume token of a session that was lost: its identity goes on. */
  readonly rejoin?: string;
}

const defaultTimeoutMs = 15_000;

/** Resolves when media can flow. Rejects with a ClientError, and leaves nothing behind. */
export async function join(url: string, options: BrowserJoinOptions): Promise<BrowserCall> {
  checkOptions(options);
  const attempt = new JoinAttempt(url, options);
  try {
    return await attempt.run();
  } catch (error) {
    attempt.abandon();
    throw asClientError(error, 'edge-unreachable');
  } finally {
    attempt.disarm();
  }
}

function checkOptions({ room, rungs, timeoutMs }: BrowserJoinOptions): void {
  const { native, tunnel, missing } = mediaSupport();
  if (!native && !tunnel) {
    throw new ClientError('version-unsupported', { detail: `this browser lacks ${missing}` });
  }
  if (room === '') throw new ClientError('bad-option', { detail: 'room is empty' });
  if (timeoutMs !== undefined && !(timeoutMs > 0)) throw new ClientError('bad-option', { detail: 'timeoutMs' });
  const usable = (rung: Rung): boolean => (isNativeRung(rung) ? native : tunnel);
  if (rungs?.some(usable) === false) {
    throw new ClientError('rung-unavailable', {
      detail: `this browser lacks ${missing}`,
    });
  }
}

/** How long the browser's own WebRTC is alone; not at all where it did not get through the last time. */
const headStartMs = 700;

class JoinAttempt {
  readonly #url: string;
  readonly #options: BrowserJoinOptions;
  readonly #abort = new AbortController();
  readonly #cleanUp: (() => void)[] = [];
  readonly #onFailure: (() => void)[] = [];
  readonly #timeline = new JoinTimeline();
  readonly #startedAt = performance.now();
  #routes: MediaRoutes | null = null;
  #step: JoinStep = 'session';
  #stepBegan = performance.now();
  readonly #spent: Record<JoinStep, number> = { session: 0, control: 0, negotiation: 0, media: 0 };

  constructor(url: string, options: BrowserJoinOptions) {
    this.#url = url;
    this.#options = options;
    const timer = setTimeout(() => {
      this.#abort.abort(this.#timedOut());
    }, options.timeoutMs ?? defaultTimeoutMs);
    const callOff = (): void => {
      this.#abort.abort(new ClientError('aborted', { cause: options.signal?.reason }));
    };
    if (options.signal?.aborted === true) callOff();
    options.signal?.addEventListener('abort', callOff);
    this.#cleanUp.push(() => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', callOff);
    });
  }

  async run(): Promise<BrowserCall> {
    const { room, token, name, rejoin } = this.#options;
    const request = { room, token, name, rejoin, client: { kind: 'browser', version: clientVersion } } as const;
    this.#begin('session');
    const asked = createSession(this.#url, { ...request, signal: this.#abort.signal }, browserFetch);
    const native = this.#usesNative ? new MediaConnection() : null;
    const data = native === null ? null : new PageData(native.peer);
    this.#onFailure.push(() => {
      native?.close();
    });
    if (native !== null) this.#watch(native);
    const session = await this.#unlessAborted(asked);
    this.#reached('sessionMs');
    const dropSession = (): void => void deleteSession(this.#url, session, browserFetch);
    this.#onFailure.push(dropSession);
    const plan = planIce(session.iceServers, this.#options.rungs);
    const tunnels = tunnelsOf(this.#options);
    if (native !== null && plan.rungs.length > 0) useServers(native, plan);
    else if (tunnels.length === 0) throw noneOffered(this.#options);

    this.#begin('control');
    // In case no WebSocket opens; whoever needs them hears of a failure.
    loadExchanges().catch(() => undefined);
    const rungs = controlRungsOf(this.#options);
    const edges = new EdgeRing(session.edges);
    const control = new ControlClient({
      url: session.websocketUrl,
      edges,
      resumeToken: session.resumeToken,
      openSocket: openWebSocketTunnel,
      http: {
        streamUrl: session.httpStreamUrl,
        pollUrl: session.longPollUrl,
        fetch: browserFetch,
        open: openLazily,
        isHttp2: speaksHttp2,
      },
      rungs,
      preferred: rungs.find((rung) => rung === recall().carrier),
      graceMs: session.policy.sessionGraceMs,
    });
    // What a restricted call ends on says nothing of the network.
    const learns = this.#options.rungs === undefined;
    control.on('rung', ({ to }) => {
      if (learns) remember({ carrier: to });
    });
    const roster = new Roster();
    this.#cleanUp.push(control.on('event', (notice) => void roster.apply(notice)));
    const connected = new Promise<void>((resolve) =>
      control.once('connected', () => {
        this.#reached('controlMs');
        resolve();
      }),
    );
    this.#cleanUp.push(
      control.once('closed', ({ error }) => {
        this.#abort.abort(error ?? new ClientError('left'));
      }),
    );
    this.#onFailure.push(() => {
      control.close();
    });
    control.connect();

    const routes = new MediaRoutes({ control, plan, tunnels });
    this.#routes = routes;
    this.#onFailure.push(() => {
      routes.close();
    });
    // Queued until the connection is there, so the offer leaves with its first bytes.
    const joined = control.request({ type: 'join' });
    joined.catch(() => undefined);
    const hasNative = native !== null && plan.rungs.length > 0;
    const negotiated = hasNative
      ? native.negotiate(false, async (sdp) => (await control.request({ type: 'offer', sdp })).sdp)
      : Promise.resolve();
    negotiated.catch(() => undefined);
    if (hasNative) routes.adoptNative(native);
    const reachable = routes.connect(recall().route === 'tunnel' ? 0 : headStartMs, negotiated);
    reachable.catch(() => undefined);
    await this.#unlessAborted(Promise.race([connected, joined]));
    this.#begin('negotiation');
    const { self, participants } = await this.#unlessAborted(joined);
    roster.begin(self, participants);

    this.#begin('media');
    await this.#unlessAborted(reachable);
    // Where its own stack carries media, no peer connection tells.
    if (routes.active === 'tunnel') this.#reached('dtlsMs');
    this.#begin(null);
    if (learns) remember({ route: routes.active ?? '' });
    const sampler = new CallSampler(routes);
    const firstSample = await this.#unlessAborted(sampler.sample());
    routes.noteIce(firstSample.ice);
    return new BrowserCall({
      url: this.#url,
      sessionId: session.sessionId,
      resumeToken: session.resumeToken,
      edges,
      control,
      media: routes,
      data,
      sampler,
      roster,
      firstSample,
      joinSplit: {
        sessionMs: this.#spent.session,
        controlMs: this.#spent.control,
        negotiationMs: this.#spent.negotiation,
        mediaMs: this.#spent.media,
      },
      timeline: this.#timeline,
      telemetry: this.#options.telemetry ?? true,
    });
  }

  get #usesNative(): boolean {
    return mediaSupport().native && this.#options.rungs?.some(isNativeRung) !== false;
  }

  abandon(): void {
    for (const undo of this.#onFailure.splice(0)) undo();
  }

  disarm(): void {
    for (const clean of this.#cleanUp.splice(0)) clean();
  }

  #reached(step: 'sessionMs' | 'controlMs' | 'iceMs' | 'dtlsMs' | 'firstMediaMs'): void {
    this.#timeline.reached(step, performance.now() - this.#startedAt);
  }

  /** Until the first time of each; the page keeps no more of them than that. */
  #watch({ peer }: MediaConnection): void {
    peer.addEventListener('iceconnectionstatechange', () => {
      if (['connected', 'completed'].includes(peer.iceConnectionState)) this.#reached('iceMs');
    });
    peer.addEventListener('connectionstatechange', () => {
      if (peer.connectionState === 'connected') this.#reached('dtlsMs');
    });
    peer.addEventListener('track', ({ track }) => {
      track.addEventListener(
        'unmute',
        () => {
          this.#reached('firstMediaMs');
        },
        { once: true },
      );
    });
  }

  #begin(step: JoinStep | null): void {
    const now = performance.now();
    this.#spent[this.#step] += now - this.#stepBegan;
    this.#stepBegan = now;
    if (step === null) return;
    this.#step = step;
    this.#options.onStep?.(step);
  }

  async #unlessAborted<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#abort;
    let cancel: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      cancel = () => {
        reject(asClientError(signal.reason, 'aborted'));
      };
      if (signal.aborted) cancel();
      else signal.addEventListener('abort', cancel);
    });
    try {
      return await Promise.race([work, aborted]);
    } finally {
      if (cancel !== undefined) signal.removeEventListener('abort', cancel);
    }
  }

  #timedOut(): ClientError {
    switch (this.#step) {
      case 'session':
      case 'control':
        return new ClientError('edge-unreachable', { detail: 'no answer in time' });
      case 'negotiation':
        return new ClientError('no-reply');
      case 'media':
        return new ClientError('media-unreachable', { detail: this.#routes?.tried });
    }
  }
}

/** The DOM's types want bodies that are known not to be shared memory; none of ours ever is. */
const browserFetch = (url: string, init: Omit<RequestInit, 'body'> & { readonly body?: unknown }): Promise<Response> =>
  fetch(url, { ...init, body: (init.body ?? null) as BodyInit | null, credentials: 'omit' });

/** Whether the latest request showed HTTP/2, where requests share a connection; a browser has six of HTTP/1.1 in all. */
function speaksHttp2(): boolean {
  const entries = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
  return entries.findLast(({ initiatorType }) => initiatorType === 'fetch')?.nextHopProtocol === 'h2';
}

/** The tunnels that are allowed; signalling needs one even where media uses none. */
function controlRungsOf({ rungs = [] }: BrowserJoinOptions): readonly ControlRung[] {
  const allowed = controlRungs.filter((rung) => rungs.includes(rung));
  return allowed.length > 0 ? allowed : controlRungs;
}

/** Throws ClientError `bad-answer` when the browser cannot take the servers. */
function useServers(media: MediaConnection, plan: IcePlan): void {
  try {
    media.usePlan(plan);
  } catch (error) {
    throw new ClientError('bad-answer', { detail: 'iceServers', cause: error });
  }
}

/** Those that media may use in this browser. */
function tunnelsOf({ rungs }: BrowserJoinOptions): readonly Rung[] {
  if (!mediaSupport().tunnel) return [];
  return controlRungs.filter((rung) => rungs?.includes(rung) !== false);
}

function noneOffered({ rungs = [] }: BrowserJoinOptions): ClientError {
  return new ClientError('rung-unavailable', {
    detail: `the server offers no ${rungs.filter(isNativeRung).join(', ')}`,
  });
}
