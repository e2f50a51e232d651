/** The directory of one process, or of several that a test has in one. */
import {
  directoryTimes,
  sameRoom,
  type Directory,
  type EdgeRecord,
  type NodeRecord,
  type RoomRecord,
  type SessionRecord,
} from './directory.ts';

interface Timed<T> {
  readonly value: T;
  readonly until: number;
}

export class MemoryDirectory implements Directory {
  readonly up = true;
  onUp: (() => void) | null = null;
  readonly #now: () => number;
  readonly #nodes = new Map<string, Timed<NodeRecord>>();
  readonly #edges = new Map<string, Timed<EdgeRecord>>();
  readonly #rooms = new Map<string, Timed<RoomRecord>>();
  readonly #sessions = new Map<string, Timed<SessionRecord>>();
  readonly #connections = new Map<string, Timed<string>>();

  /** Monotonic milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  announceNode(record: NodeRecord): Promise<void> {
    this.#put(this.#nodes, record.id, record, directoryTimes.presenceTtlMs);
    return Promise.resolve();
  }

  announceEdge(record: EdgeRecord): Promise<void> {
    this.#put(this.#edges, record.id, record, directoryTimes.presenceTtlMs);
    return Promise.resolve();
  }

  withdrawNode(id: string, instance: string): Promise<void> {
    if (this.#nodes.get(id)?.value.instance === instance) this.#nodes.delete(id);
    return Promise.resolve();
  }

  withdrawEdge(id: string, instance: string): Promise<void> {
    if (this.#edges.get(id)?.value.instance === instance) this.#edges.delete(id);
    return Promise.resolve();
  }

  nodes(): Promise<readonly NodeRecord[]> {
    return Promise.resolve(this.#all(this.#nodes));
  }

  edges(): Promise<readonly EdgeRecord[]> {
    return Promise.resolve(this.#all(this.#edges));
  }

  findRoom(room: string): Promise<RoomRecord | null> {
    return Promise.resolve(this.#get(this.#rooms, room));
  }

  claimRoom(room: string, mine: RoomRecord, dead: RoomRecord | null): Promise<RoomRecord> {
    const held = this.#get(this.#rooms, room);
    if (held !== null && !sameRoom(held, dead)) return Promise.resolve(held);
    this.#put(this.#rooms, room, mine, directoryTimes.roomTtlMs);
    return Promise.resolve(mine);
  }

  renewRoom(room: string, mine: RoomRecord): Promise<RoomRecord> {
    const held = this.#get(this.#rooms, room);
    if (held !== null && !sameRoom(held, mine) && held.epoch <= mine.epoch) return Promise.resolve(held);
    this.#put(this.#rooms, room, mine, directoryTimes.roomTtlMs);
    return Promise.resolve(mine);
  }

  releaseRoom(room: string, mine: RoomRecord): Promise<void> {
    if (sameRoom(this.#get(this.#rooms, room), mine)) this.#rooms.delete(room);
    return Promise.resolve();
  }

  putSession(session: string, record: SessionRecord): Promise<boolean> {
    const held = this.#get(this.#sessions, session);
    if (held !== null && held.take > record.take) return Promise.resolve(false);
    this.#put(this.#sessions, session, record, directoryTimes.sessionTtlMs);
    return Promise.resolve(true);
  }

  findSession(session: string): Promise<SessionRecord | null> {
    return Promise.resolve(this.#get(this.#sessions, session));
  }

  removeSession(session: string, take: number): Promise<void> {
    if ((this.#get(this.#sessions, session)?.take ?? 0) <= take) this.#sessions.delete(session);
    return Promise.resolve();
  }

  claimConnection(session: string, connection: string, edge: string): Promise<string> {
    const key = `${session} ${connection}`;
    const holder = this.#get(this.#connections, key) ?? edge;
    this.#put(this.#connections, key, holder, directoryTimes.sessionTtlMs);
    return Promise.resolve(holder);
  }

  findConnection(session: string, connection: string): Promise<string | null> {
    return Promise.resolve(this.#get(this.#connections, `${session} ${connection}`));
  }

  close(): Promise<void> {
    for (const map of [this.#nodes, this.#edges, this.#rooms, this.#sessions, this.#connections]) map.clear();
    return Promise.resolve();
  }

  #put<T>(map: Map<string, Timed<T>>, key: string, value: T, ttlMs: number): void {
    // The ones put longest ago come first, so what is over is found without a search.
    map.delete(key);
    map.set(key, { value, until: this.#now() + ttlMs });
    for (const [oldest, { until }] of map) {
      if (until > this.#now()) break;
      map.delete(oldest);
    }
  }

  #get<T>(map: Map<string, Timed<T>>, key: string): T | null {
    const found = map.get(key);
    return found === undefined || found.until <= this.#now() ? null : found.value;
  }

  #all<T>(map: Map<string, Timed<T>>): readonly T[] {
    const now = this.#now();
    return [...map.values()].filter(({ until }) => until > now).map(({ value }) => value);
  }
}
