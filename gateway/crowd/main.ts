/**
 * `node dist/gateway/crowd/main.js [count] [engine]`: that many connections of each kind (2000) on one edge's port at
 * once, each served when it is opened and again when all are there. Prints what came of it; fails if one was not served.
 */
import { crowd } from './crowd.ts';
import { crowdKinds } from './plan.ts';

const count = Number(process.argv[2] ?? 2000);
const engine = process.argv[3] ?? 'auto';
const { metrics, ...result } = await crowd(count, { SALLYPORT_ENGINE: engine });
const lines = metrics.split('\n').filter((line) => /^sallyport_(connections|turn_allocations)/.test(line));
console.log(JSON.stringify(result, null, 2));
console.log(lines.filter((line) => !line.endsWith(' 0')).join('\n'));
const complete = crowdKinds.every((kind) => result.opened[kind] === count && result.served[kind] === count);
process.exitCode = complete ? 0 : 1;
