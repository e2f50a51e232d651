/** `GET /tunnel/v1/ws`: proves whose tunnel a WebSocket is, and ties it to the session in the SFU. */
import { classifyDatagram, datagramClass, flowLimits, maxMessageBytes } from '../tunnel-protocol/index.ts';
import type { ResumeClaims, TokenAuthority } from './auth.ts';
import { offeredSubprotocols, tunnelSubprotocol, tunnelToken } from './bearer.ts';
import type { GatewayCounters } from './counters.ts';
import { hintDrain } from './drain-hint.ts';
import type { EdgeNews } from './edge-news.ts';
import type { EngineSocket, RequestHead, SocketEvents, UpgradeDecision, WebSocketRoute } from './engine/index.ts';
import { FlushQueue } from './flush-queue.ts';
import type { Origins } from './origins.ts';
import { attachRefusal, Problem, problem, problemReply } from './problem.ts';
import { TunnelPath, type ReceiveDatagram } from './tunnel-path.ts';
import type { TurnFlows } from './turn-flows.ts';
import type { Upstream } from './upstream/index.ts';

const idleTimeoutSeconds = 32;
/** Asks for a connection that carries audio beside the session's WebSocket. */
export const audioQuery = 'lane=audio';

export interface TunnelWebSocketDeps {
  readonly upstream: Upstream;
  readonly tokens: TokenAuthority;
  readonly origins: Origins;
  readonly counters: GatewayCounters;
  /** Takes the frames of TURN clients that come by tunnels; absent: nobody does. */
  readonly turnFlows?: Pick<TurnFlows, 'receive'>;
}

interface MainConnection {
  readonly path: TunnelPath;
  audio: TunnelPath | null;
}

export class TunnelWebSocket implements WebSocketRoute {
  readonly path = '/tunnel/v1/ws';
  readonly maxMessageBytes = maxMessageBytes;
  readonly idleTimeoutSeconds = idleTimeoutSeconds;
  readonly #deps: TunnelWebSocketDeps;
  readonly #flushes = new FlushQueue();
  readonly #open = new Set<TunnelPath>();
  /** By session, in the order in which they came; several while its client tries another one. */
  readonly #mains = new Map<string, Set<MainConnection>>();

  constructor(deps: TunnelWebSocketDeps) {
    this.#deps = deps;
  }

  get openTunnels(): number {
    return this.#open.size;
  }

