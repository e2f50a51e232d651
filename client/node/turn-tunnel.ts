/**
 * TURN by the ladder: a session at an edge whose tunnel, on whichever carrier passes, takes the messages of TURN clients to
 * the edge's TURN server. For programs that offer TURN on this machine.
 */
import type { ControlRung } from '../../tunnel-protocol/index.ts';
import {
  encodeTurnFlowFrame,
  MediaLanes,
  transportMeta,
  turnFlowMessage,
  turnFlowMeta,
  turnFlowOf,
} from '../../tunnel-protocol/index.ts';
import type { ProxyOption, RungAttempt } from '../call.ts';
import { systemClock } from '../clock.ts';
import { ControlClient, createSession, deleteSession, EdgeRing, openExchange } from '../control/index.ts';
import type { Session } from '../control/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import { clientVersion } from '../version.ts';
import { createEdgeHttp } from './node-fetch.ts';
import { nodeSocketFactory } from './node-socket.ts';
import { proxyRoute } from './proxy-route.ts';
import { explainConnectionError, tlsTrust } from './tls-trust.ts';

export interface TurnTunnelOptions {
  readonly room: string;
  readonly token?: string | undefined;
  readonly proxy?: ProxyOption | undefined;
  readonly ca?: string | readonly string[] | undefined;
  readonly insecure?: boolean;
  /** Carriers that may be used; all if absent. */
  readonly rungs?: readonly ControlRung[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TurnTunnelEvents {
  /** Messages pass from now on. `resumed`: what was sent shortly before may be lost. */
  connected: { readonly rung: ControlRung; readonly resumed: boolean };
  /** It will be connected again; what is sent meanwhile goes nowhere. */
  disconnected: { readonly reason: string };
  rung: { readonly from: ControlRung | null; readonly to: ControlRung };
  attempt: Omit<RungAttempt, 'channel'>;
  /** A message of the TURN server for this flow, borrowed. An empty one: the flow has ended. */
  message: { readonly flow: number; readonly message: Uint8Array };
  /** Once; nothing follows. Null: `close` was called. */
  closed: { readonly error: ClientError | null };
}

const nothing = new Uint8Array(0);
/** Carries no client: by its frames the edge learns which connection the session is on. */
const noFlow = 0;

export class TurnTunnel extends Emitter<TurnTunnelEvents> {
  /** For the edge's TURN server. */
  readonly credentials: { readonly username: string; readonly credential: string };
  readonly #control: ControlClient;
  readonly #http: ReturnType<typeof createEdgeHttp>;
  readonly #lanes = new MediaLanes();
  readonly #message: { flow: number; message: Uint8Array } = { flow: 0, message: nothing };

  private constructor(session: Session, control: ControlClient, http: ReturnType<typeof createEdgeHttp>) {
    super();
    this.credentials = credentialsOf(session);
    this.#control = control;
    this.#http = http;
    this.#listen();
  }

  /** Asks the edge for a session. Rejects with a ClientError. Call `connect` once the events are listened to. */
  static async open(url: string, options: TurnTunnelOptions): Promise<TurnTunnel> {
    const { room, token, proxy, ca, insecure, rungs, signal } = options;
    const trust = tlsTrust({ ...(ca === undefined ? {} : { ca }), ...(insecure === true ? { insecure } : {}) });
    const route = proxyRoute(proxy, process.env);
    const http = createEdgeHttp(trust, route);
    try {
      const client = { kind: 'node', version: clientVersion } as const;
      const session = await createSession(url, { room, token, client, signal }, http.fetch, explainConnectionError);
      const control = new ControlClient({
        url: session.websocketUrl,
        edges: new EdgeRing(session.edges),
        resumeToken: session.resumeToken,
        openSocket: nodeSocketFactory(trust, route),
        http: {
          streamUrl: session.httpStreamUrl,
          pollUrl: session.longPollUrl,
          fetch: http.fetch,
          open: openExchange,
          isHttp2: () => http.isHttp2(),
          streamsUploads: true,
          explain: explainConnectionError,
        },
        rungs,
        graceMs: session.policy.sessionGraceMs,
        clock: systemClock,
      });
      if (session.iceServers.some(({ username, credential }) => username !== undefined && credential !== undefined)) {
        return new TurnTunnel(session, control, http);
      }
      await deleteSession(url, session, http.fetch);
      throw new ClientError('bad-answer', { detail: 'the edge offers no TURN' });
    } catch (error) {
      void http.close();
      throw error;
    }
  }

  get rung(): ControlRung {
    return this.#control.rung;
  }

  get connected(): boolean {
    return this.#control.connected;
  }

  get roundTripMs(): number | null {
    return this.#control.roundTripMs;
  }

  connect(): void {
    this.#control.connect();
  }

  /** One message of a client, borrowed; an empty one ends the flow. Flows are 1 to 65,535. False when it was dropped. */
  send(flow: number, message: Uint8Array): boolean {
    const meta = message.length === 0 ? transportMeta : turnFlowMeta(this.#lanes, message);
    return this.#control.sendDatagram(encodeTurnFlowFrame(flow, message), meta);
  }

  /** Ends the session, and with it what the edge holds for it. Idempotent. */
  close(): void {
    this.#control.close();
  }

  #listen(): void {
    const control = this.#control;
    control.on('turn', (frame) => {
      const event = this.#message;
      event.flow = turnFlowOf(frame);
      event.message = turnFlowMessage(frame);
      this.emit('message', event);
    });
    control.on('connected', ({ resumed }) => {
      this.send(noFlow, nothing);
      this.emit('connected', { rung: control.rung, resumed });
    });
    control.on('moved', () => {
      this.send(noFlow, nothing);
    });
    control.on('disconnected', (event) => {
      this.emit('disconnected', event);
    });
    control.on('rung', (event) => {
      this.emit('rung', event);
    });
    control.on('attempt', (attempt) => {
      this.emit('attempt', attempt);
    });
    control.on('closed', ({ error }) => {
      // The tunnel may need it for a last word.
      systemClock.setTimer(() => void this.#http.close(), 0);
      this.emit('closed', { error });
    });
  }
}

function credentialsOf({ iceServers }: Session): { readonly username: string; readonly credential: string } {
  for (const { username, credential } of iceServers) {
    if (username !== undefined && credential !== undefined) return { username, credential };
  }
  return { username: '', credential: '' };
}
