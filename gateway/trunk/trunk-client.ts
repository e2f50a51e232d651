/**
 * An edge's end of the trunk to one SFU node: keeps it open, and carries the paths of this edge and what is asked. Longer than
 * most files, because keeping, losing and using a trunk are one state; how a stream is opened, and what a path is to it, stand
 * in files of their own.
 */
import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Candidate, Logger } from '../../sfu/index.ts';
import {
  closeCodes,
  encodeTrunkControl,
  encodeTrunkJson,
  encodeTrunkMessage,
  lane,
  noRate,
  packMeta,
  readTrunkJson,
  readTrunkPart,
  readTrunkReason,
  trunkLimits,
  trunkMetaBytes,
  trunkType,
  u16,
  u32,
  unpackMeta,
  type Path,
} from '../../tunnel-protocol/index.ts';
import { FlushQueue } from '../flush-queue.ts';
import { UpstreamUnavailable } from '../upstream/upstream.ts';
import { EdgeFlow, metaOf } from './edge-flow.ts';
import { openTrunkStream, type OpenedStream, type OpenStreamEvents } from './open-stream.ts';
import type { TrunkCredentials } from './trunk-auth.ts';
import { sfuErrorOf, type TrunkEvent, type TrunkHello, type TrunkRequest } from './trunk-messages.ts';
import { newTrunkTraffic, type TrunkStream, type DropListener, type TrunkTraffic } from './trunk-stream.ts';

export interface TrunkClientConfig {
  readonly edgeId: string;
  readonly host: string;
  readonly port: number;
  readonly credentials: TrunkCredentials;
  /** Where clients reach the node by way of this edge. */
  readonly candidates: readonly Candidate[];
  readonly streams?: number;
  /** Who has to answer; null: whoever knows the secret. */
  readonly nodeId: string | null;
}

export interface TrunkClientEvents {
  /** The trunk is up, again or for the first time. */
  opened(client: TrunkClient): void;
  /** All its paths are closed already. */
  lost(client: TrunkClient, reason: string): void;
  /** Nothing listens where the node should be. */
  refused(client: TrunkClient): void;
  event(client: TrunkClient, event: TrunkEvent): void;
}

export interface TrunkClientDeps {
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly events: TrunkClientEvents;
}

/** The first one carries what is asked and told, the others the paths. */
const defaultStreams = 3;
const requestTimeoutMs = 5000;
const pingIntervalMs = 1000;
/** A node that says nothing for so long, asked every second, is gone. */
const silentMs = 5000;
const ratePollMs = 250;
const firstRetryMs = 50;
const maxRetryMs = 2000;
/** Paths of which nobody has proved anything yet; the oldest make way. */
const maxUnbound = 4096;
const unboundMs = 10_000;
/** A packet that a publisher's edge drops is a gap, which the SFU sees by itself. */
const nobody: DropListener = { dropped: () => undefined };

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
  readonly parts: Uint8Array[];
}

export class TrunkClient {
  readonly traffic: TrunkTraffic = newTrunkTraffic();
  readonly #config: TrunkClientConfig;
  readonly #deps: TrunkClientDeps;
  readonly #flushes = new FlushQueue();
  readonly #flows = new Map<number, EdgeFlow>();
  /** Of paths that nobody has proved, by where they come from: their sources send again before the node has answered. */
  readonly #unbound = new Map<string, EdgeFlow>();
  readonly #pending = new Map<number, Pending>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Null: lost, and being opened again. The first one is there as long as the trunk is. */
  #streams: (TrunkStream | null)[] = [];
  #node: TrunkHello | null = null;
  #nextFlow = 1;
  #nextRequest = 1;
  #retries = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #pingedAt = 0;
  #closed = false;
  #waiters: (() => void)[] = [];

