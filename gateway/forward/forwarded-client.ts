/** The other end of a Forwarder: who is behind a request that it sent. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { parseAddress } from '../addresses.ts';
import type { RequestHead } from '../engine/index.ts';

/** Proves that the forwarded address was written by one of our own; never passed on from a client. */
export const secretHeader = 'x-sallyport-forwarder';

/**
 * The same request with the client's address, for logs and limits. Without the secret, forwarded addresses are what
 * anyone can write: the request is that of the connection it came on.
 */
export function withForwardedClient(head: RequestHead, secret: string): RequestHead {
  const proof = head.header(secretHeader);
  if (proof === '' || !sameText(proof, secret)) return head;
  const remoteAddress = parseAddress(head.header('x-forwarded-for'));
  if (remoteAddress === null) return head;
  const { method, path, query } = head;
  return {
    method,
    path,
    query,
    header: (name) => (name === secretHeader ? '' : head.header(name)),
    remoteAddress,
  };
}

/** In a time that tells nothing of either. */
function sameText(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}
