/**
 * An SFU node's end of its trunks: edges connect, prove themselves, and bring paths and requests. Longer than most files,
 * because what an edge may ask is one table.
 */
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import {
  SfuError,
  type Candidate,
  type Logger,
  type RungMove,
  type SessionRequest,
  type Sfu,
} from '../../sfu/index.ts';
import {
  closeCodes,
  concatBytes,
  encodeTrunkControl,
  encodeTrunkJson,
  encodeTrunkMessage,
  readTrunkJson,
  readTrunkPart,
  trunkLimits,
  trunkType,
  trunkVersion,
  u32,
  type Path,
  type Source,
} from '../../tunnel-protocol/index.ts';
import { ListenError } from '../engine/index.ts';
import { FlushQueue } from '../flush-queue.ts';
import { isProved, trunkProof, trunkServerOptions, type TrunkCredentials } from './trunk-auth.ts';
import { readHello, type TrunkEvent, type TrunkHello, type TrunkRequest } from './trunk-messages.ts';
import { readPathDescription, TrunkPath } from './trunk-path.ts';
import { newTrunkTraffic, TrunkStream, type TrunkTraffic } from './trunk-stream.ts';

export interface TrunkServerConfig {
  readonly nodeId: string;
  readonly credentials: TrunkCredentials;
  /** What the listener shows where the cluster has no certificates of its own. */
  readonly own: { readonly cert: string; readonly key: string };
  /** Where clients reach this node past any edge. */
  readonly candidates: readonly Candidate[];
}

export interface TrunkServerDeps {
  readonly sfu: Sfu;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Asked before a session is opened: whether the room is this node's. */
  readonly admit?: (room: string) => Promise<'ok' | 'elsewhere' | 'draining' | 'directory-down'>;
}

/** From the TCP connection to a hello that proves the peer. */
const helloTimeoutMs = 5000;
/** So many connections may be there that have proved nothing. */
const maxStrangers = 256;
/** An offer, escaped as JSON. */
const maxRequestBytes = 262_144;
const maxPartialRequests = 64;

interface EdgeLink {
  readonly edge: string;
  readonly key: string;
  readonly candidates: readonly Candidate[];
  readonly streams: (TrunkStream | undefined)[];
  readonly flows: Map<number, TrunkPath>;
  /** What came of requests of which more is to come, by their ids. */
  readonly partial: Map<number, Uint8Array>;
}

export class TrunkServer {
  readonly traffic: TrunkTraffic = newTrunkTraffic();
  /** Peers that did not prove themselves, and frames of proved ones that make no sense. */
  refused = 0;
  malformed = 0;
  readonly #config: TrunkServerConfig;
  readonly #deps: TrunkServerDeps;
  readonly #flushes = new FlushQueue();
  readonly #links = new Map<string, EdgeLink>();
  readonly #linkOfPath = new WeakMap<Path, { readonly link: EdgeLink; readonly flow: number }>();
  /** By session: the links that brought it. */
  readonly #sessionLinks = new Map<string, Set<EdgeLink>>();
  /** By session: what carries its media. */
  readonly #rungs = new Map<string, string>();
  readonly #sockets = new Set<Socket>();
  readonly #strangers = new Set<Socket>();
  readonly #server;

