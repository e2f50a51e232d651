/** SFU nodes at the ends of trunks as an edge's upstream. A locator says which there are; trunks follow it. */
import { SfuError } from '../../sfu/index.ts';
import type {
  Candidate,
  Logger,
  RecordingSummary,
  RoomSummary,
  RungMove,
  SessionRequest,
  WhipOpened,
  WhipPatched,
  WhipRefusal,
  WhipRole,
} from '../../sfu/index.ts';
import { classifyDatagram, closeCodes, datagramClass, decodeStun, stunAttribute } from '../../tunnel-protocol/index.ts';
import type { Path, Source } from '../../tunnel-protocol/index.ts';
import type { ResumeClaims } from '../auth.ts';
import { EdgeFlow } from '../trunk/edge-flow.ts';
import { TrunkClient } from '../trunk/trunk-client.ts';
import type { TrunkCredentials } from '../trunk/trunk-auth.ts';
import type { TrunkEvent, TrunkRequest } from '../trunk/trunk-messages.ts';
import { ufragPrefixOf, type NodeAddress, type NodeLocator } from './node-locator.ts';
import {
  UpstreamUnavailable,
  type OpenedSession,
  type OpenedWhip,
  type Upstream,
  type UpstreamEvents,
} from './upstream.ts';

export interface TrunkUpstreamConfig {
  readonly edgeId: string;
  readonly credentials: TrunkCredentials;
  /** Where clients reach a node by way of this edge. */
  readonly candidates: readonly Candidate[];
  readonly streams?: number;
}

export interface TrunkUpstreamDeps {
  readonly locator: NodeLocator;
  readonly events: UpstreamEvents;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** A node is reached, with addresses that TURN may relay to. */
  readonly nodeReached: (candidates: readonly Candidate[]) => void;
}

type TrunkAnswer = Readonly<Record<string, unknown>>;

interface Trunk {
  readonly address: NodeAddress;
  readonly client: TrunkClient;
}

/** How long a request waits for a trunk that is being opened. */
const openWaitMs = 2000;
const syncMs = 500;
const maxRememberedEnds = 10_000;
const maxPlacements = 4;
const directoryRetrySeconds = 3;

