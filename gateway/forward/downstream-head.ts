/** The head of an upstream's response as the client gets it. */
import type { IncomingMessage } from 'node:http';
import type { HttpReply } from '../problem.ts';

/** Of one connection only (RFC 9110 section 7.6.1), of the engine's own making, or none of the client's business. */
const dropped = new Set([
  'alt-svc',
  'connection',
  'content-length',
  'forwarded',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'server',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
]);
/** h2 does not send a head that is larger than its limit, and ends the stream instead. */
const maxHeadBytes = 6144;
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const fieldValue = /^[\t -~\x80-\xff]*$/;

/** Null: not a response that a client may get. Cookies do not pass: an edge sets none. */
export function downstreamHead(response: IncomingMessage): Omit<HttpReply, 'body'> | null {
  const status = response.statusCode ?? 0;
  // http2-proxy hands any number on; Node's h2 throws for some of them, where nothing catches it.
  if (status < 200 || status > 599) return null;
  const named = new Set((response.headers.connection ?? '').toLowerCase().split(/[ \t]*,[ \t]*/));
  const headers: Record<string, string> = {};
  let length = 0;
  for (const [name, value] of Object.entries(response.headers)) {
    if (typeof value !== 'string' || dropped.has(name) || named.has(name) || name.startsWith('x-forwarded-')) continue;
    if (!fieldName.test(name) || !fieldValue.test(value)) return null;
    length += name.length + value.length;
    if (length > maxHeadBytes) return null;
    headers[name] = value;
  }
  return { status, headers };
}

/** Of a body that is said to be this long; null where it is not said. */
export function announcedBytes(response: IncomingMessage): number | null {
  const text = response.headers['content-length'];
  return text === undefined ? null : Number(text);
}
