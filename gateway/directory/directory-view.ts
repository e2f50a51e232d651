/**
 * What an edge knows of the directory: read again and again, and kept while the directory does not answer, because who
 * lived a moment ago most likely lives, and whoever does not is found out by the trunk.
 */
import { UpstreamUnavailable } from '../upstream/upstream.ts';
import type { NodeAddress, NodeLocator } from '../upstream/node-locator.ts';
import { DirectoryDown, directoryTimes, type Directory, type EdgeRecord, type NodeRecord } from './directory.ts';

export interface DirectoryViewDeps {
  readonly directory: Directory;
  /** Whose SFU nodes are preferred. */
  readonly region: string;
  readonly edgeId: string;
  readonly edge: () => EdgeRecord;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

const pollMs = 500;
const firstReadMs = 2000;
const maxKnownRooms = 50_000;
const maxKnownUrls = 1000;
/** A directory that is away may be back in so many seconds. */
const retryAfterSeconds = 3;

export class DirectoryView implements NodeLocator {
  readonly #deps: DirectoryViewDeps;
  #nodes: readonly NodeRecord[] = [];
  #edges: readonly EdgeRecord[] = [];
  /** Where edges are and were, the latest of them last. */
  readonly #urls = new Set<string>();
  /** By instance. */
  readonly #dead = new Set<string>();
  /** Where rooms were found last. */
  readonly #rooms = new Map<string, string>();
  #timer: NodeJS.Timeout | null = null;
  #announcedAt = -Infinity;
  #running: Promise<void> | null = null;

  constructor(deps: DirectoryViewDeps) {
    this.#deps = deps;
  }

  /** Reads who else there is, if the directory answers within a moment. */
  async read(): Promise<void> {
    const deadline = performance.now() + firstReadMs;
    while (!this.#deps.directory.up && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await this.#read();
  }

  /** Says who this edge is, and reads on, until `close`. */
  async start(): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => {
      void this.refresh();
    }, pollMs);
  }

  /** The others that live and take sessions. */
  otherEdges(): readonly EdgeRecord[] {
    const { edgeId } = this.#deps;
    return this.#edges.filter((edge) => edge.id !== edgeId && !edge.draining);
  }

  /** Of all that have been seen: pages that one of them gave out live longer than it. */
  edgeUrls(): Iterable<string> {
    return this.#urls;
  }

  edge(id: string): EdgeRecord | null {
    return this.#edges.find((edge) => edge.id === id) ?? null;
  }

  nodes(): readonly NodeAddress[] {
    return this.#living().map(address);
  }

  async find(room: string): Promise<NodeAddress | null> {
    const known = this.#known(room);
    if (known !== null) return address(known);
    const held = await this.#held(room);
    return held === null ? null : address(held);
  }

  /** The SFU node takes the lease itself when the first session comes; two that are chosen at once settle it there. */
  async place(room: string): Promise<NodeAddress> {
    const known = this.#known(room);
    if (known !== null) return address(known);
    const held = await this.#held(room);
    if (held !== null) return address(held);
    const chosen = this.#choose();
    if (chosen === null) throw new UpstreamUnavailable('no SFU node takes new rooms', retryAfterSeconds);
    return address(chosen);
  }

  placed(room: string, node: NodeAddress | null): void {
    const instance = this.#nodes.find(({ id }) => id === node?.id)?.instance;
    this.#rooms.delete(room);
    if (instance !== undefined) {
      this.#rooms.set(room, instance);
      for (const oldest of this.#rooms.keys()) {
        if (this.#rooms.size <= maxKnownRooms) break;
        this.#rooms.delete(oldest);
      }
    }
  }

  died({ id }: NodeAddress): void {
    const node = this.#nodes.find((known) => known.id === id);
    if (node === undefined || this.#dead.has(node.instance)) return;
    this.#dead.add(node.instance);
    this.#deps.directory.withdrawNode(id, node.instance).catch(ignoreDown);
  }

  /** Says who this edge is, and reads who else there is. What is under way already is waited for. */
  refresh(): Promise<void> {
    this.#running ??= this.#refresh().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    const { id, instance } = this.#deps.edge();
    await this.#deps.directory.withdrawEdge(id, instance).catch(ignoreDown);
  }

  async #refresh(): Promise<void> {
    const { directory, edge } = this.#deps;
    const now = performance.now();
    if (directory.up && now - this.#announcedAt >= directoryTimes.heartbeatMs - pollMs / 2) {
      this.#announcedAt = now;
      await directory.announceEdge(edge()).catch(ignoreDown);
    }
    await this.#read();
  }

  async #read(): Promise<void> {
    const { directory } = this.#deps;
    if (!directory.up) return;
    try {
      const [nodes, edges] = await Promise.all([directory.nodes(), directory.edges()]);
      // One that came back empty knows nobody yet: those who live write themselves in within a second.
      if (nodes.length > 0) this.#nodes = nodes;
      this.#edges = edges;
      for (const { url } of edges) this.#remember(url);
      for (const instance of this.#dead)
        if (!nodes.some((node) => node.instance === instance)) this.#dead.delete(instance);
    } catch (error) {
      ignoreDown(error);
    }
  }

  #remember(url: string): void {
    this.#urls.add(url);
    for (const oldest of this.#urls) {
      if (this.#urls.size <= maxKnownUrls) break;
      this.#urls.delete(oldest);
    }
  }

  #living(): readonly NodeRecord[] {
    return this.#nodes.filter(({ instance }) => !this.#dead.has(instance));
  }

  #known(room: string): NodeRecord | null {
    const node = this.#rooms.get(room);
    return this.#living().find(({ instance }) => instance === node) ?? null;
  }

  /** By the directory; null where nobody living holds it. */
  async #held(room: string): Promise<NodeRecord | null> {
    let record;
    try {
      record = await this.#deps.directory.findRoom(room);
    } catch (error) {
      if (!(error instanceof DirectoryDown)) throw error;
      throw new UpstreamUnavailable('the directory is away, and the room is not known here', retryAfterSeconds);
    }
    const held = this.#living().find(({ id, instance }) => id === record?.node && instance === record.instance);
    return held ?? null;
  }

  /** The less loaded of two at random, in this region if it has any (Mitzenmacher: the power of two choices). */
  #choose(): NodeRecord | null {
    const { region, random } = this.#deps;
    const willing = this.#living().filter(({ draining }) => !draining);
    const near = willing.filter((node) => node.region === region);
    const among = near.length > 0 ? near : willing;
    const pick = (): NodeRecord | undefined => among[Math.floor(random() * among.length)];
    const first = pick();
    const second = pick();
    if (first === undefined || second === undefined) return null;
    return second.load < first.load ? second : first;
  }
}

function address({ id, host, port }: NodeRecord): NodeAddress {
  return { id, host, port, isNamed: true };
}

function ignoreDown(error: unknown): void {
  // It says so itself, once.
  if (!(error instanceof DirectoryDown)) throw error;
}
