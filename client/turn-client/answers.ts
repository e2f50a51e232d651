/** What a server's answers say. */
import { notUnderstood, stunAttribute, stunError } from '../../tunnel-protocol/index.ts';
import type { StunMessage } from '../../tunnel-protocol/index.ts';
import type { TurnFailure } from './types.ts';

/** RFC 8656 section 3.2. */
const defaultLifetimeMs = 600_000;

/** What responses may carry that must be understood. */
const understood: ReadonlySet<number> = new Set([
  stunAttribute.USERNAME,
  stunAttribute.REALM,
  stunAttribute.NONCE,
  stunAttribute.MESSAGE_INTEGRITY,
  stunAttribute.ERROR_CODE,
  stunAttribute.UNKNOWN_ATTRIBUTES,
  stunAttribute.MAPPED_ADDRESS,
  stunAttribute.XOR_MAPPED_ADDRESS,
  stunAttribute.XOR_RELAYED_ADDRESS,
  stunAttribute.XOR_PEER_ADDRESS,
  stunAttribute.DATA,
  stunAttribute.LIFETIME,
  stunAttribute.CHANNEL_NUMBER,
  stunAttribute.RESERVATION_TOKEN,
  stunAttribute.PADDING,
]);

export function isUnderstood(message: StunMessage): boolean {
  return notUnderstood(message, understood).length === 0;
}

export function readLifetimeMs(message: StunMessage): number {
  const seconds = message.u32(stunAttribute.LIFETIME);
  return seconds === null ? defaultLifetimeMs : seconds * 1000;
}

/** The server would if it could. */
export function isCapacity(code: number): boolean {
  return code === stunError.allocationQuotaReached.code || code === stunError.insufficientCapacity.code;
}

const failures: ReadonlyMap<number, TurnFailure> = new Map<number, TurnFailure>([
  [stunError.tryAlternate.code, 'try-alternate'],
  [stunError.forbidden.code, 'forbidden'],
  [stunError.allocationMismatch.code, 'allocation-mismatch'],
  [stunError.addressFamilyNotSupported.code, 'family-unsupported'],
  [stunError.wrongCredentials.code, 'wrong-credentials'],
  [stunError.peerAddressFamilyMismatch.code, 'family-unsupported'],
  [stunError.allocationQuotaReached.code, 'quota-reached'],
  [stunError.insufficientCapacity.code, 'no-capacity'],
]);

export function failureOf(code: number): TurnFailure {
  return failures.get(code) ?? 'refused';
}
