/**
 * Time-limited credentials (draft-uberti-behave-turn-rest): the user name is `expiry:session`, expiry in Unix seconds;
 * the password is base64(HMAC-SHA1(secret, user name)). Whoever has the secret can make and check them; nothing is
 * looked up, so no user name can reach into a table.
 */
import { createHash, createHmac } from 'node:crypto';

export interface TurnCredentials {
  readonly username: string;
  readonly credential: string;
}

export interface TurnUser {
  readonly username: string;
  readonly sessionId: string;
  /** Unix seconds. */
  readonly expiresAt: number;
}

export function createTurnCredentials(
  secret: string,
  sessionId: string,
  expiresAtUnixSeconds: number,
): TurnCredentials {
  const username = `${String(Math.floor(expiresAtUnixSeconds))}:${sessionId}`;
  return { username, credential: passwordOf(secret, username) };
}

const form = /^(\d{1,12}):([\x21-\x7e]{1,256})$/;

/** Null when the text is no `expiry:session`. */
export function parseTurnUsername(username: string): TurnUser | null {
  const match = form.exec(username);
  if (match === null) return null;
  return { username, sessionId: match[2] as string, expiresAt: Number(match[1]) };
}

/** The MESSAGE-INTEGRITY key of long-term credentials, RFC 8489 section 9.2.2: MD5(user ":" realm ":" password). */
export function integrityKey(secret: string, username: string, realm: string): Uint8Array {
  return createHash('md5')
    .update(`${username}:${realm}:${passwordOf(secret, username)}`)
    .digest();
}

function passwordOf(secret: string, username: string): string {
  return createHmac('sha1', secret).update(username).digest('base64');
}

export function hmacSha1(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac('sha1', key).update(data).digest();
}
