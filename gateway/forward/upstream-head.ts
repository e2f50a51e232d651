/** The head of a request as an upstream gets it: made anew, of nothing but what is known to be harmless. */
import { hostOf, parseAuthority } from '../addresses.ts';
import type { RequestHead } from '../engine/index.ts';
import { Problem, problem } from '../problem.ts';
import { secretHeader } from './forwarded-client.ts';

export interface ForwardTarget {
  readonly at: { readonly host: string; readonly port: number } | { readonly socketPath: string };
  /**
   * Null: plain HTTP. The name is the one that the certificate must have; left to itself, Node's client takes it from
   * the Host header, which here is the client's to choose. A fingerprint (SHA-256, as Node writes it) stands for the
   * certificate itself, whoever issued it and for whom.
   */
  readonly tls:
    { readonly serverName: string; readonly ca?: string | Buffer } | { readonly fingerprint: string } | null;
  /** How the client came, if that is known. */
  readonly clientScheme?: 'http' | 'https';
  /** Set over all others; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of the Forwarder's own limit; Infinity where a body may go on as long as the session does. */
  readonly maxBodyBytes?: number;
}

export interface UpstreamHead {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly hasBody: boolean;
  /** Null: the client did not say. */
  readonly announcedBytes: number | null;
}

const withBody = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
/** http2-proxy drops the content of these; so an announced length would take the next request for it. */
const withoutBody = new Set(['GET', 'HEAD', 'OPTIONS']);
const methods = [...withoutBody, ...withBody].join(', ');

/**
 * What an edge reads of a request. A list of what may pass, not of what may not: hop-by-hop headers, those that the
 * Connection header names, and addresses that a client claims to come from are never on it.
 */
const passed = [
  'accept',
  'accept-language',
  'access-control-request-headers',
  'access-control-request-method',
  'authorization',
  'cache-control',
  'content-type',
  'if-modified-since',
  'if-none-match',
  'origin',
  'range',
  'user-agent',
] as const;

const originForm = /^\/[!-~]*$/;
const fieldValue = /^[\t -~\x80-\xff]*$/;
const wholeNumber = /^[0-9]{1,15}$/;

/** A Problem: the request is not one that may be forwarded. */
export function upstreamHead(
  head: RequestHead,
  target: ForwardTarget,
  maxBodyBytes: number,
  secret: string | null,
): UpstreamHead | Problem {
  const hasBody = withBody.has(head.method);
  if (!hasBody && !withoutBody.has(head.method)) return problem('method-not-allowed', `Use one of ${methods}.`);
  const path = head.query === '' ? head.path : `${head.path}?${head.query}`;
  if (!originForm.test(path)) return malformed('path');
  const host = head.header('host');
  if (parseAuthority(host) === null) return malformed('host');
  if (head.header('upgrade').toLowerCase() === 'websocket') {
    return problem('bad-request', 'WebSockets are not forwarded.');
  }
  const announced = head.header('content-length');
  if (announced !== '' && !wholeNumber.test(announced)) return malformed('content-length');
  if (announced !== '' && head.header('transfer-encoding') !== '') return malformed('content-length');
  const announcedBytes = announced === '' ? null : Number(announced);
  if (!hasBody && ((announcedBytes ?? 0) > 0 || head.header('transfer-encoding') !== '')) {
    return problem('bad-request', `A request by ${head.method} has no content here.`);
  }
  if ((announcedBytes ?? 0) > maxBodyBytes) return problem('payload-too-large', 'Send a smaller body.');

  const headers: Record<string, string> = { host };
  for (const name of passed) {
    const value = head.header(name);
    if (value === '') continue;
    if (!fieldValue.test(value)) return malformed(name);
    headers[name] = value;
  }
  // Of every body the end is said; left to itself, Node's client sends that of a DELETE bare.
  if (hasBody && announcedBytes !== null) headers['content-length'] = String(announcedBytes);
  else if (hasBody) headers['transfer-encoding'] = 'chunked';
  Object.assign(headers, forwardedHeaders(head.remoteAddress, host, target.clientScheme), target.headers);
  if (secret !== null) headers[secretHeader] = secret;
  return { method: head.method, path, headers, hasBody, announcedBytes };
}

/** RFC 7239, and what came before it. */
function forwardedHeaders(
  address: string,
  host: string,
  scheme: ForwardTarget['clientScheme'],
): Readonly<Record<string, string>> {
  const proto = scheme === undefined ? '' : `;proto=${scheme}`;
  return {
    forwarded: `for=${address.includes(':') ? `"${hostOf(address)}"` : address}${proto};host="${host}"`,
    'x-forwarded-for': address,
    'x-forwarded-host': host,
    ...(scheme === undefined ? {} : { 'x-forwarded-proto': scheme }),
  };
}

function malformed(part: string): Problem {
  return problem('bad-request', `The request's ${part} is not one that can be forwarded.`);
}
