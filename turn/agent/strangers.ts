/** Who has not proved itself: Binding, and the challenge of long-term credentials (RFC 8489 section 9.2.4). */
import {
  addErrorCode,
  addXorAddress,
  decodeStun,
  stunAttribute,
  stunClass,
  StunBuilder,
  stunError,
  stunMethod,
  verifyMessageIntegrity,
  type StunErrorCode,
  type StunMessage,
} from '../../tunnel-protocol/index.ts';
import { hmacSha1 } from '../credentials.ts';
import type { AgentLink, AgentShared } from './shared.ts';

/** Of somebody of whom nothing is kept. True when it is an authentic request, which is to be handled. Borrowed. */
export function answerStranger(shared: AgentShared, link: AgentLink, bytes: Uint8Array): boolean {
  if ((bytes[0] ?? 0x40) >= 4) {
    shared.counters.dropped_no_allocation++;
    return false;
  }
  const message = decodeStun(bytes);
  if (typeof message === 'string' || message.messageClass !== stunClass.request) {
    shared.counters.malformed++;
    return false;
  }
  if (message.method === stunMethod.Binding) {
    answerBinding(shared, link, message);
    return false;
  }
  return mayAsk(shared, link, message);
}

/** The client's own address: there is no network between. */
export function answerBinding({ limiter, counters, deps }: AgentShared, link: AgentLink, message: StunMessage): void {
  if (!link.isStream && !limiter.take(link.remote.address, deps.now())) {
    counters.rate_limited++;
    return;
  }
  const reply = new StunBuilder(stunClass.success, stunMethod.Binding, message.transactionId);
  addXorAddress(reply, stunAttribute.XOR_MAPPED_ADDRESS, link.remote);
  link.send(reply.take());
}

/** True when the request is signed with the agent's credentials; otherwise it is answered with what is wrong. */
export function mayAsk(shared: AgentShared, link: AgentLink, message: StunMessage): boolean {
  const error = faultOf(shared, link, message);
  if (error === null) return true;
  const { counters, limiter, nonces, options, deps } = shared;
  if (!link.isStream && !limiter.take(link.remote.address, deps.now())) {
    counters.rate_limited++;
    return false;
  }
  counters.unauthenticated++;
  const reply = new StunBuilder(stunClass.error, message.method, message.transactionId);
  addErrorCode(reply, { code: error.code, reason: '' });
  if (error.code !== stunError.badRequest.code) {
    reply.text(stunAttribute.REALM, options.realm);
    reply.text(stunAttribute.NONCE, nonces.mint(link.remote.address, deps.now()));
  }
  link.send(reply.take());
  return false;
}

function faultOf(
  { nonces, options, key, deps }: AgentShared,
  { remote }: AgentLink,
  message: StunMessage,
): StunErrorCode | null {
  if (message.integrityAt === -1) return stunError.unauthenticated;
  const username = message.text(stunAttribute.USERNAME);
  const realm = message.text(stunAttribute.REALM);
  const nonce = message.text(stunAttribute.NONCE);
  if (username === null || realm === null || nonce === null) return stunError.badRequest;
  if (!nonces.isFresh(nonce, remote.address, deps.now())) return stunError.staleNonce;
  if (realm !== options.realm || username !== options.username) return stunError.unauthenticated;
  return verifyMessageIntegrity(message, key, hmacSha1) ? null : stunError.unauthenticated;
}