  constructor(config: TrunkClientConfig, deps: TrunkClientDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  get isOpen(): boolean {
    return this.#node !== null;
  }

  get nodeId(): string | null {
    return this.#node?.id ?? this.#config.nodeId;
  }

  /** Where clients reach the node past any edge, while the trunk is open. */
  get candidates(): readonly Candidate[] {
    return this.#node?.candidates ?? [];
  }

  get flows(): number {
    return this.#flows.size;
  }

  /** Keeps trying until `close`. */
  start(): void {
    void this.#connect();
    this.#every(pingIntervalMs, () => {
      this.#ping();
    });
    this.#every(ratePollMs, () => {
      this.#tellRates();
    });
  }

  /** Resolves when the trunk is open; false when that takes longer. */
  async opened(timeoutMs: number): Promise<boolean> {
    if (this.isOpen) return true;
    if (this.#closed) return false;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    return this.isOpen;
  }

  /** Rejects with SfuError, or UpstreamUnavailable. */
  async ask(request: TrunkRequest): Promise<Readonly<Record<string, unknown>>> {
    const [stream] = this.#streams;
    if (stream == null || !this.isOpen) throw new UpstreamUnavailable('the trunk to the SFU node is down');
    const id = this.#nextRequest++ >>> 0;
    const answer = await new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new UpstreamUnavailable('the SFU node does not answer'));
      }, requestTimeoutMs);
      this.#pending.set(id, { resolve, reject, timer, parts: [] });
      for (const frame of encodeTrunkMessage(trunkType.request, id, request)) stream.sendControl(frame);
    });
    const { ok, error } = answer as { readonly ok?: unknown; readonly error?: unknown };
    const known = sfuErrorOf(error);
    if (known !== null) throw known;
    if (typeof ok !== 'object' || ok === null) throw new UpstreamUnavailable('the SFU node failed');
    return ok as Readonly<Record<string, unknown>>;
  }

  /** The path carries this session's control channel from now on, if the node knows the session. */
  attach(session: string, path: Path): void {
    if (this.#openFlow(path, session) === null) closeAsLost(path);
  }

  /** A datagram of a path that has a flow here. */
  forward(flow: EdgeFlow, datagram: Uint8Array): void {
    flow.stream.sendDatagram(flow.id, -1, datagram, metaOf(datagram), nobody);
  }

  /** STUN of a path that nobody has proved: the node may do so. */
  introduce(path: Path, datagram: Uint8Array): void {
    const key = `${path.kind} ${path.remote.address} ${String(path.remote.port)}`;
    let flow = this.#unbound.get(key) ?? null;
    if (flow === null || flow.path.kind !== 'udp') {
      flow = this.#openFlow(path, null);
      if (flow === null) return;
      if (path.kind !== 'udp') path.owner = flow;
      this.#unbound.set(key, flow);
      if (this.#unbound.size > maxUnbound) this.#forgetOldestUnbound();
    }
    this.forward(flow, datagram);
  }

  detach(flow: EdgeFlow): void {
    if (!this.#remove(flow)) return;
    flow.stream.sendControl(encodeTrunkControl(trunkType.gone, [flow.id]));
  }

  /** Ends all paths of this trunk. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#lose('this edge stops');
    for (const wake of this.#waiters.splice(0)) wake();
  }

  #every(intervalMs: number, act: () => void): void {
    this.#timers.push(setInterval(act, intervalMs).unref());
  }

  async #connect(): Promise<void> {
    const count = this.#config.streams ?? defaultStreams;
    const link = randomBytes(12).toString('hex');
    const sockets: TLSSocket[] = [];
    try {
      const opened = await Promise.all(
        Array.from({ length: count }, (_, i) => this.#openStream(link, i, count, sockets)),
      );
      const [first] = opened;
      if (this.#isClosed() || first === undefined || opened.some(({ stream }) => stream.closed)) {
        throw new Error('a stream was closed meanwhile');
      }
      this.#streams = opened.map(({ stream }) => stream);
      this.#node = first.hello;
      this.#retries = 0;
      this.#deps.log.info({ node: first.hello.id, streams: count }, 'trunk opened');
      this.#deps.events.opened(this);
      for (const wake of this.#waiters.splice(0)) wake();
    } catch (error) {
      for (const socket of sockets) socket.destroy();
      if (this.#retries === 0) this.#deps.log.warn({ err: error }, 'the trunk cannot be opened; trying on');
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') this.#deps.events.refused(this);
      this.#retry();
    }
  }

  #retry(): void {
    if (this.#closed || this.#retryTimer !== null) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null;
      void this.#connect();
    }, retryWait(this.#retries++));
  }

  #openStream(link: string, index: number, count: number, sockets: TLSSocket[]): Promise<OpenedStream> {
    const events: OpenStreamEvents = {
      frame: (flow, payload) => {
        this.#frame(flow, payload);
      },
      closed: (stream, reason) => {
        this.#streamLost(stream, link, count, reason);
      },
    };
    const deps = { traffic: this.traffic, flushes: this.#flushes, now: this.#deps.now };
    return openTrunkStream(this.#config, { link, index, count }, sockets, events, deps);
  }

  /**
   * What was under way on a stream cannot be told. A UDP path goes on by another stream, as if packets had been lost; a path that
   * promises to lose nothing is closed, and its client comes again. Without its first stream the trunk is lost.
   */
  #streamLost(lost: TrunkStream, link: string, count: number, reason: string): void {
    const index = this.#streams.indexOf(lost);
    if (index === -1) return;
    if (index === 0) {
      this.#lose(reason);
      return;
    }
    this.#streams[index] = null;
    this.#deps.log.warn({ reason, node: this.nodeId, stream: index }, 'a stream of the trunk was lost');
    for (const flow of [...this.#flows.values()]) {
      if (flow.stream !== lost) continue;
      flow.stream = this.#streamFor(flow.id) ?? lost;
      if (flow.session !== null || flow.path.kind === 'ice-tcp') {
        this.#remove(flow);
        closeAsLost(flow.path);
      } else if (!flow.bound) {
        // Nobody knows whether the node has heard of it.
        this.detach(flow);
      }
    }
    void this.#reopen(link, index, count);
  }

  async #reopen(link: string, index: number, count: number): Promise<void> {
    const [first] = this.#streams;
    const isCurrent = (): boolean => first != null && this.#streams[0] === first;
    for (let retries = 0; isCurrent(); retries++) {
      const sockets: TLSSocket[] = [];
      try {
        const { stream } = await this.#openStream(link, index, count, sockets);
        if (isCurrent() && !stream.closed) {
          this.#streams[index] = stream;
          this.#deps.log.info({ node: this.nodeId, stream: index }, 'a stream of the trunk was opened again');
          return;
        }
      } catch (error) {
        if (retries === 0) this.#deps.log.warn({ err: error }, 'a stream of the trunk cannot be opened; trying on');
      }
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => setTimeout(resolve, retryWait(retries)).unref());
    }
  }

  /** Paths share all streams but the first, as far as there are any. */
  #streamFor(flow: number): TrunkStream | null {
    const media = this.#streams.slice(1).filter((stream) => stream !== null);
    return media[flow % Math.max(1, media.length)] ?? this.#streams[0] ?? null;
  }

  /** The trunk is lost, and with it all paths: what was under way on them cannot be told. */
  #lose(reason: string): void {
    const streams = this.#streams;
    if (streams.length === 0) return;
    this.#streams = [];
    this.#node = null;
    for (const stream of streams) stream?.close(reason);
    for (const [id, { reject, timer }] of this.#pending) {
      this.#pending.delete(id);
      clearTimeout(timer);
      reject(new UpstreamUnavailable('the trunk to the SFU node was lost'));
    }
    for (const flow of [...this.#flows.values()]) {
      this.#remove(flow);
      if (flow.session === null && flow.path.kind !== 'ice-tcp') flow.path.unbind();
      else closeAsLost(flow.path);
    }
    if (!this.#closed) this.#deps.log.warn({ reason, node: this.#config.nodeId }, 'trunk lost');
    this.#deps.events.lost(this, reason);
    this.#retry();
  }

  #openFlow(path: Path, session: string | null): EdgeFlow | null {
    const id = this.#nextFlow;
    const stream = this.#streamFor(id);
    if (stream === null || !this.isOpen) return null;
    this.#nextFlow = id >= 0xffff_fffe ? 1 : id + 1;
    const flow = new EdgeFlow(id, path, session, this, stream, this.#deps.now());
    this.#flows.set(id, flow);
    const { kind, reliable, ordered, mtu, remote } = path;
    const described = { kind, reliable, ordered, mtu, address: remote.address, port: remote.port, session };
    stream.sendControl(encodeTrunkJson(trunkType.open, [id], described));
    if (session !== null) {
      flow.bound = true;
      path.owner = flow;
    }
    path.onDrop = (meta) => {
      flow.stream.sendControl(encodeTrunkControl(trunkType.dropped, [id, packMeta(meta)]));
    };
    return flow;
  }

  /** False when it was gone already. */
  #remove(flow: EdgeFlow): boolean {
    if (!this.#flows.delete(flow.id)) return false;
    const { path } = flow;
    const key = `${path.kind} ${path.remote.address} ${String(path.remote.port)}`;
    if (this.#unbound.get(key) === flow) this.#unbound.delete(key);
    if (path.owner === flow) path.owner = null;
    path.onDrop = null;
    return true;
  }

  #frame(flow: number, payload: Uint8Array): void {
    if (flow === 0) {
      this.#control(payload);
      return;
    }
    const found = this.#flows.get(flow);
    if (found === undefined || payload.length <= trunkMetaBytes) {
      this.traffic.dropped.closed++;
      return;
    }
    this.traffic.received++;
    const packed = u32(payload, 0);
    // The packets of a frame share theirs, so that there is not one more object for each.
    if (packed !== found.packed) {
      found.packed = packed;
      found.meta = unpackMeta(packed);
    }
    const { meta, path } = found;
    const datagram = new Uint8Array(
      payload.buffer,
      payload.byteOffset + trunkMetaBytes,
      payload.length - trunkMetaBytes,
    );
    if (!path.send(datagram, meta) && meta.lane >= lane.audio) path.onDrop?.(meta);
  }

  #control(body: Uint8Array): void {
    const word = body.length >= 5 ? u32(body, 1) : 0;
    switch (body[0]) {
      case trunkType.reply:
        this.#reply(body);
        return;
      case trunkType.event: {
        const event = readTrunkJson(body.subarray(1));
        if (event !== null) this.#deps.events.event(this, event as unknown as TrunkEvent);
        return;
      }
      case trunkType.close: {
        const flow = this.#flows.get(word);
        if (flow === undefined || body.length < 7) return;
        this.#remove(flow);
        flow.path.close(u16(body, 5), readTrunkReason(body.subarray(7)));
        return;
      }
      case trunkType.bind: {
        const flow = this.#flows.get(word);
        if (flow === undefined) return;
        this.#bind(flow);
        return;
      }
      case trunkType.unbind: {
        const flow = this.#flows.get(word);
        if (flow === undefined) return;
        this.#remove(flow);
        if (flow.session === null) flow.path.unbind();
        else closeAsLost(flow.path);
        return;
      }
    }
  }

  #bind(flow: EdgeFlow): void {
    const { path } = flow;
    this.#unbound.delete(`${path.kind} ${path.remote.address} ${String(path.remote.port)}`);
    flow.bound = true;
    path.owner = flow;
    path.bind();
  }

  #reply(body: Uint8Array): void {
    const part = readTrunkPart(body);
    const pending = part === null ? undefined : this.#pending.get(part.id);
    if (part === null || pending === undefined) return;
    pending.parts.push(part.bytes.slice());
    const total = pending.parts.reduce((sum, { length }) => sum + length, 0);
    if (!part.isLast && total <= trunkLimits.maxMessageBytes) return;
    this.#pending.delete(part.id);
    clearTimeout(pending.timer);
    pending.resolve(readTrunkJson(Buffer.concat(pending.parts)) ?? {});
  }

  #ping(): void {
    const now = this.#deps.now();
    const wasHeldUp = now - this.#pingedAt > 2 * pingIntervalMs;
    this.#pingedAt = now;
    if (!this.isOpen) return;
    for (const stream of [...this.#streams]) {
      if (stream === null) continue;
      // What this process itself was too busy to read is nobody's silence.
      if (now - stream.heardAt > silentMs && !wasHeldUp) stream.close('the SFU node says nothing');
      else stream.sendControl(encodeTrunkControl(trunkType.ping, [Math.floor(now) >>> 0]));
    }
    for (const flow of this.#unbound.values()) {
      if (now - flow.openedAt < unboundMs) break;
      this.detach(flow);
    }
  }

  #forgetOldestUnbound(): void {
    for (const oldest of this.#unbound.values()) {
      this.detach(oldest);
      return;
    }
  }

  #tellRates(): void {
    for (const flow of this.#flows.values()) {
      if (!flow.path.reliable) continue;
      const rate = flow.path.deliveryRate ?? null;
      const kilobits = rate === null ? noRate : Math.min(noRate - 1, Math.round(rate / 1000));
      const isNews =
        kilobits === noRate || flow.toldRate === noRate
          ? kilobits !== flow.toldRate
          : Math.abs(kilobits - flow.toldRate) * 20 > flow.toldRate;
      if (!isNews) continue;
      flow.toldRate = kilobits;
      flow.stream.sendControl(encodeTrunkControl(trunkType.rate, [flow.id, kilobits]));
    }
  }

  /** It may have happened during an await. */
  #isClosed(): boolean {
    return this.#closed;
  }
}

/** The client is to connect again, here or by another edge: what it was told last on this connection may not have come. */
function closeAsLost(path: Path): void {
  path.close(closeCodes['internal-error'].wire, 'internal-error');
}

/** In ms, between half of it and all: edges that lost the same node do not come back together. */
function retryWait(retries: number): number {
  return Math.min(maxRetryMs, firstRetryMs * 2 ** retries) * (0.5 + Math.random() / 2);
}
