/** Which node holds which session. In memory here; a shared directory makes several edges one system. */

export interface Directory {
  putSession(sessionId: string, node: string): Promise<void>;
  /** The node, or null if nobody holds the session. */
  findSession(sessionId: string): Promise<string | null>;
  removeSession(sessionId: string): Promise<void>;
  /** Whether the directory answers. */
  readonly up: boolean;
  close(): Promise<void>;
}

/** Serves one edge. Entries of sessions that ended by themselves are taken out by {@link InMemoryDirectory.sweep}. */
export class InMemoryDirectory implements Directory {
  readonly up = true;
  readonly #nodes = new Map<string, string>();

  get size(): number {
    return this.#nodes.size;
  }

  putSession(sessionId: string, node: string): Promise<void> {
    this.#nodes.set(sessionId, node);
    return Promise.resolve();
  }

  findSession(sessionId: string): Promise<string | null> {
    return Promise.resolve(this.#nodes.get(sessionId) ?? null);
  }

  removeSession(sessionId: string): Promise<void> {
    this.#nodes.delete(sessionId);
    return Promise.resolve();
  }

  /** Removes every session for which `lives` is false. */
  sweep(lives: (sessionId: string) => boolean): void {
    for (const sessionId of this.#nodes.keys()) if (!lives(sessionId)) this.#nodes.delete(sessionId);
  }

  close(): Promise<void> {
    this.#nodes.clear();
    return Promise.resolve();
  }
}
