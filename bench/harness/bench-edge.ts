/** An edge for a bench, in a process of its own: that of the end-to-end tests, without limits on joins. */
import type { EdgeDeps } from '../../gateway/index.ts';
import { startEdge, type TestEdge } from '../e2e/edge.ts';

const unlimited = { burst: 1e9, perSecond: 1e9 };

/** At its end it prints what the edge logged as errors, because figures of a faulty run mean nothing. */
export async function startBenchEdge(deps: Partial<EdgeDeps> = {}): Promise<TestEdge> {
  const edge = await startEdge({ deps: { limits: { sessions: unlimited, strangers: unlimited }, ...deps } });
  return {
    ...edge,
    close: async () => {
      for (const error of edge.errors) console.error('the edge logged:', error);
      await edge.close();
    },
  };
}
