/** Where a request carries its token. */
import type { RequestHead } from './engine/index.ts';

export const tunnelSubprotocol = 'sallyport.v1';

/** `Authorization: Bearer …` (RFC 6750 section 2.1), or null. */
export function bearerToken(head: RequestHead): string | null {
  return /^Bearer +([^\s]+)$/i.exec(head.header('authorization'))?.[1] ?? null;
}

export function offeredSubprotocols(head: RequestHead): readonly string[] {
  return head
    .header('sec-websocket-protocol')
    .split(',')
    .map((protocol) => protocol.trim());
}

/** A browser can set no header on a WebSocket, so the token may come as the subprotocol `bearer.<base64url of it>`. */
export function tunnelToken(head: RequestHead): string | null {
  const offered = offeredSubprotocols(head).find((protocol) => protocol.startsWith('bearer.'));
  if (offered === undefined) return bearerToken(head);
  return Buffer.from(offered.slice('bearer.'.length), 'base64url').toString();
}
