/** An SFU node's side of the directory: that it lives, and which rooms are its own. */
import {
  DirectoryDown,
  directoryTimes,
  sameRoom,
  type Directory,
  type NodeRecord,
  type RoomRecord,
} from './directory.ts';

export interface NodeLeasesDeps {
  readonly directory: Directory;
  readonly node: () => NodeRecord;
  /** The rooms that have sessions here now. */
  readonly rooms: () => readonly string[];
  /** An older holder of the room is there: close it, so that its clients come to that one. */
  readonly lost: (room: string) => void;
  /** Unix milliseconds. */
  readonly wallClock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

export type Admission = 'ok' | 'elsewhere' | 'draining' | 'directory-down';

/** A directory that is away is waited for no longer. */
const firstAnnouncementMs = 2000;

export class NodeLeases {
  readonly #deps: NodeLeasesDeps;
  readonly #held = new Map<string, RoomRecord>();
  /** One claim at a time for a room; others wait for its outcome. */
  readonly #claims = new Map<string, Promise<Admission>>();
  #lastEpoch = 0;
  #timers: NodeJS.Timeout[] = [];
  #rebuild: NodeJS.Timeout | null = null;

  constructor(deps: NodeLeasesDeps) {
    this.#deps = deps;
    deps.directory.onUp = () => {
      this.#scheduleRebuild();
    };
  }

  async start(): Promise<void> {
    const deadline = performance.now() + firstAnnouncementMs;
    while (!this.#deps.directory.up && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await this.#announce();
    this.#timers = [
      setInterval(() => void this.#announce(), directoryTimes.heartbeatMs),
      setInterval(() => void this.renew(), directoryTimes.roomRenewMs),
    ];
  }

  /** Whether a session of this room may be opened here. */
  admit(room: string): Promise<Admission> {
    if (this.#held.has(room)) return Promise.resolve('ok');
    let claim = this.#claims.get(room);
    if (claim === undefined) {
      claim = this.#claim(room).finally(() => this.#claims.delete(room));
      this.#claims.set(room, claim);
    }
    return claim;
  }

  /** Keeps what is still used, lets go of the rest, and finds out what an older holder has. */
  async renew(): Promise<void> {
    const used = new Set(this.#deps.rooms());
    await Promise.all([...this.#held].map(([room, mine]) => this.#renewOne(room, mine, used.has(room))));
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#rebuild !== null) clearTimeout(this.#rebuild);
    const { directory, node } = this.#deps;
    const { id, instance } = node();
    const goodbye = [...this.#held].map(([room, mine]) => directory.releaseRoom(room, mine));
    await Promise.allSettled([...goodbye, directory.withdrawNode(id, instance)]);
    this.#held.clear();
  }

  async #announce(): Promise<void> {
    const { directory, node } = this.#deps;
    if (directory.up) await directory.announceNode(node()).catch(ignoreDown);
  }

  async #claim(room: string): Promise<Admission> {
    const { directory, node, wallClock } = this.#deps;
    const { id, instance, draining } = node();
    if (draining) return 'draining';
    this.#lastEpoch = Math.max(wallClock(), this.#lastEpoch + 1);
    const mine: RoomRecord = { node: id, instance, epoch: this.#lastEpoch };
    try {
      let holder = await directory.claimRoom(room, mine, null);
      if (!sameRoom(holder, mine)) {
        const living = await directory.nodes();
        const lives = living.some((other) => other.id === holder.node && other.instance === holder.instance);
        if (!lives) holder = await directory.claimRoom(room, mine, holder);
      }
      if (!sameRoom(holder, mine)) return 'elsewhere';
    } catch (error) {
      if (!(error instanceof DirectoryDown)) throw error;
      return 'directory-down';
    }
    this.#held.set(room, mine);
    return 'ok';
  }

  async #renewOne(room: string, mine: RoomRecord, isUsed: boolean): Promise<void> {
    const { directory, lost } = this.#deps;
    try {
      if (!isUsed) {
        this.#held.delete(room);
        await directory.releaseRoom(room, mine);
        return;
      }
      if (sameRoom(await directory.renewRoom(room, mine), mine)) return;
    } catch (error) {
      ignoreDown(error);
      return;
    }
    if (this.#held.get(room) !== mine) return;
    this.#held.delete(room);
    lost(room);
  }

  /** Everybody writes what is theirs, but not all at once. */
  #scheduleRebuild(): void {
    if (this.#rebuild !== null) clearTimeout(this.#rebuild);
    void this.#announce();
    this.#rebuild = setTimeout(() => void this.renew(), this.#deps.random() * directoryTimes.rebuildSpreadMs);
  }
}

function ignoreDown(error: unknown): void {
  // It says so itself, once.
  if (!(error instanceof DirectoryDown)) throw error;
}
