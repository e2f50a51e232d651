import { NOMINATION, notUnderstood, stunAttribute, transportMeta } from '../../tunnel-protocol/index.ts';
import { bindingSuccess, roleConflict, unknownAttribute } from './responses.ts';
import type { HmacSha1, IceCredentials, Path, StunMessage } from '../../tunnel-protocol/index.ts';
import type { IceCounters } from './counters.ts';
import type { Generation, Generations } from './generations.ts';
import type { IceAgentEvents, IceLiteAgent } from './types.ts';

/** RFC 7675 section 5.1: consent lasts 30 s. */
export const consentMs = 30_000;
/** Media puts off the end of consent no more often. */
const mediaConsentMs = 2000;
export const maxPathsPerAgent = 16;
/**
 * How long a path that lost the nomination may not win it back without a counter. Browsers nominate without one, by
 * repeating USE-CANDIDATE on each check of the pair they selected, so the last one wins (RFC 8445 section 7.3.1.5).
 * Checks sent on the old path before the switch may be still on their way, in a burst if that path is stalled; this
 * keeps them from flipping the choice back. A browser that really goes back repeats itself and gets its way late by
 * this time at most and one check. A path stalled for longer does flip it, on a path that delivers again, until the
 * next check of the selected pair.
 */
export const flipBackHoldMs = 1000;

/** PADDING marks tests of what passes at the size of media (RFC 5780 section 7.6). */
const understood: ReadonlySet<number> = new Set([
  stunAttribute.USERNAME,
  stunAttribute.MESSAGE_INTEGRITY,
  stunAttribute.PRIORITY,
  stunAttribute.USE_CANDIDATE,
  stunAttribute.PADDING,
]);

/** What all agents of an IceLite share. */
export interface AgentHost {
  readonly hmacSha1: HmacSha1;
  readonly counters: IceCounters;
  readonly generations: Generations<LiteAgent>;
  readonly onClose: () => void;
}

interface KnownPath {
  readonly path: Path;
  heardAt: number;
  /** When another path took the nomination from it; -Infinity if that never happened. */
  replacedAt: number;
}

export class LiteAgent implements IceLiteAgent {
  readonly #owner: object;
  readonly #events: IceAgentEvents;
  readonly #host: AgentHost;
  /** Valid paths in the order in which they were last heard. */
  readonly #paths = new Map<Path, KnownPath>();
  #current: Generation<LiteAgent>;
  /** The generation before a restart, until the current one has nominated. */
  #previous: Generation<LiteAgent> | null = null;
  #nominated: KnownPath | null = null;
  #nomination: number | null = null;
  #closed = false;

  constructor(owner: object, events: IceAgentEvents, host: AgentHost) {
    this.#owner = owner;
    this.#events = events;
    this.#host = host;
    this.#current = host.generations.create(this);
  }

  get local(): IceCredentials {
    return this.#current.local;
  }

  get nominated(): Path | null {
    return this.#nominated === null ? null : this.#nominated.path;
  }

  get nomination(): number | null {
    return this.#nominated === null ? null : this.#nomination;
  }

  setRemote(remote: IceCredentials): void {
    this.#current.remoteUfrag = remote.ufrag;
  }

