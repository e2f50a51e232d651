/** MESSAGE-INTEGRITY, RFC 8489 section 14.5: HMAC-SHA1 over all that comes before it. */
import { equalBytesConstantTime, putU16 } from '../bytes.ts';
import { stunAttribute } from './registry.ts';
import { stunHeaderBytes } from './stun-message.ts';
import type { StunBuilder } from './stun-builder.ts';
import type { StunMessage } from './stun-message.ts';

/**
 * HMAC-SHA1 (RFC 2104) of `data` under `key`: 20 bytes. Injected, because this folder carries no cryptography.
 * The key of ICE's short-term credentials is the password in UTF-8.
 */
export type HmacSha1 = (key: Uint8Array, data: Uint8Array) => Uint8Array;

const attributeBytes = 24;

/** False also when the message has no MESSAGE-INTEGRITY. Compares in constant time. */
export function verifyMessageIntegrity(message: StunMessage, key: Uint8Array, hmacSha1: HmacSha1): boolean {
  const at = message.integrityAt;
  if (at === -1) return false;
  // The code was made while MESSAGE-INTEGRITY was the last attribute: the length has to say so.
  // (A copy by the constructor: `slice` of a Node Buffer would change the borrowed bytes.)
  const covered = new Uint8Array(message.bytes.subarray(0, at));
  putU16(covered, 2, at + attributeBytes - stunHeaderBytes);
  return equalBytesConstantTime(hmacSha1(key, covered), message.bytes.subarray(at + 4, at + attributeBytes));
}

export function addMessageIntegrity(builder: StunBuilder, key: Uint8Array, hmacSha1: HmacSha1): void {
  const value = builder.reserve(stunAttribute.MESSAGE_INTEGRITY, 20);
  const whole = builder.bytes;
  value.set(hmacSha1(key, whole.subarray(0, whole.length - attributeBytes)));
}
