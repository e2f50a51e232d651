/** Every benchmark by the name that `npm run bench -- <name>` takes. */
import type { Figure } from './harness/result-file.ts';
import { benchSfu } from './sfu/bench.ts';
import { benchTunnel } from './tunnel/bench.ts';

export interface BenchOptions {
  readonly runs: number;
  readonly progress: (text: string) => void;
}

export type Bench = (options: BenchOptions) => Promise<readonly Figure[]>;

export const benches = {
  sfu: benchSfu,
  tunnel: benchTunnel,
} satisfies Readonly<Record<string, Bench>>;

export type BenchName = keyof typeof benches;
