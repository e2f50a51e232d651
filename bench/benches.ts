/** Every benchmark by the name that `npm run bench -- <name>` takes. */
import type { Figure } from './harness/result-file.ts';
import { benchSfu } from './sfu/bench.ts';
import { benchAging } from './tunnel/aging.ts';
import { benchTunnel } from './tunnel/bench.ts';
import { benchTurn } from './turn/bench.ts';

export interface BenchOptions {
  readonly runs: number;
  readonly progress: (text: string) => void;
}

export type Bench = (options: BenchOptions) => Promise<readonly Figure[]>;

export const benches = {
  sfu: benchSfu,
  tunnel: benchTunnel,
  aging: benchAging,
  turn: benchTurn,
} satisfies Readonly<Record<string, Bench>>;

export type BenchName = keyof typeof benches;
