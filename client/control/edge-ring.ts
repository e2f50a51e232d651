/** The edges that may serve a session: the one that made it, and the others that it named. Any of them carries any session. */

export class EdgeRing {
  /** `https://host:port`; the first stands for the URLs as they are. */
  #edges: string[];
  #at = 0;

  constructor(others: readonly string[] = []) {
    this.#edges = ['', ...others];
  }

  /** The others that are known. */
  get others(): readonly string[] {
    return this.#edges.slice(1);
  }

  /** These are the others from now on; the one that is tried now stays known. */
  replace(others: readonly string[]): void {
    const present = this.#edges[this.#at] ?? '';
    const valid = others.filter((edge) => URL.canParse(edge) && new URL(edge).protocol === 'https:');
    this.#edges = [...new Set(['', ...(present === '' ? [] : [present]), ...valid])];
    this.#at = this.#edges.indexOf(present);
  }

  /** The same place at the edge that is to be tried now. */
  at(url: string): string {
    const edge = this.#edges[this.#at] ?? '';
    if (edge === '') return url;
    const moved = new URL(url);
    moved.host = new URL(edge).host;
    return moved.href;
  }

  /** The present one does not answer: the next one, and after the last the first again. */
  next(): void {
    this.#at = (this.#at + 1) % this.#edges.length;
  }

  /** The present one goes away, and named another; `where` is empty where it named none. */
  leaveFor(where: string): void {
    const known = this.#edges.indexOf(where);
    if (where === '' || !URL.canParse(where)) this.next();
    else if (known > 0) this.#at = known;
    else this.#at = this.#edges.push(where) - 1;
  }
}