  constructor(config: TrunkServerConfig, deps: TrunkServerDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#server = createServer(trunkServerOptions(config.credentials, config.own), (socket) => {
      this.#welcome(socket);
    });
    this.#server.on('connection', (socket: Socket) => {
      if (this.#strangers.size >= maxStrangers) {
        this.refused++;
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      this.#strangers.add(socket);
      const timer = setTimeout(() => {
        if (!this.#strangers.has(socket)) return;
        this.refused++;
        socket.destroy();
      }, helloTimeoutMs).unref();
      socket.once('close', () => {
        clearTimeout(timer);
        this.#strangers.delete(socket);
        this.#sockets.delete(socket);
      });
    });
    this.#server.on('tlsClientError', (_, socket) => {
      this.refused++;
      socket.destroy();
    });
  }

  get edges(): number {
    return new Set([...this.#links.values()].map(({ edge }) => edge)).size;
  }

  get flows(): number {
    let flows = 0;
    for (const link of this.#links.values()) flows += link.flows.size;
    return flows;
  }

  /** Returns the port. Rejects with ListenError. */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new ListenError(error.code ?? 'EUNKNOWN', host, port));
      });
      this.#server.listen({ host, port }, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  rungMoved({ from, to, reason, afterMs }: RungMove, session: string): void {
    this.#rungs.set(session, to);
    this.#tellSession(session, { event: 'rung', session, from, to, reason, afterMs });
  }

  sessionEnded(session: string): void {
    this.#tellSession(session, { event: 'session-end', session });
    this.#sessionLinks.delete(session);
    this.#rungs.delete(session);
  }

  taken(session: string, path: Path, take: number): void {
    const at = this.#linkOfPath.get(path);
    if (at === undefined) return;
    for (const link of this.#sessionLinks.get(session) ?? []) {
      if (link !== at.link && link.edge !== at.link.edge) this.#tell(link, { event: 'left', session });
    }
    this.#tell(at.link, { event: 'taken', session, flow: at.flow, take, rung: this.#rungs.get(session) ?? 'none' });
  }

  async close(): Promise<void> {
    for (const link of [...this.#links.values()]) this.#drop(link, 'this node stops');
    for (const socket of this.#strangers) socket.destroy();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  /** A connection after its TLS handshake: the first frame says whose it is. */
  #welcome(socket: TLSSocket): void {
    let link: EdgeLink | null = null;
    const stream: TrunkStream = new TrunkStream(
      socket,
      {
        frame: (flow, payload) => {
          if (link !== null) this.#frame(link, stream, flow, payload);
          else link = this.#admit(socket, stream, flow, payload);
        },
        closed: (reason) => {
          if (link !== null) this.#streamLost(link, stream, reason);
        },
      },
      { traffic: this.traffic, flushes: this.#flushes, now: this.#deps.now },
    );
  }

  #admit(socket: TLSSocket, stream: TrunkStream, flow: number, payload: Uint8Array): EdgeLink | null {
    const { credentials, nodeId, candidates } = this.#config;
    const hello = flow === 0 && payload[0] === trunkType.hello ? readHello(readTrunkJson(payload.subarray(1))) : null;
    if (hello === null || !isProved(socket, credentials, 'edge', hello.link, hello.proof)) {
      this.refused++;
      this.#deps.log.warn({ remote: socket.remoteAddress }, 'a trunk was refused: the peer did not prove itself');
      stream.close('not proved');
      return null;
    }
    // The TLS socket stands for the raw one that was counted.
    for (const stranger of this.#strangers) if (isSame(stranger, socket)) this.#strangers.delete(stranger);
    stream.trust();
    const answer: TrunkHello = {
      version: trunkVersion,
      id: nodeId,
      link: hello.link,
      stream: hello.stream,
      streams: hello.streams,
      proof: trunkProof(socket, credentials, 'node', hello.link),
      candidates,
    };
    stream.sendControl(encodeTrunkJson(trunkType.hello, [], answer));
    return this.#join(hello, stream);
  }

  #join(hello: TrunkHello, stream: TrunkStream): EdgeLink {
    const key = `${hello.id} ${hello.link}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = { edge: hello.id, key, candidates: hello.candidates, streams: [], flows: new Map(), partial: new Map() };
      this.#links.set(key, link);
      this.#deps.log.info({ edge: hello.id, streams: hello.streams }, 'trunk opened');
    }
    const before = link.streams[hello.stream];
    link.streams[hello.stream] = stream;
    // The edge knows before this node that it is lost.
    if (before !== undefined) {
      this.#movePaths(link, before, stream);
      before.close('replaced');
    }
    return link;
  }

  /** The edge opens it again; without its first stream a trunk is lost. */
  #streamLost(link: EdgeLink, lost: TrunkStream, reason: string): void {
    const index = link.streams.indexOf(lost);
    if (index === -1) return;
    link.streams[index] = undefined;
    const other = link.streams.find((stream) => stream !== undefined);
    if (index === 0 || other === undefined) this.#drop(link, reason);
    else this.#movePaths(link, lost, other);
  }

  /** What was under way is lost: paths that promise to lose nothing end with their stream. */
  #movePaths(link: EdgeLink, from: TrunkStream, to: TrunkStream): void {
    for (const path of [...link.flows.values()]) {
      if (path.stream !== from) continue;
      path.moveTo(to);
      if (!path.reliable) continue;
      path.end();
      this.#deps.sfu.detach(path);
    }
  }

  /** All paths that came by the trunk are lost. */
  #drop(link: EdgeLink, reason: string): void {
    if (this.#links.get(link.key) !== link) return;
    this.#links.delete(link.key);
    this.#deps.log.info({ edge: link.edge, reason }, 'trunk closed');
    for (const path of [...link.flows.values()]) {
      path.end();
      this.#deps.sfu.detach(path);
    }
    for (const [session, links] of this.#sessionLinks) {
      if (links.delete(link) && links.size === 0) this.#sessionLinks.delete(session);
    }
    for (const stream of link.streams) stream?.close(reason);
  }

  #frame(link: EdgeLink, stream: TrunkStream, flow: number, payload: Uint8Array): void {
    if (flow === 0) {
      this.#control(link, stream, payload);
      return;
    }
    const path = link.flows.get(flow);
    if (path === undefined) {
      this.traffic.dropped.closed++;
      // Its end was on its way on a stream that was lost, perhaps.
      stream.sendControl(encodeTrunkControl(trunkType.unbind, [flow]));
      return;
    }
    this.traffic.received++;
    this.#deps.sfu.receive(path, payload);
  }

  #control(link: EdgeLink, stream: TrunkStream, body: Uint8Array): void {
    const flow = body.length >= 5 ? u32(body, 1) : 0;
    switch (body[0]) {
      case trunkType.open:
        this.#openFlow(link, stream, flow, body.subarray(5));
        return;
      case trunkType.gone: {
        const path = link.flows.get(flow);
        if (path === undefined) return;
        path.end();
        this.#deps.sfu.detach(path);
        return;
      }
      case trunkType.dropped:
        if (body.length >= 9) link.flows.get(flow)?.droppedAtEdge(u32(body, 5));
        return;
      case trunkType.rate:
        if (body.length >= 9) link.flows.get(flow)?.rateAtEdge(u32(body, 5));
        return;
      case trunkType.ping:
        stream.sendControl(encodeTrunkControl(trunkType.pong, [flow]));
        return;
      case trunkType.request: {
        this.#requestPart(link, stream, body);
        return;
      }
      default:
        this.malformed++;
    }
  }

  #openFlow(link: EdgeLink, stream: TrunkStream, flow: number, json: Uint8Array): void {
    const description = readPathDescription(readTrunkJson(json));
    if (description === null || flow === 0 || link.flows.has(flow)) {
      this.malformed++;
      return;
    }
    const { sfu } = this.#deps;
    const path = new TrunkPath(description, flow, stream, (ended) => link.flows.delete(ended));
    link.flows.set(flow, path);
    this.#linkOfPath.set(path, { link, flow });
    const { session } = description;
    if (session === null) return;
    try {
      sfu.attach(session, path, link.candidates);
      this.#noteLink(session, link);
    } catch (error) {
      if (!(error instanceof SfuError)) throw error;
      path.close(closeCodes['unknown-session'].wire, 'unknown-session');
    }
  }

  #requestPart(link: EdgeLink, stream: TrunkStream, body: Uint8Array): void {
    const part = readTrunkPart(body);
    if (part === null) {
      this.malformed++;
      return;
    }
    const { partial } = link;
    const before = partial.get(part.id) ?? new Uint8Array(0);
    partial.delete(part.id);
    if (before.length + part.bytes.length > maxRequestBytes || (!part.isLast && partial.size >= maxPartialRequests)) {
      this.malformed++;
      return;
    }
    const bytes = concatBytes([before, part.bytes]);
    if (!part.isLast) {
      partial.set(part.id, bytes);
      return;
    }
    const request = readTrunkJson(bytes);
    if (request === null) this.malformed++;
    else void this.#answer(link, stream, part.id, request as unknown as TrunkRequest);
  }

  async #answer(link: EdgeLink, stream: TrunkStream, id: number, request: TrunkRequest): Promise<void> {
    let answer: object;
    try {
      answer = { ok: await this.#perform(link, request) };
    } catch (error) {
      if (!(error instanceof SfuError)) this.#deps.log.error({ err: error }, 'a request on a trunk failed');
      answer = { error: error instanceof SfuError ? error.code : 'internal' };
    }
    for (const frame of encodeTrunkMessage(trunkType.reply, id, answer)) stream.sendControl(frame);
  }

  async #perform(link: EdgeLink, asked: TrunkRequest): Promise<unknown> {
    const { sfu, admit } = this.#deps;
    switch (asked.op) {
      case 'open-session': {
        const request: SessionRequest = { ...asked.request, candidates: link.candidates };
        const verdict = (await admit?.(request.room)) ?? 'ok';
        if (verdict !== 'ok') return { elsewhere: verdict };
        const { epoch } = sfu.openSession(request);
        this.#noteLink(request.sessionId, link);
        return { epoch };
      }
      case 'open-whip': {
        const request: SessionRequest = { ...asked.request, candidates: link.candidates };
        const verdict = (await admit?.(request.room)) ?? 'ok';
        if (verdict !== 'ok') return { elsewhere: verdict };
        const opened = sfu.openWhip(request, asked.role, asked.offer);
        if (!('refused' in opened)) this.#noteLink(request.sessionId, link);
        return opened;
      }
      case 'patch-whip': {
        const patched = sfu.patchWhip(asked.session, asked.fragment, asked.iceTags, link.candidates);
        this.#noteLink(asked.session, link);
        return patched;
      }
      case 'end-session':
        return { ended: sfu.endSession(asked.session, 'left') };
      case 'rooms':
        return { rooms: sfu.rooms() };
      case 'room':
        return { room: sfu.room(asked.room) ?? null };
      case 'kick':
        sfu.kick(asked.room, asked.participant);
        return {};
      case 'mute':
        sfu.mute(asked.room, asked.participant, asked.source as Source);
        return {};
      case 'start-recording':
        return { recording: await sfu.startRecording(asked.room, 'api') };
      case 'stop-recording':
        return { stopped: sfu.stopRecording(asked.room, 'api') };
    }
  }

  #noteLink(session: string, link: EdgeLink): void {
    const links = this.#sessionLinks.get(session);
    if (links === undefined) this.#sessionLinks.set(session, new Set([link]));
    else links.add(link);
  }

  #tellSession(session: string, event: TrunkEvent): void {
    for (const link of this.#sessionLinks.get(session) ?? []) this.#tell(link, event);
  }

  #tell(link: EdgeLink, event: TrunkEvent): void {
    const frame = encodeTrunkJson(trunkType.event, [], event);
    if (frame.length <= trunkLimits.maxFrameBytes)
      link.streams.find((stream) => stream !== undefined)?.sendControl(frame);
  }
}

function isSame(raw: Socket, secure: TLSSocket): boolean {
  return raw.remotePort === secure.remotePort && raw.remoteAddress === secure.remoteAddress;
}
