export interface Flushable {
  flush(): void;
}

/**
 * Collects what has something to write, and lets each write once, after the sockets' events of this turn of the event
 * loop: so the datagrams that one turn brings for a connection leave in one write.
 */
export class FlushQueue {
  #waiting: Flushable[] = [];
  #spare: Flushable[] = [];
  readonly #run = (): void => {
    const now = this.#waiting;
    this.#waiting = this.#spare;
    for (const flushable of now) flushable.flush();
    now.length = 0;
    this.#spare = now;
  };

  /** Each at most once per turn; the caller keeps track. */
  add(flushable: Flushable): void {
    if (this.#waiting.push(flushable) === 1) setImmediate(this.#run);
  }
}
