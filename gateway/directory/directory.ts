/**
 * Who is where: edges, SFU nodes, rooms and sessions. It finds, it does not fence: it may lose what was written, and come back
 * empty. What must not go wrong twice is decided by SFU nodes, which mint the epochs. docs/directory.md has keys and times.
 */

/** What edges and nodes say of themselves, every second. */
export interface NodeRecord {
  readonly id: string;
  /** Random, of the process: a node that was started again holds nothing of what the one before held. */
  readonly instance: string;
  readonly host: string;
  /** Where it takes trunks. */
  readonly port: number;
  readonly region: string;
  /** Sessions. */
  readonly load: number;
  readonly version: string;
  readonly draining: boolean;
}

export interface EdgeRecord {
  readonly id: string;
  readonly instance: string;
  /** Where clients reach it: `https://host:port`. */
  readonly url: string;
  readonly region: string;
  readonly load: number;
  readonly version: string;
  readonly draining: boolean;
  /** SHA-256 of its first certificate, as Node writes it: by that other edges know it. */
  readonly fingerprint: string;
  /** By the cluster's secret: that an edge, and nobody who can write to the directory, says so. */
  readonly proof: string;
}

/** Who holds a room; of two that believe so after a partition, the one with the higher epoch lets go. */
export interface RoomRecord {
  readonly node: string;
  readonly instance: string;
  readonly epoch: number;
}

export interface SessionRecord {
  readonly edge: string;
  readonly node: string;
  readonly rung: string;
  /** Counted by the SFU node: a record with a lower one is out of date. */
  readonly take: number;
}

/** It cannot be asked just now. */
export class DirectoryDown extends Error {
  override readonly name = 'DirectoryDown';
}

export const directoryTimes = {
  heartbeatMs: 1000,
  /** Of edges and nodes, since their last heartbeat. */
  presenceTtlMs: 4000,
  roomRenewMs: 10_000,
  roomTtlMs: 60_000,
  sessionRenewMs: 30_000,
  sessionTtlMs: 120_000,
  /** After it came back, within which everybody has written what is theirs, each at a moment of their own. */
  rebuildSpreadMs: 4000,
} as const;

/** All of it rejects with {@link DirectoryDown}. */
export interface Directory {
  /** Whether it answers. */
  readonly up: boolean;
  /** Told each time that it answers again, perhaps with nothing in it. */
  onUp: (() => void) | null;
  announceNode(record: NodeRecord): Promise<void>;
  announceEdge(record: EdgeRecord): Promise<void>;
  /** It is gone. Nothing happens where another instance has taken its place. */
  withdrawNode(id: string, instance: string): Promise<void>;
  withdrawEdge(id: string, instance: string): Promise<void>;
  nodes(): Promise<readonly NodeRecord[]>;
  edges(): Promise<readonly EdgeRecord[]>;
  findRoom(room: string): Promise<RoomRecord | null>;
  /**
   * Takes a room that nobody holds, or that only `dead` does; returns who holds it now. One room, one holder, whoever asks
   * at the same instant.
   */
  claimRoom(room: string, mine: RoomRecord, dead: RoomRecord | null): Promise<RoomRecord>;
  /** Keeps it; a lost entry is written again. Returns who holds it: the older one, where two say so. */
  renewRoom(room: string, mine: RoomRecord): Promise<RoomRecord>;
  releaseRoom(room: string, mine: RoomRecord): Promise<void>;
  /** False: something newer is known. */
  putSession(session: string, record: SessionRecord): Promise<boolean>;
  findSession(session: string): Promise<SessionRecord | null>;
  /** It has ended where it was taken so often; nothing happens when it was taken again since. */
  removeSession(session: string, take: number): Promise<void>;
  /** The edge that has this HTTP connection of the session: the first one that claimed it. */
  claimConnection(session: string, connection: string, edge: string): Promise<string>;
  findConnection(session: string, connection: string): Promise<string | null>;
  close(): Promise<void>;
}

export function sameRoom(a: RoomRecord | null, b: RoomRecord | null): boolean {
  return a?.node === b?.node && a?.instance === b?.instance && a?.epoch === b?.epoch;
}
