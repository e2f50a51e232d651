/** Every benchmark by the name that `npm run bench -- <name>` takes. */
import { benchCluster } from './cluster/bench.ts';
import type { Figure } from './harness/result-file.ts';
import { benchIdle } from './idle/bench.ts';
import { benchJoin } from './join/bench.ts';
import { benchLink } from './lab/link-bench.ts';
import { benchLadder } from './ladder/bench.ts';
import { benchMedia } from './media/bench.ts';
import { benchPage } from './page/bench.ts';
import { benchSfu } from './sfu/bench.ts';
import { benchSignalling } from './signalling/bench.ts';
import { benchSrtp } from './srtp/bench.ts';
import { benchAging } from './tunnel/aging.ts';
import { benchTrunk } from './trunk/bench.ts';
import { benchTunnel } from './tunnel/bench.ts';
import { benchTurn } from './turn/bench.ts';

export interface BenchOptions {
  readonly runs: number;
  /** How long a bench that looks at the heap goes on. */
  readonly soakSeconds: number;
  /** How many clients a bench of a whole system has; null: as many as it should. */
  readonly clients: number | null;
  /** How long the directory is away. */
  readonly outageSeconds: number;
  /** Parts of a bench that has such, by name; null: all. */
  readonly only: readonly string[] | null;
  readonly progress: (text: string) => void;
}

export type Bench = (options: BenchOptions) => Promise<readonly Figure[]>;

export const benches = {
  sfu: benchSfu,
  srtp: benchSrtp,
  tunnel: benchTunnel,
  aging: benchAging,
  turn: benchTurn,
  trunk: benchTrunk,
  cluster: benchCluster,
  signalling: benchSignalling,
  idle: benchIdle,
  media: benchMedia,
  ladder: benchLadder,
  link: benchLink,
  join: benchJoin,
  page: benchPage,
} satisfies Readonly<Record<string, Bench>>;

export type BenchName = keyof typeof benches;
