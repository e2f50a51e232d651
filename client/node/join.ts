/** `join()` for Node: session, control channel, offer and answer, ICE on all allowed rungs at once, DTLS. */
import { randomBytes } from 'node:crypto';
import { controlRungs } from '../../tunnel-protocol/index.ts';
import type { ControlRung, Rung, Source } from '../../tunnel-protocol/index.ts';
import type { JoinOptions, RungAttempt } from '../call.ts';
import { systemClock } from '../clock.ts';
import type { ClientClock } from '../clock.ts';
import { ControlClient, EdgeRing, createSession, deleteSession, openExchange } from '../control/index.ts';
import type { Session } from '../control/index.ts';
import { SplitConnection } from '../control/split-connection.ts';
import { createDtlsIdentity } from '../dtls/index.ts';
import { ClientError, asClientError } from '../errors.ts';
import { Roster } from '../page-model/roster.ts';
import { clientVersion } from '../version.ts';
import { checkJoinOptions } from './join-options.ts';
import { JoinTimeline } from '../qos/join-timeline.ts';
import { MediaSession } from './media-session.ts';
import { NodeCall } from './node-call.ts';
import type { NodeCallParts } from './node-call.ts';
import { createEdgeHttp } from './node-fetch.ts';
import { nodeSocketFactory } from './node-socket.ts';
import { NodeTransport } from './node-transport.ts';
import { NetworkMemory, processPathMemory } from './path-memory.ts';
import type { PathMemory } from './path-memory.ts';
import { proxyRoute } from './proxy-route.ts';
import type { ProxyRoute } from './proxy-route.ts';
import { readAnswer } from './sdp-answer.ts';
import { writeOffer } from './sdp-offer.ts';
import { explainConnectionError, tlsTrust } from './tls-trust.ts';
import type { TlsTrust } from './tls-trust.ts';

/** `session`: the edge admitted us. `control`: signalling works. `negotiated`: the answer is there. `media`: it flows. */
export type JoinStep = 'session' | 'control' | 'negotiated' | 'media';

export interface NodeJoinOptions extends JoinOptions {
  /** Told at the end of each step, with the ms since the beginning of the join. */
  readonly onStep?: (step: JoinStep, ms: number) => void;
  /** Told of each try to open a rung when it has ended, in a join that fails as well; then they are in `call.attempts`. */
  readonly onAttempt?: (attempt: RungAttempt) => void;
  /**
   * Whether the WebSocket tunnel has a second connection for audio, which then does not wait for video that TCP sends
   * again; true if absent.
   */
  readonly audioConnection?: boolean;
  /** Where it is kept which rung a network needed; in this process if absent. */
  readonly pathMemory?: PathMemory;
}

const defaultTimeoutMs = 15_000;

/**
 * Joins a room at an edge and resolves when media can flow.
 * Rejects with a ClientError and leaves nothing behind: no socket, no timer, no session.
 */
export async function join(url: string, options: NodeJoinOptions): Promise<NodeCall> {
  const rungs = checkJoinOptions(options);
  const attempt = new JoinAttempt(url, options, rungs, tlsTrust(options), proxyRoute(options.proxy, process.env));
  return new NodeCall(await settle(attempt));
}

async function settle(attempt: JoinAttempt, slotsBefore?: NodeCallParts['media']['slots']): Promise<NodeCallParts> {
  try {
    return await attempt.run(slotsBefore);
  } catch (error) {
    throw await attempt.abandon(error);
  } finally {
    attempt.disarm();
  }
}

class JoinAttempt {
  readonly #url: string;
  readonly #options: NodeJoinOptions;
  readonly #rungs: ReadonlySet<Rung>;
  readonly #trust: TlsTrust;
  readonly #route: ProxyRoute;
  readonly #http: ReturnType<typeof createEdgeHttp>;
  readonly #clock: ClientClock = systemClock;
  readonly #startedAt: number;
  /** Its reason is the ClientError to reject with. */
  readonly #abort = new AbortController();
  readonly #disarm: (() => void)[] = [];
  readonly #timeline = new JoinTimeline();
  #session: Session | null = null;
  #edges = new EdgeRing();
  #rejoins = 0;
  /** The resume token of a session that was lost. */
  readonly #rejoin: string | undefined;
  #control: ControlClient | null = null;
  #transport: NodeTransport | null = null;
  #step: JoinStep | null = null;

