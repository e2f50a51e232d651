/** Checks what the application passed to `join()` before anything is sent. */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { JoinOptions } from '../call.ts';
import { ClientError } from '../errors.ts';

/** The rungs that a Node client has. */
export const nodeRungs: readonly Rung[] = rungs;

const maxRoomLength = 256;

/** The rungs to use. Throws ClientError `bad-option` or `rung-unavailable`. */
export function checkJoinOptions(options: JoinOptions): ReadonlySet<Rung> {
  const { room, timeoutMs } = options;
  if (typeof room !== 'string' || room === '' || room.length > maxRoomLength) {
    throw new ClientError('bad-option', { detail: `room: a text of 1 to ${String(maxRoomLength)} characters` });
  }
  if (timeoutMs !== undefined && !(timeoutMs > 0)) {
    throw new ClientError('bad-option', { detail: 'timeoutMs: more than 0' });
  }
  const usable = new Set(
    options.rungs === undefined ? nodeRungs : options.rungs.filter((rung) => nodeRungs.includes(rung)),
  );
  if (usable.size === 0) {
    throw new ClientError('rung-unavailable', { detail: `a Node client has ${nodeRungs.join(', ')}` });
  }
  return usable;
}