  restart(): IceCredentials {
    if (this.#closed) throw new Error('the ICE agent is closed');
    // A restart during a restart replaces only the generation that has not nominated yet: media is on the other.
    if (this.#previous === null) this.#previous = this.#current;
    else this.#host.generations.drop(this.#current);
    this.#current = this.#host.generations.create(this);
    return this.#current.local;
  }

  /**
   * An authenticated packet came on the nominated path. This side, being lite, sends no checks, so a check of the peer's proves
   * no more than that; and some peers, GStreamer among them, send none once they have nominated.
   */
  mediaHeard(now: number): void {
    const known = this.#nominated;
    if (known !== null && now - known.heardAt >= mediaConsentMs) this.#heard(known.path, now);
  }

  forget(path: Path): void {
    const known = this.#paths.get(path);
    if (known === undefined) return;
    this.#release(known);
    if (known === this.#nominated) this.#fallBack(known);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#nominated = null;
    for (const known of this.#paths.values()) this.#release(known);
    this.#host.generations.drop(this.#current);
    if (this.#previous !== null) this.#host.generations.drop(this.#previous);
    this.#host.onClose();
  }

  /** A Binding request, authenticated with the generation's password. */
  handleRequest(generation: Generation<LiteAgent>, path: Path, request: StunMessage, now: number): void {
    const { counters, hmacSha1 } = this.#host;
    // Someone with credentials of their own must not be able to take over a stranger's path by spoofing its address.
    if (path.owner !== this.#owner && path.owner !== null && path.owner !== undefined) {
      if (this.#events.takesOver?.(path) !== true) {
        counters.foreignPath++;
        return;
      }
    }
    if (request.has(stunAttribute.ICE_CONTROLLED)) {
      counters.roleConflicts++;
      path.send(roleConflict(request, generation.key, hmacSha1), transportMeta);
      return;
    }
    const unknown = notUnderstood(request, understood);
    if (unknown.length > 0) {
      counters.unknownAttributes++;
      path.send(unknownAttribute(request, unknown, generation.key, hmacSha1), transportMeta);
      return;
    }
    const isNew = !this.#paths.has(path);
    const known = this.#heard(path, now);
    counters.answered++;
    // Before the events: the peer should know that the path is valid before media comes on it.
    path.send(bindingSuccess(request, path.remote, path.mtu, generation.key, hmacSha1), transportMeta);
    if (isNew) {
      counters.pathsValidated++;
      this.#events.onValidated(path);
    }
    // The event's handler may have closed the agent or forgotten the path.
    if (this.#paths.get(path) !== known) return;
    // libwebrtc, where renomination is agreed, sends NOMINATION instead of USE-CANDIDATE.
    if (request.has(stunAttribute.USE_CANDIDATE) || request.has(NOMINATION)) {
      this.#considerNomination(generation, known, request, now);
    }
  }

  /** Lets go of paths on which no authenticated request came for {@link consentMs}. */
  expire(now: number): void {
    let lost: KnownPath | null = null;
    let any = false;
    for (const known of this.#paths.values()) {
      if (now - known.heardAt < consentMs) break;
      any = true;
      this.#host.counters.pathsExpired++;
      this.#release(known);
      if (known === this.#nominated) lost = known;
    }
    if (lost !== null) this.#fallBack(lost);
    // The fall back's handler may have closed the agent.
    if (any && this.#paths.size === 0 && !this.#closed) {
      this.#host.counters.consentLost++;
      this.#events.onConsentLost();
    }
  }

  /** Notes that the path was heard; a new one is bound. */
  #heard(path: Path, now: number): KnownPath {
    let known = this.#paths.get(path);
    if (known === undefined) {
      if (this.#paths.size >= maxPathsPerAgent) this.#evict();
      known = { path, heardAt: now, replacedAt: -Infinity };
      path.owner = this.#owner;
      path.bind();
    }
    known.heardAt = now;
    this.#paths.delete(path);
    this.#paths.set(path, known);
    return known;
  }

  #evict(): void {
    for (const known of this.#paths.values()) {
      if (known === this.#nominated) continue;
      this.#host.counters.pathsEvicted++;
      this.#release(known);
      return;
    }
  }

  #considerNomination(generation: Generation<LiteAgent>, known: KnownPath, request: StunMessage, now: number): void {
    const counter = request.has(NOMINATION) ? request.u32(NOMINATION) : undefined;
    if (counter === null || !this.#isFresh(generation, known, counter, now)) {
      // A retransmission of what was followed already is not stale, only late.
      if (known !== this.#nominated) this.#host.counters.staleNominations++;
      return;
    }
    if (counter !== undefined) generation.highestNomination = counter;
    this.#nomination = counter ?? null;
    if (generation === this.#current && this.#previous !== null) {
      this.#host.generations.drop(this.#previous);
      this.#previous = null;
    }
    if (known === this.#nominated) return;
    this.#host.counters.nominations++;
    if (this.#nominated !== null) this.#nominated.replacedAt = now;
    this.#nominate(known, this.#nominated);
  }

  #isFresh(generation: Generation<LiteAgent>, known: KnownPath, counter: number | undefined, now: number): boolean {
    if (counter !== undefined) return counter > generation.highestNomination;
    // A peer that counts its nominations counts all of them.
    if (generation.highestNomination !== -1) return false;
    // The first nomination of a new generation cannot be older than any of the generation before.
    const completesRestart = this.#previous !== null && generation === this.#current;
    return completesRestart || now - known.replacedAt >= flipBackHoldMs;
  }

  #fallBack(lost: KnownPath): void {
    this.#nominated = null;
    this.#nomination = null;
    let heardLast: KnownPath | null = null;
    for (const known of this.#paths.values()) heardLast = known;
    if (heardLast !== null) this.#nominate(heardLast, lost);
  }

  #nominate(known: KnownPath, previous: KnownPath | null): void {
    this.#nominated = known;
    this.#events.onNominated(known.path, previous === null ? null : previous.path);
  }

  #release(known: KnownPath): void {
    this.#paths.delete(known.path);
    known.path.owner = null;
    known.path.unbind();
  }
}
