/** ERROR-CODE, RFC 8489 section 14.8: class (hundreds), number (the rest), reason phrase. */
import { stunAttribute } from './registry.ts';
import type { StunErrorCode } from './registry.ts';
import type { StunBuilder } from './stun-builder.ts';
import type { StunMessage } from './stun-message.ts';

const utf8Decoder = new TextDecoder();
const utf8Encoder = new TextEncoder();

/** Null when there is none or it is malformed. The phrase is the peer's text: escape it before showing it. */
export function errorCode(message: StunMessage): StunErrorCode | null {
  const value = message.value(stunAttribute.ERROR_CODE);
  if (value === null || value.length < 4) return null;
  const hundreds = (value[2] as number) & 7;
  const rest = value[3] as number;
  if (hundreds < 3 || hundreds > 6 || rest > 99) return null;
  return { code: hundreds * 100 + rest, reason: utf8Decoder.decode(value.subarray(4)) };
}

/** Throws RangeError when the code is not in 300–699. */
export function addErrorCode(builder: StunBuilder, error: StunErrorCode): void {
  if (!Number.isInteger(error.code) || error.code < 300 || error.code > 699) {
    throw new RangeError('a STUN error code is in 300-699');
  }
  const reason = utf8Encoder.encode(error.reason);
  const value = builder.reserve(stunAttribute.ERROR_CODE, 4 + reason.length);
  value[2] = Math.floor(error.code / 100);
  value[3] = error.code % 100;
  value.set(reason, 4);
}