  readonly upgrade = (head: RequestHead): UpgradeDecision => {
    const { counters } = this.#deps;
    const claims = this.#authenticate(head);
    if (claims instanceof Problem) {
      counters.refuse(claims.code);
      counters.tunnelsRefused++;
      // A page is not told why an upgrade was refused, and would try again until it gives up: a close code it can read.
      if (claims.code === 'session-unknown' && head.header('origin') !== '') {
        return { accept: true, protocol: tunnelSubprotocol, open: (socket) => this.#closeAsUnknown(socket) };
      }
      return { accept: false, reply: problemReply(claims) };
    }
    if (head.query !== audioQuery) {
      return { accept: true, protocol: tunnelSubprotocol, open: (socket) => this.#attach(claims, socket) };
    }
    const main = this.#mainOf(claims.session);
    if (main !== null) {
      return { accept: true, protocol: tunnelSubprotocol, open: (socket) => this.#attachAudio(main, socket) };
    }
    counters.tunnelsRefused++;
    return { accept: false, reply: problemReply(problem('no-tunnel', 'Open the WebSocket of the session first.')) };
  };

  /** Tells all clients to go on at one of these edges. */
  drain(edges: readonly string[], spreadMs: number): void {
    hintDrain(this.#sessionPaths(), edges, spreadMs);
  }

  /** To be called every second or so. */
  tellEdges(news: EdgeNews, nowMs: number): void {
    news.tell(this.#sessionPaths(), nowMs);
  }

  /** To be called every few seconds. */
  checkStalled(nowMs: number): void {
    for (const path of this.#open) path.checkStalled(nowMs);
  }

  #authenticate(head: RequestHead): ResumeClaims | Problem {
    const { origins, tokens, upstream } = this.#deps;
    if (!origins.allows(head)) {
      return problem('origin-not-allowed', "Name the page's origin in SALLYPORT_ORIGINS.");
    }
    if (!offeredSubprotocols(head).includes(tunnelSubprotocol)) {
      return problem('bad-request', `Offer the WebSocket subprotocol ${tunnelSubprotocol}.`);
    }
    const token = tunnelToken(head);
    if (token === null) {
      return problem('token-missing', 'Prove the session by its resume token, as subprotocol or Authorization header.');
    }
    const claims = tokens.verifyResumeToken(token);
    if (claims === null) return problem('token-invalid', 'This is not a resume token of this server.');
    return attachRefusal(upstream.mayAttach(claims)) ?? claims;
  }

  #attach(claims: ResumeClaims, socket: EngineSocket): SocketEvents {
    const { upstream, counters, turnFlows } = this.#deps;
    const { session } = claims;
    const path = new TunnelPath(socket, this.#receive, counters.websocket, this.#flushes, {
      ...(turnFlows === undefined ? {} : { turnFlow: (from, frame) => turnFlows.receive(session, from, frame) }),
    });
    counters.tunnelsAccepted++;
    this.#open.add(path);
    const main: MainConnection = { path, audio: null };
    const mains = this.#mains.get(session) ?? new Set<MainConnection>();
    this.#mains.set(session, mains.add(main));
    upstream.attach(claims, path);
    return {
      message: (bytes, isBinary) => {
        path.handleMessage(bytes, isBinary);
      },
      drain: () => {
        path.handleDrain();
      },
      closed: () => {
        path.handleClosed();
        this.#open.delete(path);
        mains.delete(main);
        if (mains.size === 0 && this.#mains.get(session) === mains) this.#mains.delete(session);
        this.#replaceAudio(main, null);
        upstream.detach(path);
      },
    };
  }

  *#sessionPaths(): Iterable<TunnelPath> {
    for (const mains of this.#mains.values()) for (const { path } of mains) if (path.isSessions) yield path;
  }

  #closeAsUnknown(socket: EngineSocket): SocketEvents {
    const path = new TunnelPath(socket, () => undefined, this.#deps.counters.websocket, this.#flushes);
    path.closeWith('unknown-session');
    return {
      message: () => undefined,
      drain: () => {
        path.handleDrain();
      },
      closed: () => {
        path.handleClosed();
      },
    };
  }

  /** Of those that their client opened, the latest; null when there is none. */
  #mainOf(session: string): MainConnection | null {
    const opened = [...(this.#mains.get(session) ?? [])].filter(({ path }) => path.isSessions && !path.closed);
    return opened.at(-1) ?? null;
  }

  /** What comes there counts as having come on the main connection. */
  #attachAudio(main: MainConnection, socket: EngineSocket): SocketEvents {
    const { upstream, counters } = this.#deps;
    const receive: ReceiveDatagram = (_, datagram) => {
      if (classifyDatagram(datagram) === datagramClass.control) audio.closeWith('protocol-error');
      else if (!main.path.closed) upstream.receive(main.path, datagram);
    };
    const audio = new TunnelPath(socket, receive, counters.websocket, this.#flushes, {
      flow: { creditLeastBytes: flowLimits.audioCreditLeastBytes },
    });
    counters.audioConnections++;
    this.#open.add(audio);
    audio.beginAsAudio(main.path);
    this.#replaceAudio(main, audio);
    // The main connection ended between the upgrade and now.
    if (main.path.closed) audio.closeWith('replaced');
    return {
      message: (bytes, isBinary) => {
        audio.handleMessage(bytes, isBinary);
      },
      drain: () => {
        audio.handleDrain();
      },
      closed: () => {
        audio.handleClosed();
        this.#open.delete(audio);
        if (main.audio === audio) this.#replaceAudio(main, null);
      },
    };
  }

  #replaceAudio(main: MainConnection, audio: TunnelPath | null): void {
    const before = main.audio;
    main.audio = audio;
    main.path.carryAudio(audio);
    before?.closeWith('replaced');
  }

  readonly #receive: ReceiveDatagram = (path, datagram) => {
    this.#deps.upstream.receive(path, datagram);
  };
}