export class TrunkUpstream implements Upstream {
  readonly counters = {};
  /** STUN that names no node's agent, and datagrams that nobody has a flow for. */
  unrouted = 0;
  readonly #config: TrunkUpstreamConfig;
  readonly #deps: TrunkUpstreamDeps;
  readonly #trunks = new Map<string, Trunk>();
  readonly #byUfragPrefix = new Map<string, TrunkClient>();
  /** Sessions that came by this edge: their node, and their rung, `none` before the first nomination. */
  readonly #sessions = new Map<string, { readonly node: string; rung: string }>();
  readonly #ended = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(config: TrunkUpstreamConfig, deps: TrunkUpstreamDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#sync();
    this.#timer = setInterval(() => {
      this.#sync();
    }, syncMs).unref();
  }

  /** Frames that came and went, and what was dropped, over all trunks. */
  get trunks(): readonly TrunkClient[] {
    return [...this.#trunks.values()].map(({ client }) => client);
  }

  /** Whether any node can be asked. */
  get isReachable(): boolean {
    return this.trunks.some(({ isOpen }) => isOpen);
  }

  async openSession(request: SessionRequest): Promise<OpenedSession> {
    const { node, answer } = await this.#open(request, { op: 'open-session', request });
    return { node, epoch: answer['epoch'] as number };
  }

  async openWhip(request: SessionRequest, role: WhipRole, offer: string): Promise<OpenedWhip> {
    const { node, answer } = await this.#open(request, { op: 'open-whip', request, role, offer });
    const opened = answer as unknown as WhipOpened | WhipRefusal;
    return 'refused' in opened ? opened : { node, ...opened };
  }

  async patchWhip(
    { session, node }: ResumeClaims,
    fragment: string,
    iceTags: readonly string[] | null,
  ): Promise<WhipPatched> {
    return (await this.#nodeOf(node).ask({ op: 'patch-whip', session, fragment, iceTags })) as unknown as WhipPatched;
  }

  async endSession({ session, node }: ResumeClaims): Promise<boolean> {
    const { ended } = await this.#nodeOf(node).ask({ op: 'end-session', session });
    return ended === true;
  }

  mayAttach({ session, node }: ResumeClaims): 'yes' | 'unknown' | 'unavailable' {
    if (this.#ended.has(session)) return 'unknown';
    const trunk = this.#trunks.get(node);
    // A session lives and dies with its node.
    if (trunk === undefined)
      return this.#deps.locator.nodes().some(({ id }) => id === node) ? 'unavailable' : 'unknown';
    return trunk.client.isOpen ? 'yes' : 'unavailable';
  }

  attach({ session, node }: ResumeClaims, path: Path): void {
    const client = this.#trunks.get(node)?.client;
    if (client === undefined) {
      path.close(closeCodes['unknown-session'].wire, 'unknown-session');
      return;
    }
    if (!this.#sessions.has(session)) this.#sessions.set(session, { node, rung: 'none' });
    client.attach(session, path);
  }

  detach(path: Path): void {
    if (path.owner instanceof EdgeFlow) path.owner.client.detach(path.owner);
  }

  /** Runs for every datagram. */
  receive(path: Path, datagram: Uint8Array): void {
    const flow = path.owner;
    if (flow instanceof EdgeFlow) flow.client.forward(flow, datagram);
    else this.#introduce(path, datagram);
  }

  sessionLives(sessionId: string): boolean {
    return !this.#ended.has(sessionId);
  }

  async rooms(): Promise<readonly RoomSummary[]> {
    const open = this.trunks.filter(({ isOpen }) => isOpen);
    if (open.length === 0) throw new UpstreamUnavailable('no SFU node is in reach');
    const answers = await Promise.all(open.map((client) => client.ask({ op: 'rooms' })));
    return answers.flatMap(({ rooms }) => rooms as RoomSummary[]);
  }

  async room(name: string): Promise<RoomSummary | undefined> {
    const client = await this.#holder(name);
    if (client === null) return undefined;
    const { room } = await client.ask({ op: 'room', room: name });
    return (room as RoomSummary | null) ?? undefined;
  }

  async kick(room: string, participant: string): Promise<void> {
    const client = await this.#holder(room);
    if (client === null) throw new SfuError('unknown-room');
    await client.ask({ op: 'kick', room, participant });
  }

  async mute(room: string, participant: string, source: Source): Promise<void> {
    const client = await this.#holder(room);
    if (client === null) throw new SfuError('unknown-room');
    await client.ask({ op: 'mute', room, participant, source });
  }

  async startRecording(room: string): Promise<RecordingSummary> {
    const client = await this.#holder(room);
    if (client === null) throw new SfuError('unknown-room');
    const { recording } = await client.ask({ op: 'start-recording', room });
    return recording as RecordingSummary;
  }

  async stopRecording(room: string): Promise<boolean> {
    const client = await this.#holder(room);
    if (client === null) throw new SfuError('unknown-room');
    return (await client.ask({ op: 'stop-recording', room }))['stopped'] === true;
  }

  sessionsByRung(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { rung } of this.#sessions.values()) counts.set(rung, (counts.get(rung) ?? 0) + 1);
    return counts;
  }

  sfuAddresses(): readonly Candidate[] {
    return [...this.#config.candidates, ...this.trunks.flatMap(({ candidates }) => candidates)];
  }

  close(): Promise<void> {
    clearInterval(this.#timer);
    for (const { client } of this.#trunks.values()) client.close();
    this.#trunks.clear();
    this.#byUfragPrefix.clear();
    return Promise.resolve();
  }

  /** Opens trunks to nodes that have come, and closes those to nodes that are gone or have moved. */
  #sync(): void {
    const nodes = new Map(this.#deps.locator.nodes().map((node) => [node.id, node]));
    for (const [id, { address, client }] of this.#trunks) {
      const now = nodes.get(id);
      if (now?.host === address.host && now.port === address.port) continue;
      this.#trunks.delete(id);
      this.#forgetNode(id, client);
      client.close();
    }
    for (const node of nodes.values()) this.#trunkTo(node);
  }

  #forgetNode(id: string, client: TrunkClient): void {
    for (const [prefix, known] of this.#byUfragPrefix) if (known === client) this.#byUfragPrefix.delete(prefix);
    for (const [session, { node }] of this.#sessions) if (node === id) this.#sessions.delete(session);
  }

  #trunkTo(address: NodeAddress): TrunkClient {
    const present = this.#trunks.get(address.id);
    if (present !== undefined) return present.client;
    const { edgeId, credentials, candidates, streams } = this.#config;
    const { log, now } = this.#deps;
    const config = {
      edgeId,
      host: address.host,
      port: address.port,
      credentials,
      candidates,
      nodeId: address.isNamed ? address.id : null,
    };
    const client = new TrunkClient(streams === undefined ? config : { ...config, streams }, {
      log,
      now,
      events: {
        opened: (trunk) => {
          if (trunk.nodeId !== null) this.#byUfragPrefix.set(ufragPrefixOf(trunk.nodeId), trunk);
          this.#deps.nodeReached(trunk.candidates);
        },
        lost: (trunk) => {
          this.#forgetNode(address.id, trunk);
        },
        refused: () => {
          this.#deps.locator.died(address);
        },
        event: (_, event) => {
          this.#handle(address.id, event);
        },
      },
    });
    this.#trunks.set(address.id, { address, client });
    client.start();
    return client;
  }

  async #reach(address: NodeAddress): Promise<TrunkClient> {
    const client = this.#trunkTo(address);
    if (!(await client.opened(openWaitMs)))
      throw new UpstreamUnavailable('the SFU node of the room is out of reach', 1);
    return client;
  }

  async #holder(room: string): Promise<TrunkClient | null> {
    const address = await this.#deps.locator.find(room);
    return address === null ? null : this.#reach(address);
  }

  #nodeOf(id: string): TrunkClient {
    const client = this.#trunks.get(id)?.client;
    if (client?.isOpen !== true) throw new UpstreamUnavailable('the SFU node of the session is out of reach');
    return client;
  }

  /** Asks the node of the room, or the next one where that does not hold it any more. */
  async #open(request: SessionRequest, asked: TrunkRequest): Promise<{ node: string; answer: TrunkAnswer }> {
    const { locator } = this.#deps;
    for (let attempt = 1; ; attempt++) {
      const address = await locator.place(request.room);
      const client = await this.#reach(address);
      const answer = await client.ask(asked);
      const { elsewhere } = answer;
      if (elsewhere === undefined) {
        if (typeof answer['epoch'] === 'number') {
          this.#sessions.set(request.sessionId, { node: address.id, rung: 'none' });
          locator.placed(request.room, address);
        }
        return { node: address.id, answer };
      }
      locator.placed(request.room, null);
      if (elsewhere === 'directory-down') {
        throw new UpstreamUnavailable('the directory is away, and the room is not known here', directoryRetrySeconds);
      }
      if (attempt === maxPlacements)
        throw new UpstreamUnavailable(`no SFU node takes the room: ${elsewhere as string}`, 1);
    }
  }

  #introduce(path: Path, datagram: Uint8Array): void {
    const username = classifyDatagram(datagram) === datagramClass.stun ? usernameOf(datagram) : null;
    const client = username === null ? undefined : this.#byUfragPrefix.get(username.slice(0, 4));
    if (client === undefined) this.unrouted++;
    else client.introduce(path, datagram);
  }

  #handle(node: string, event: TrunkEvent): void {
    const { events } = this.#deps;
    switch (event.event) {
      case 'rung': {
        const { session, from, to, reason, afterMs } = event;
        const known = this.#sessions.get(session);
        if (known !== undefined) known.rung = to;
        events.rungMoved({ from, to, reason, afterMs } as RungMove, session);
        return;
      }
      case 'session-end':
        this.#sessions.delete(event.session);
        this.#ended.add(event.session);
        for (const oldest of this.#ended) {
          if (this.#ended.size <= maxRememberedEnds) break;
          this.#ended.delete(oldest);
        }
        events.sessionEnded(event.session);
        return;
      case 'taken':
        this.#sessions.set(event.session, { node, rung: event.rung });
        events.taken(event.session, node, event.take);
        return;
      case 'left':
        this.#sessions.delete(event.session);
        events.left(event.session);
        return;
    }
  }
}

function usernameOf(datagram: Uint8Array): string | null {
  const message = decodeStun(datagram);
  const value = typeof message === 'string' ? null : message.value(stunAttribute.USERNAME);
  return value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
}
