/** The clients of a crowd, in a process of their own: started by crowd.ts, which sends the plan. */
import { once } from 'node:events';
import { crowdKinds, type CrowdKind, type CrowdPlan, type CrowdReport } from './plan.ts';
import { openers, type Visit } from './visits.ts';

const concurrency = 64;

process.once('message', (plan) => {
  void run(plan as CrowdPlan);
});
// Without the one who asked, there is nothing to do.
process.once('disconnect', () => process.exit());

async function run(plan: CrowdPlan): Promise<void> {
  const started = performance.now();
  const visits: { readonly kind: CrowdKind; readonly use: Visit['use'] }[] = [];
  const opened = await eachKind(plan.count, async (kind, index) => {
    const { use } = await openers[kind](plan, index);
    if (!(await use())) return false;
    visits.push({ kind, use });
    return true;
  });
  tell({ step: 'all-open', opened, seconds: (performance.now() - started) / 1000 });
  await once(process, 'message');
  const from = performance.now();
  const served = Object.fromEntries(crowdKinds.map((kind) => [kind, 0])) as Record<CrowdKind, number>;
  await inParallel(visits.length, async (index) => {
    const { kind, use } = visits[index] as (typeof visits)[number];
    if (await use().catch(() => false)) served[kind]++;
  });
  tell({ step: 'all-served', served, seconds: (performance.now() - from) / 1000 });
}

function tell(report: CrowdReport): void {
  process.send?.(report);
}

/** The kinds in turn, so that all are under way at once. */
async function eachKind(
  count: number,
  open: (kind: CrowdKind, index: number) => Promise<boolean>,
): Promise<Record<CrowdKind, number>> {
  const done = Object.fromEntries(crowdKinds.map((kind) => [kind, 0])) as Record<CrowdKind, number>;
  await inParallel(count * crowdKinds.length, async (at) => {
    const kind = crowdKinds[at % crowdKinds.length] as CrowdKind;
    if (await open(kind, Math.floor(at / crowdKinds.length)).catch(() => false)) done[kind]++;
  });
  return done;
}

async function inParallel(total: number, one: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < total) await one(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
