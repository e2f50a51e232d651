/** Garbage collection on demand, without a flag on the command line. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Twice: what was only weakly held the first time is gone the second. */
export function collectGarbage(): void {
  collect();
  collect();
}
