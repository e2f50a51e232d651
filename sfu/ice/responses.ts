/** Answers of the ICE-lite agent. All are authenticated with the local password (RFC 8445 section 7.3). */
import {
  addErrorCode,
  addFingerprint,
  addMessageIntegrity,
  addUnknownAttributes,
  addXorAddress,
  parseIpAddress,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunError,
  stunMethod,
} from '../../tunnel-protocol/index.ts';
import type { HmacSha1, StunMessage, TransportAddress } from '../../tunnel-protocol/index.ts';

/** Stands in where a path has no IP address: the field must be there, but no ICE decision hangs on it. */
const unspecified: TransportAddress = { address: '0.0.0.0', port: 0 };

/** What MESSAGE-INTEGRITY and FINGERPRINT add, and the header of one more attribute. */
const sealBytes = 24 + 8;
const attributeHeaderBytes = 4;

/**
 * Binding success with the peer's address as this end sees it. A request with PADDING is answered at its own size
 * (RFC 5780 section 7.6), so that it proves as much for the way back; never at more, and no larger than `mtu`.
 */
export function bindingSuccess(
  request: StunMessage,
  remote: TransportAddress,
  mtu: number,
  key: Uint8Array,
  hmacSha1: HmacSha1,
): Uint8Array {
  const response = new StunBuilder(stunClass.success, stunMethod.Binding, request.transactionId);
  addXorAddress(
    response,
    stunAttribute.XOR_MAPPED_ADDRESS,
    parseIpAddress(remote.address) === null ? unspecified : remote,
  );
  if (request.has(stunAttribute.PADDING)) {
    const wanted = Math.min(request.bytes.length, mtu) & ~3;
    const padding = wanted - response.bytes.length - sealBytes - attributeHeaderBytes;
    if (padding >= 0) response.reserve(stunAttribute.PADDING, padding);
  }
  return sealed(response, key, hmacSha1);
}

/** 487: the peer claims the role that a lite agent always has (RFC 8445 section 7.3.1.1). */
export function roleConflict(request: StunMessage, key: Uint8Array, hmacSha1: HmacSha1): Uint8Array {
  const response = new StunBuilder(stunClass.error, stunMethod.Binding, request.transactionId);
  addErrorCode(response, stunError.roleConflict);
  return sealed(response, key, hmacSha1);
}

/** 420 with the attributes that are not understood (RFC 8489 section 6.3.1). */
export function unknownAttribute(
  request: StunMessage,
  types: readonly number[],
  key: Uint8Array,
  hmacSha1: HmacSha1,
): Uint8Array {
  const response = new StunBuilder(stunClass.error, stunMethod.Binding, request.transactionId);
  addErrorCode(response, stunError.unknownAttribute);
  addUnknownAttributes(response, types);
  return sealed(response, key, hmacSha1);
}

function sealed(response: StunBuilder, key: Uint8Array, hmacSha1: HmacSha1): Uint8Array {
  addMessageIntegrity(response, key, hmacSha1);
  addFingerprint(response);
  return response.take();
}
