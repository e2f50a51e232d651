/** How many connections there are, in all and of each client. */

export interface ConnectionLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
}

export class ClientCounts {
  readonly #limits: ConnectionLimits;
  readonly #counts = new Map<string, number>();
  #size = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** Why no more may come from this client; null if one may. */
  refusal(client: string): 'full' | 'full-client' | null {
    if (this.#size >= this.#limits.maxConnections) return 'full';
    return (this.#counts.get(client) ?? 0) >= this.#limits.maxConnectionsPerClient ? 'full-client' : null;
  }

  add(client: string): void {
    this.#size++;
    this.#counts.set(client, (this.#counts.get(client) ?? 0) + 1);
  }

  remove(client: string): void {
    this.#size--;
    const count = this.#counts.get(client) ?? 0;
    if (count > 1) this.#counts.set(client, count - 1);
    else this.#counts.delete(client);
  }
}

/**
 * What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber has (or a part
 * of it that is shorter as text, up to a run of zeros). The address is canonical.
 */
export function clientOf(address: string): string {
  let colons = 0;
  for (let i = 0; i < address.length; i++) {
    if (address.charCodeAt(i) !== 58) continue;
    colons++;
    if (colons === 4 || address.charCodeAt(i + 1) === 58) return address.slice(0, i);
  }
  return address;
}
