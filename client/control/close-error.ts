/** What a close code of the control channel (tunnel-protocol's catalogue) means to the application. */
import { afterClose, closeCodeOf, closeCodes } from '../../tunnel-protocol/index.ts';
import type { CloseCode } from '../../tunnel-protocol/index.ts';
import { ClientError } from '../errors.ts';
import type { ClientErrorCode } from '../errors.ts';
import { printable } from './problem.ts';

const codes: Partial<Record<CloseCode, ClientErrorCode>> = {
  kicked: 'kicked',
  replaced: 'replaced',
  'version-unsupported': 'version-unsupported',
};

/** How a session ends; `error` is null when it was meant to. */
export interface SessionEnd {
  readonly error: ClientError | null;
}

/** How this close ends the session; null when the client is to connect again. */
export function endOfClose(wire: number, reason: string): SessionEnd | null {
  const then = afterClose(wire);
  if (then === 'resume') return null;
  const code = closeCodeOf(wire);
  // A server says so only after this client's `leave`.
  if (code === 'normal') return { error: null };
  const known = code === null ? undefined : codes[code];
  const detail = reason === '' && code !== null ? closeCodes[code].sentence : printable(reason);
  const error = new ClientError(known ?? (then === 'stop' ? 'session-ended' : 'session-lost'), {
    detail: detail === '' ? undefined : detail,
    serverCode: code ?? String(wire),
  });
  return { error };
}
