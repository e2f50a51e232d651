/** `SALLYPORT_UPSTREAM=trunk://host:port`: one SFU node for all rooms. */
import type { NodeAddress, NodeLocator } from './node-locator.ts';

export class FixedLocator implements NodeLocator {
  readonly #node: NodeAddress;

  constructor(host: string, port: number) {
    this.#node = { id: `${host}:${String(port)}`, host, port, isNamed: false };
  }

  nodes(): readonly NodeAddress[] {
    return [this.#node];
  }

  place(): Promise<NodeAddress> {
    return Promise.resolve(this.#node);
  }

  find(): Promise<NodeAddress> {
    return Promise.resolve(this.#node);
  }

  placed(): void {
    // It is always there.
  }

  died(): void {
    // It is the only one: it will be back.
  }
}
