/** What stands between a client and the edge besides the firewall: a proxy, or somebody who reads TLS. */
import type { Lab, Namespace } from './namespaces.ts';

/** Started, and how clients of this network are set up for it. */
export interface Intermediary {
  /** A proxy that the network prescribes: `http://host:port`, and who may use it. */
  readonly proxy?: { readonly url: string; readonly username?: string; readonly password?: string };
  /** PEM of the authority that the company has installed on its machines. */
  readonly ca?: string;
  /** SPKI pin of the certificate that clients see instead of the edge's. */
  readonly pin?: string;
  /** What it did so far, in words: one that did nothing is seen. */
  readonly facts: () => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
}

export type StartIntermediary = (lab: Lab) => Promise<Intermediary>;

/** The router's own address on the client's side. */
export const routerAddress = '10.20.0.1';

const patienceMs = 10_000;
const lookMs = 50;

/** Resolves when a program in this namespace listens on the port. */
export async function untilListening(namespace: Namespace, port: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const sockets = await namespace.run(['ss', '-Hltn', `sport = :${String(port)}`]);
    if (sockets.trim() !== '') return;
    if (performance.now() > deadline) throw new Error(`nothing listens on port ${String(port)} of ${namespace.name}`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}
