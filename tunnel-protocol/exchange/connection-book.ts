/**
 * The HTTP connections of an edge's sessions: which request belongs to which, and which may make one. A session has one
 * at a time, the newest. The close codes of some that ended are remembered, to tell those who still ask.
 */
import { closeCodes } from '../control/close-codes.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { exchangeFlag } from './exchange-header.ts';

/** Ended connections remembered per session. */
const maxRemembered = 4;

interface Entry<C> {
  newest: number;
  readonly current: Map<string, C>;
  /** Close codes by connection, oldest first. */
  readonly ended: Map<string, number>;
}

export class ConnectionBook<C> {
  readonly #sessions = new Map<string, Entry<C>>();

  /** The connection; `new` when the request may make it; or the close code to answer with. */
  find(session: string, header: ExchangeHeader): C | 'new' | number {
    const entry = this.#sessions.get(session);
    const found = entry?.current.get(header.connection) ?? entry?.ended.get(header.connection);
    if (found !== undefined) return found;
    if (entry !== undefined && header.generation <= entry.newest) return closeCodes.replaced.wire;
    return (header.flags & exchangeFlag.fresh) !== 0 ? 'new' : closeCodes.idle.wire;
  }

  add(session: string, { connection, generation }: ExchangeHeader, value: C): void {
    let entry = this.#sessions.get(session);
    if (entry === undefined) {
      entry = { newest: generation, current: new Map(), ended: new Map() };
      this.#sessions.set(session, entry);
    }
    entry.newest = generation;
    entry.current.set(connection, value);
  }

  /** The connection ended, and has told so to whom it could: from now on its code answers for it. */
  end(session: string, connection: string, wire: number): void {
    const entry = this.#sessions.get(session);
    if (entry?.current.delete(connection) !== true) return;
    entry.ended.set(connection, wire);
    for (const oldest of entry.ended.keys()) {
      if (entry.ended.size <= maxRemembered) return;
      entry.ended.delete(oldest);
    }
  }

  /** Forgets sessions that are over and have no connection. */
  sweep(lives: (session: string) => boolean): void {
    for (const [session, entry] of this.#sessions) {
      if (entry.current.size === 0 && !lives(session)) this.#sessions.delete(session);
    }
  }

  get sessions(): number {
    return this.#sessions.size;
  }
}
