/** Request bodies that are still to come whole. What they hold of a session, and how long they may take, is bounded. */
import { exchangeLimits } from '../tunnel-protocol/index.ts';
import { problem, type Problem } from './problem.ts';

/** More than a client or a proxy has on its way at once; as many as of streamed bodies. */
const maxPerSession = exchangeLimits.maxUploads;
/** No client waits longer for the answer. */
const maxAgeMs = exchangeLimits.answerAfterMs;

export interface OpenBody {
  readonly since: number;
  /** Null: nothing has told yet whose it is. */
  readonly session: string | null;
  readonly refuse: (refusal: Problem) => void;
}

export class OpenBodies {
  readonly #bodies = new Set<OpenBody>();
  readonly #bySession = new Map<string, number>();

  get size(): number {
    return this.#bodies.size;
  }

  /** Keeps a body until it is deleted; null, or why it is not kept. */
  add(body: OpenBody): Problem | null {
    const { session } = body;
    if (session !== null) {
      const count = this.#bySession.get(session) ?? 0;
      if (count >= maxPerSession) return problem('too-many-requests', 'Wait for the answers to earlier requests.');
      this.#bySession.set(session, count + 1);
    }
    this.#bodies.add(body);
    return null;
  }

  delete(body: OpenBody): void {
    if (!this.#bodies.delete(body) || body.session === null) return;
    const count = (this.#bySession.get(body.session) ?? 1) - 1;
    if (count === 0) this.#bySession.delete(body.session);
    else this.#bySession.set(body.session, count);
  }

  /** Refuses those that take too long. To be called every few seconds. */
  sweep(nowMs: number): void {
    for (const body of this.#bodies) {
      if (nowMs - body.since < maxAgeMs) continue;
      this.delete(body);
      body.refuse(problem('request-timeout', 'Send the whole body at once.'));
    }
  }
}
