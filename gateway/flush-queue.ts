export interface Flushable {
  flush(): void;
}

/** How often what may wait is looked at, in ms. */
const laterMs = 50;

/**
 * Collects what has something to write, and lets each write once, after the sockets' events of this turn of the event
 * loop: so the datagrams that one turn brings for a connection leave in one write.
 */
export class FlushQueue {
  #waiting: Flushable[] = [];
  #spare: Flushable[] = [];
  #patient: Flushable[] = [];
  readonly #run = (): void => {
    const now = this.#waiting;
    this.#waiting = this.#spare;
    for (const flushable of now) flushable.flush();
    now.length = 0;
    this.#spare = now;
  };
  readonly #runPatient = (): void => {
    const now = this.#patient;
    this.#patient = [];
    for (const flushable of now) flushable.flush();
  };

  /** Each at most once per turn; the caller keeps track. */
  add(flushable: Flushable): void {
    if (this.#waiting.push(flushable) === 1) setImmediate(this.#run);
  }

  /** The same for what is not pressing: some 50 ms later, by one timer for all. */
  addPatient(flushable: Flushable): void {
    if (this.#patient.push(flushable) === 1) setTimeout(this.#runPatient, laterMs).unref();
  }
}