  constructor(
    url: string,
    options: NodeJoinOptions,
    rungs: ReadonlySet<Rung>,
    trust: TlsTrust,
    route: ProxyRoute,
    rejoin?: string,
  ) {
    this.#url = url;
    this.#rejoin = rejoin;
    this.#options = options;
    this.#rungs = rungs;
    this.#trust = trust;
    this.#route = route;
    this.#http = createEdgeHttp(trust, route);
    this.#startedAt = this.#clock.now();
    const timer = this.#clock.setTimer(() => {
      this.#fail(this.#timedOut());
    }, options.timeoutMs ?? defaultTimeoutMs);
    const { signal } = options;
    const callOff = (): void => {
      this.#fail(new ClientError('aborted', { cause: signal?.reason }));
    };
    if (signal?.aborted === true) callOff();
    signal?.addEventListener('abort', callOff, { once: true });
    this.#disarm.push(() => {
      this.#clock.clearTimer(timer);
      signal?.removeEventListener('abort', callOff);
    });
  }

  async run(slotsBefore?: NodeCallParts['media']['slots']): Promise<NodeCallParts> {
    const identityMade = createDtlsIdentity();
    // Should the session be refused first, nobody waits for it any more.
    identityMade.catch(() => undefined);
    const session = await this.#createSession();
    const control = this.#connectControl(session);
    const roster = new Roster();
    this.#disarm.push(control.on('event', (notice) => void roster.apply(notice)));

    const identity = await this.#unlessFailed(identityMade);
    const transport = new NodeTransport({
      identity,
      control,
      rungs: this.#rungs,
      iceServers: session.iceServers,
      trust: this.#trust,
      route: this.#route,
      clock: this.#clock,
      memory: this.#memoryOf('media'),
    });
    this.#transport = transport;
    this.#disarm.push(
      transport.on('attempt', (attempt) => {
        this.#options.onAttempt?.(attempt);
      }),
      transport.on('closed', (error) => {
        this.#fail(error);
      }),
    );
    const cname = randomBytes(9).toString('base64url');
    const ssrcs = chooseSsrcs();
    const sdp = writeOffer({
      ice: transport.localIce,
      fingerprint: identity.fingerprint,
      cname,
      ssrcs,
      originId: String(randomBytes(6).readUIntBE(0, 6)),
      originVersion: 1,
    });
    // Both leave with the first bytes of the connection.
    const [joined, offered] = await this.#unlessFailed(
      Promise.all([control.request({ type: 'join' }), control.request({ type: 'offer', sdp })]),
    );
    roster.begin(joined.self, joined.participants);
    const answer = readAnswer(offered.sdp);
    this.#reached('negotiated');

    const media = new MediaSession({ transport, clock: this.#clock, cname, ssrcs, answer, slotsBefore });
    const connected = new Promise<void>((resolve) => {
      transport.once('connected', () => {
        this.#timeline.reached('dtlsMs', this.#sinceStart());
        resolve();
      });
    });
    const nominated = new Promise<void>((resolve) => {
      transport.once('rung', () => {
        this.#timeline.reached('iceMs', this.#sinceStart());
        resolve();
      });
    });
    transport.once('rtp', () => {
      this.#timeline.reached('firstMediaMs', this.#sinceStart());
    });
    transport.start(answer);
    await this.#unlessFailed(Promise.all([connected, nominated]));
    this.#reached('media');
    this.disarm();
    // The tunnel may need it as long as the call lasts, and for a last word.
    control.once('closed', () => {
      this.#clock.setTimer(() => void this.#http.close(), 0);
    });
    const joinMs = this.#sinceStart();
    return {
      sessionId: session.sessionId,
      control,
      transport,
      media,
      roster,
      clock: this.#clock,
      joinMs,
      answer,
      timeline: this.#timeline,
      telemetry: this.#options.telemetry ?? true,
      edges: this.#edges,
      rejoin: () => this.#again(session, media.slots),
    };
  }

  /** Another session in the same room, at the next of the edges that are known. */
  async #again(lost: Session, slots: NodeCallParts['media']['slots']): Promise<NodeCallParts> {
    const present = this.#edges.at(this.#url);
    const edges = [...new Set([present, this.#url, ...this.#edges.others])];
    const url = edges[this.#rejoins++ % edges.length] ?? this.#url;
    // Those are for the first join.
    const kept = Object.entries(this.#options).filter(([key]) => key !== 'signal' && key !== 'onStep');
    const options = Object.fromEntries(kept) as unknown as NodeJoinOptions;
    const attempt = new JoinAttempt(url, options, this.#rungs, this.#trust, this.#route, lost.resumeToken);
    return settle(attempt, slots);
  }

  /** Removes what could still act on the attempt. Idempotent. */
  disarm(): void {
    for (const undo of this.#disarm.splice(0)) undo();
  }

  /** Frees everything; returns the error to throw. */
  async abandon(error: unknown): Promise<ClientError> {
    const reason: unknown = this.#abort.signal.aborted ? this.#abort.signal.reason : error;
    this.#transport?.close();
    const control = this.#control;
    const session = this.#session;
    const toldByControl = control?.connected === true;
    control?.close('the join failed');
    // Without a control channel, only a request can tell the edge not to wait for us.
    if (session !== null && !toldByControl) await deleteSession(this.#url, session, this.#http.fetch);
    void this.#http.close();
    return asClientError(reason, 'edge-unreachable');
  }

  async #createSession(): Promise<Session> {
    const { room, token, name } = this.#options;
    const session = await createSession(
      this.#url,
      {
        room,
        token,
        name,
        rejoin: this.#rejoin,
        client: { kind: 'node', version: clientVersion },
        signal: this.#abort.signal,
      },
      this.#http.fetch,
      explainConnectionError,
    );
    this.#session = session;
    this.#edges = new EdgeRing(session.edges);
    this.#reached('session');
    this.#abort.signal.throwIfAborted();
    return session;
  }

  /** Of one kind of connection on this network; each of them may need another rung. */
  #memoryOf(kind: 'media' | 'control'): NetworkMemory {
    const { host } = new URL(this.#url);
    return new NetworkMemory({
      memory: this.#options.pathMemory ?? processPathMemory,
      edgeHost: kind === 'media' ? host : `${kind} ${host}`,
      clock: this.#clock,
      unixNow: () => Date.now(),
    });
  }

  /** The tunnels that are allowed; signalling needs one even where media may use none. */
  #controlRungs(): readonly ControlRung[] {
    const allowed = controlRungs.filter((rung) => this.#rungs.has(rung));
    return allowed.length > 0 ? allowed : controlRungs;
  }

  #preferredCarrier(memory: NetworkMemory): ControlRung | undefined {
    const remembered = memory.recall();
    return this.#controlRungs().find((rung) => rung === remembered);
  }

  #connectControl(session: Session): ControlClient {
    const memory = this.#memoryOf('control');
    const control = new ControlClient({
      url: session.websocketUrl,
      edges: this.#edges,
      audioUrl: this.#options.audioConnection === false ? null : session.audioUrl,
      openSplit: (parts, events) => new SplitConnection(parts, events),
      resumeToken: session.resumeToken,
      openSocket: nodeSocketFactory(this.#trust, this.#route),
      http: {
        streamUrl: session.httpStreamUrl,
        pollUrl: session.longPollUrl,
        fetch: this.#http.fetch,
        open: openExchange,
        isHttp2: () => this.#http.isHttp2(),
        streamsUploads: true,
        explain: explainConnectionError,
      },
      rungs: this.#controlRungs(),
      preferred: this.#preferredCarrier(memory),
      graceMs: session.policy.sessionGraceMs,
      clock: this.#clock,
    });
    this.#control = control;
    control.on('rung', ({ to }) => {
      memory.moved(to);
    });
    control.once('closed', () => {
      memory.close();
    });
    this.#disarm.push(
      control.on('attempt', (attempt) => {
        this.#options.onAttempt?.({ ...attempt, channel: 'control' });
      }),
      control.once('connected', () => {
        this.#reached('control');
      }),
      control.on('closed', ({ error }) => {
        this.#fail(error ?? new ClientError('left'));
      }),
    );
    control.connect();
    return control;
  }

  #reached(step: JoinStep): void {
    const ms = this.#sinceStart();
    this.#step = step;
    if (step === 'session' || step === 'control') this.#timeline.reached(`${step}Ms`, ms);
    this.#options.onStep?.(step, ms);
  }

  #sinceStart(): number {
    return this.#clock.now() - this.#startedAt;
  }

  #fail(error: ClientError): void {
    this.#abort.abort(error);
  }

  /** The promise's own outcome, or the failure of the attempt if that comes first. */
  #unlessFailed<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this.#abort;
    return new Promise<T>((resolve, reject) => {
      const fail = (): void => {
        reject(signal.reason as ClientError);
      };
      if (signal.aborted) fail();
      signal.addEventListener('abort', fail, { once: true });
      const settled = (): void => {
        signal.removeEventListener('abort', fail);
      };
      promise.then(resolve, reject).then(settled, settled);
    });
  }

  #timedOut(): ClientError {
    const detail = 'the join took too long';
    switch (this.#step) {
      case null:
        return new ClientError('edge-unreachable', { detail });
      case 'session':
        return new ClientError('edge-unreachable', {
          detail: `${detail}: no tunnel opens: ${describeAttempts(this.#control)}`,
        });
      case 'control':
        return new ClientError('no-reply', { detail });
      default:
        return new ClientError('media-unreachable', { detail: `tried: ${describeAttempts(this.#transport)}` });
    }
  }
}

/** The latest word on each rung. */
function describeAttempts(of: { readonly attempts: readonly Omit<RungAttempt, 'channel'>[] } | null): string {
  const latest = new Map(of?.attempts.map((attempt) => [attempt.rung, attempt]));
  const texts = [...latest.values()].map(
    ({ rung, outcome, reason }) => `${rung} ${outcome}${reason === undefined ? '' : `: ${reason}`}`,
  );
  return texts.join('; ');
}

/** Random, not zero, and different from each other. */
function chooseSsrcs(): Record<Source, number> {
  const chosen = new Set<number>();
  while (chosen.size < 3) chosen.add(Math.max(1, randomBytes(4).readUInt32BE()));
  const [microphone, camera, screen] = [...chosen] as [number, number, number];
  return { microphone, camera, screen };
}
