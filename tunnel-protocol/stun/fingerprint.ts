/** FINGERPRINT, RFC 8489 section 14.7: CRC-32 of all that comes before it, XOR "STUN". */
import { putU32, u32 } from '../bytes.ts';
import { crc32 } from './crc32.ts';
import { stunAttribute } from './registry.ts';
import type { StunBuilder } from './stun-builder.ts';
import type { StunMessage } from './stun-message.ts';

const mask = 0x5354554e;
const attributeBytes = 8;

/** False also when the message has no FINGERPRINT. */
export function verifyFingerprint(message: StunMessage): boolean {
  const at = message.fingerprintAt;
  return at !== -1 && (crc32(message.bytes, at) ^ mask) >>> 0 === u32(message.bytes, at + 4);
}

/** Must be the last attribute. */
export function addFingerprint(builder: StunBuilder): void {
  const value = builder.reserve(stunAttribute.FINGERPRINT, 4);
  const whole = builder.bytes;
  putU32(value, 0, crc32(whole, whole.length - attributeBytes) ^ mask);
}
