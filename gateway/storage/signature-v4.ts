/** AWS Signature Version 4 for requests with headers, as S3 and stores that speak like it want them. */
import { createHash, createHmac } from 'node:crypto';

export interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export interface SignableRequest {
  readonly method: string;
  readonly url: URL;
  /** Names in lower case; `host` and the two of the signature itself are added. */
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body in hex. */
  readonly bodySha256: string;
}

const service = 's3';
const algorithm = 'AWS4-HMAC-SHA256';

/** All headers to send. `unixMs` is the wall clock; stores refuse one that is 15 minutes wrong. */
export function signedHeaders(request: SignableRequest, key: SigningKey, unixMs: number): Record<string, string> {
  const { method, url, bodySha256 } = request;
  const time = new Date(unixMs).toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
  const day = time.slice(0, 8);
  const headers: Record<string, string> = {
    ...request.headers,
    host: url.host,
    'x-amz-content-sha256': bodySha256,
    'x-amz-date': time,
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    method,
    url.pathname,
    canonicalQuery(url.searchParams),
    ...names.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    bodySha256,
  ].join('\n');
  const scope = `${day}/${key.region}/${service}/aws4_request`;
  const toSign = [algorithm, time, scope, sha256Hex(canonical)].join('\n');
  let secret: Buffer = hmac(Buffer.from(`AWS4${key.secretAccessKey}`), day);
  for (const part of [key.region, service, 'aws4_request']) secret = hmac(secret, part);
  const signature = hmac(secret, toSign).toString('hex');
  headers['authorization'] =
    `${algorithm} Credential=${key.accessKeyId}/${scope},SignedHeaders=${names.join(';')},Signature=${signature}`;
  return headers;
}

/** RFC 3986's unreserved characters stay; of a path, slashes too. */
export function encodeForS3(text: string, keepSlash = false): string {
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return keepSlash ? encoded.replaceAll('%2F', '/') : encoded;
}

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function canonicalQuery(query: URLSearchParams): string {
  return [...query]
    .map(([name, value]) => `${encodeForS3(name)}=${encodeForS3(value)}`)
    .sort()
    .join('&');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
