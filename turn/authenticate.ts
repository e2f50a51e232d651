/** Long-term credentials, RFC 8489 section 9.2.4, in its order. */
import {
  stunAttribute,
  stunError,
  verifyMessageIntegrity,
  type StunErrorCode,
  type StunMessage,
} from '../tunnel-protocol/index.ts';
import { hmacSha1, integrityKey, parseTurnUsername, type TurnUser } from './credentials.ts';
import type { Nonces } from './nonce.ts';

export interface Authenticated {
  readonly user: TurnUser;
  readonly key: Uint8Array;
}

export interface Authenticator {
  readonly realm: string;
  readonly secret: string;
  readonly nonces: Nonces;
}

/** Longest USERNAME, RFC 8489 section 14.3. */
const maxUsernameBytes = 508;

/**
 * Who sent the request, or the error that answers it. Expiry and session are not looked at. `known` is the user of the
 * five-tuple's allocation: its key need not be derived again.
 */
export function authenticate(
  message: StunMessage,
  address: string,
  nowMs: number,
  known: { readonly username: string; readonly integrityKey: Uint8Array } | null,
  authenticator: Authenticator,
): Authenticated | StunErrorCode {
  if (message.integrityAt === -1) return stunError.unauthenticated;
  const username = message.value(stunAttribute.USERNAME);
  const realm = message.text(stunAttribute.REALM);
  const nonce = message.text(stunAttribute.NONCE);
  if (username === null || realm === null || nonce === null || username.length > maxUsernameBytes) {
    return stunError.badRequest;
  }
  if (!authenticator.nonces.isFresh(nonce, address, nowMs)) return stunError.staleNonce;
  const user = realm === authenticator.realm ? parseTurnUsername(Buffer.from(username).toString('latin1')) : null;
  if (user === null) return stunError.unauthenticated;
  const key =
    known?.username === user.username
      ? known.integrityKey
      : integrityKey(authenticator.secret, user.username, authenticator.realm);
  return verifyMessageIntegrity(message, key, hmacSha1) ? { user, key } : stunError.unauthenticated;
}
