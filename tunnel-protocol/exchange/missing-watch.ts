/** Control frames that the server is known to have sent and that are not here: they are late, or an answer is lost. */
export class MissingWatch {
  /** Highest number that is known to have been sent. */
  #told = 0;
  #received = 0;
  #since = 0;
  #waitMs = 0;

  /** The server has sent all up to this number. */
  told(number: number): void {
    this.#told = Math.max(this.#told, number);
  }

  get isMissing(): boolean {
    return this.#told > this.#received;
  }

  /** Since when nothing that is missing came. */
  get since(): number {
    return this.#since;
  }

  /** When it is to be looked at; null while nothing is missing. */
  get dueAt(): number | null {
    return this.isMissing ? this.#since + this.#waitMs : null;
  }

  /** All up to `received` are here. What is missing from now on is waited for that long. */
  note(received: number, now: number, patienceMs: number): void {
    const wasMissing = this.#waitMs > 0;
    const progressed = received > this.#received;
    this.#received = received;
    if (!this.isMissing) this.#waitMs = 0;
    else if (!wasMissing || progressed) {
      this.#since = now;
      this.#waitMs = patienceMs;
    }
  }

  /** It was looked at: wait as long again. */
  again(now: number): void {
    this.#since = now;
  }

  /** Something was done about it that did not help in time before: wait longer, or a slow line never gets it through. */
  longer(): void {
    this.#waitMs *= 2;
  }
}
