/** An emulated link between two namespaces, and a probe in each. */
import { fileURLToPath } from 'node:url';
import { controlWorker, type WorkerProcess } from '../../harness/worker-process.ts';
import { parseLinkParameters } from '../link/parameters.ts';
import { edgeAddress, withNamespaces, type Lab } from '../namespaces.ts';
import type { ProbeOrder } from './udp-probe.ts';

const module = fileURLToPath(new URL('./udp-probe.js', import.meta.url));
const port = 9_000;
/** Of IPv4 and UDP. */
export const headerBytes = 28;

/** A probe in the client's namespace and one that listens in the edge's, with this link between them both ways. */
export function withProbes<T>(
  link: string,
  echo: boolean,
  use: (near: WorkerProcess, far: WorkerProcess, lab: Lab) => Promise<T>,
): Promise<T> {
  const both = parseLinkParameters(link);
  return withNamespaces({ link: { up: both, down: both } }, async (lab) => {
    const [near, far] = [controlWorker(lab.client.fork(module)), controlWorker(lab.edge.fork(module))];
    try {
      await far.call('listen', { port, echo });
      return await use(near, far, lab);
    } finally {
      await Promise.all([near.stop(), far.stop()]);
    }
  });
}

/** Round trips in ms of what came back. */
export async function probe(
  near: WorkerProcess,
  order: Omit<ProbeOrder, 'address' | 'port'>,
): Promise<readonly number[]> {
  return (await near.call('probe', { ...order, address: edgeAddress, port })) as number[];
}
