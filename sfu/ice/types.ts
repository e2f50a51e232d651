/** What the ICE-lite agent needs and tells. */
import type { HmacSha1, IceCredentials, Path } from '../../tunnel-protocol/index.ts';

export interface IceLiteDeps {
  /** Cryptographically strong random bytes. */
  readonly random: (length: number) => Uint8Array;
  readonly hmacSha1: HmacSha1;
  /** Of the ufrags of all agents; absent or empty: none. */
  readonly ufragPrefix?: string;
}

/** Called from inside `IceLite.receive`, `IceLite.tick` and `IceLiteAgent.forget`; may call back into the agent. */
export interface IceAgentEvents {
  /** An authenticated request came on another agent's path: true when that has let go of it. Never if absent. */
  takesOver?(path: Path): boolean;
  /** A path delivered its first authenticated request. It is bound and owned; media may be received on it. */
  onValidated(path: Path): void;
  /**
   * Media is to be sent on `path` from now on. Either the peer nominated it (`previous` stays valid), or `previous`
   * was lost, is unbound already, and this is the valid path that was heard last.
   */
  onNominated(path: Path, previous: Path | null): void;
  /** Consent expired (RFC 7675) on the last path: nothing may be sent. A later check brings the agent back. */
  onConsentLost(): void;
}

/** One transport's ICE-lite agent (RFC 8445 section 2.5): it answers checks and is always controlled. */
export interface IceLiteAgent {
  /** This side's credentials, for the answer. After `restart` the new ones. */
  readonly local: IceCredentials;
  /** The path to send media on; null before the first nomination and when every path is lost. */
  readonly nominated: Path | null;
  /** The counter of the nomination that chose it; null where it had none, or the path is one that was fallen back to. */
  readonly nomination: number | null;
  /**
   * The peer's credentials, from its offer; after `restart`, those of the offer that restarted. Checks are answered
   * before this is called, since the peer proves by our password that it has the answer; afterwards they must name
   * this ufrag. (The peer's password is not needed: a lite agent sends no checks.)
   */
  setRemote(remote: IceCredentials): void;
  /** Makes new local credentials. The old ones stay valid until a path is nominated with the new ones. */
  restart(): IceCredentials;
  /** An authenticated packet came on the nominated path: consent goes on, as by a check. Cheap. */
  mediaHeard(now: number): void;
  /**
   * The path is gone, or no longer this agent's: lets go of it. If it was the nominated one and another is valid,
   * `onNominated` follows at once; if none is, `nominated` becomes null and nothing is told.
   */
  forget(path: Path): void;
  /** Lets go of all paths and credentials. No event follows. Idempotent. */
  close(): void;
}
