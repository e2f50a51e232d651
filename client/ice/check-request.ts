/** The Binding requests of the controlling agent (RFC 8445 section 7.2.2). */
import {
  addFingerprint,
  addMessageIntegrity,
  NOMINATION,
  rungs,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
} from '../../tunnel-protocol/index.ts';
import type { HmacSha1, IceCredentials, Rung } from '../../tunnel-protocol/index.ts';

/** One ICE generation as the client uses it: both sides' credentials. */
export interface Generation {
  /** USERNAME of our requests: the peer's ufrag, a colon, ours. */
  readonly username: Uint8Array;
  /** The peer's password as an HMAC key: it authenticates requests to it and its responses. */
  readonly key: Uint8Array;
}

const utf8 = new TextEncoder();

export function createGeneration(local: IceCredentials, remote: IceCredentials): Generation {
  return { username: utf8.encode(`${remote.ufrag}:${local.ufrag}`), key: utf8.encode(remote.pwd) };
}

export interface CheckRequest {
  readonly transactionId: Uint8Array;
  readonly generation: Generation;
  readonly kind: Rung;
  /** 8 random bytes of this agent, ICE-CONTROLLING's value. */
  readonly tieBreaker: Uint8Array;
  /** With USE-CANDIDATE and this NOMINATION; null for a plain check. */
  readonly nomination: number | null;
  /** Padded to so many bytes (RFC 5780 section 7.6), a multiple of four; null for as few as it takes. */
  readonly totalBytes: number | null;
}

/** What MESSAGE-INTEGRITY and FINGERPRINT add, and the header of one more attribute. */
const sealBytes = 24 + 8;
const attributeHeaderBytes = 4;

export function encodeCheckRequest(request: CheckRequest, hmacSha1: HmacSha1): Uint8Array {
  const message = new StunBuilder(stunClass.request, stunMethod.Binding, request.transactionId);
  message.attribute(stunAttribute.USERNAME, request.generation.username);
  message.u32(stunAttribute.PRIORITY, peerReflexivePriority(request.kind));
  message.attribute(stunAttribute.ICE_CONTROLLING, request.tieBreaker);
  if (request.nomination !== null) {
    message.flag(stunAttribute.USE_CANDIDATE);
    message.u32(NOMINATION, request.nomination);
  }
  if (request.totalBytes !== null) {
    const padding = request.totalBytes - message.bytes.length - sealBytes - attributeHeaderBytes;
    message.reserve(stunAttribute.PADDING, Math.max(0, padding));
  }
  addMessageIntegrity(message, request.generation.key, hmacSha1);
  addFingerprint(message);
  return message.take();
}

/**
 * RFC 8445 sections 5.1.2 and 7.1.1: what a candidate learnt from this check would get, component 1, local preference
 * by rung. A lite peer does not use it, but the attribute is mandatory.
 */
function peerReflexivePriority(kind: Rung): number {
  const localPreference = 65_535 - rungs.indexOf(kind);
  return 110 * 2 ** 24 + localPreference * 2 ** 8 + 255;
}
