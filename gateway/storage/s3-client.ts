/** The few requests that storing a file takes, to S3 or a store that speaks like it. */
import { createHash } from 'node:crypto';
import { Agent, request } from 'undici';
import { encodeForS3, sha256Hex, signedHeaders, type SigningKey } from './signature-v4.ts';

export interface S3Config {
  /** `https://…`, without a path. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly key: SigningKey;
}

/** One part as the store has it. */
export interface StoredPart {
  readonly etag: string;
  /** SHA-256 in base64. */
  readonly sha256: string;
  readonly md5: string;
}

export interface ObjectHead {
  readonly bytes: number;
  readonly etag: string;
  /** Null where the store keeps none. */
  readonly sha256: string | null;
}

/** The store said no; `code` is its word, such as `NoSuchUpload`, or the status. */
export class S3Error extends Error {
  override readonly name = 'S3Error';
  readonly code: string;
  readonly status: number;

  constructor(status: number, code: string) {
    super(`the object store answered ${String(status)} ${code}`);
    this.status = status;
    this.code = code;
  }
}

/** An answer takes no longer, once the request is out; a request is, at a rate that every uplink has. */
const timeoutMs = 60_000;
const slowestBytesPerMs = 64;
const maxAnswerBytes = 1024 * 1024;
const maxUploadIdLength = 1024;

interface Answer {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export class S3Client {
  readonly #config: S3Config;
  readonly #wallClock: () => number;
  readonly #agent = new Agent({ connections: 4, headersTimeout: timeoutMs, bodyTimeout: timeoutMs });

  constructor(config: S3Config, wallClock: () => number = Date.now) {
    this.#config = config;
    this.#wallClock = wallClock;
  }

  /** A whole object at once. The store refuses bytes that do not have these checksums. */
  async put(key: string, body: Uint8Array, type: string): Promise<StoredPart> {
    const sums = checksums(body);
    const headers = { 'content-type': type, 'content-md5': sums.md5, ...checksumHeaders(sums.sha256) };
    const answer = await this.#ask('PUT', key, {}, body, headers);
    return { ...sums, etag: etagOf(answer) };
  }

  async begin(key: string, type: string): Promise<string> {
    const headers = { 'content-type': type, 'x-amz-checksum-algorithm': 'SHA256' };
    const answer = await this.#ask('POST', key, { uploads: '' }, null, headers);
    const uploadId = element(answer.text, 'UploadId');
    if (uploadId === '' || uploadId.length > maxUploadIdLength) throw new S3Error(200, 'without an upload id');
    return uploadId;
  }

  /** `number` from 1. */
  async putPart(key: string, uploadId: string, number: number, body: Uint8Array): Promise<StoredPart> {
    const sums = checksums(body);
    const query = { partNumber: String(number), uploadId };
    const headers = { 'content-md5': sums.md5, ...checksumHeaders(sums.sha256) };
    const answer = await this.#ask('PUT', key, query, body, headers);
    return { ...sums, etag: etagOf(answer) };
  }

  async complete(key: string, uploadId: string, parts: readonly StoredPart[]): Promise<void> {
    const list = parts.map(
      ({ etag, sha256 }, at) =>
        `<Part><PartNumber>${String(at + 1)}</PartNumber><ETag>${etag}</ETag><ChecksumSHA256>${sha256}</ChecksumSHA256></Part>`,
    );
    const xml = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}</CompleteMultipartUpload>`;
    const answer = await this.#ask('POST', key, { uploadId }, Buffer.from(xml), { 'content-type': 'application/xml' });
    // This request may fail after its status has been sent.
    if (answer.text.includes('<Error>')) throw new S3Error(200, codeOf(answer.text));
  }

  async abort(key: string, uploadId: string): Promise<void> {
    await this.#ask('DELETE', key, { uploadId }, null, {});
  }

  /** Null: there is no such object. */
  async head(key: string): Promise<ObjectHead | null> {
    try {
      const answer = await this.#ask('HEAD', key, {}, null, { 'x-amz-checksum-mode': 'ENABLED' });
      const sha256 = header(answer, 'x-amz-checksum-sha256');
      return {
        bytes: Number(header(answer, 'content-length')),
        etag: header(answer, 'etag'),
        sha256: sha256 === '' ? null : sha256,
      };
    } catch (error) {
      if (error instanceof S3Error && error.status === 404) return null;
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #ask(
    method: 'PUT' | 'POST' | 'DELETE' | 'HEAD',
    key: string,
    query: Readonly<Record<string, string>>,
    body: Uint8Array | null,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const { endpoint, bucket, key: signingKey } = this.#config;
    const url = new URL(`/${encodeForS3(bucket)}/${encodeForS3(key, true)}`, endpoint);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const bodySha256 = sha256Hex(body ?? '');
    const signed = signedHeaders({ method, url, headers, bodySha256 }, signingKey, this.#wallClock());
    const headersTimeout = timeoutMs + (body?.length ?? 0) / slowestBytesPerMs;
    const answer = await request(url, { method, headers: signed, body, dispatcher: this.#agent, headersTimeout });
    const text = await bounded(answer.body);
    if (answer.statusCode >= 200 && answer.statusCode < 300) return { headers: answer.headers, text };
    throw new S3Error(answer.statusCode, codeOf(text));
  }
}

/** Of an object that was stored in parts: over the checksums of these. S3 puts their number behind it, not every store does. */
export function compositeSha256(parts: readonly StoredPart[]): string {
  const hash = createHash('sha256');
  for (const { sha256 } of parts) hash.update(Buffer.from(sha256, 'base64'));
  return hash.digest('base64');
}

/** Likewise, of stores that keep nothing better. */
export function compositeEtag(parts: readonly StoredPart[]): string {
  const hash = createHash('md5');
  for (const { md5 } of parts) hash.update(Buffer.from(md5, 'base64'));
  return `${hash.digest('hex')}-${String(parts.length)}`;
}

async function bounded(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxAnswerBytes) throw new S3Error(200, 'with too much');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function checksums(body: Uint8Array): { readonly sha256: string; readonly md5: string } {
  return {
    sha256: createHash('sha256').update(body).digest('base64'),
    md5: createHash('md5').update(body).digest('base64'),
  };
}

function checksumHeaders(sha256: string): Record<string, string> {
  return { 'x-amz-sdk-checksum-algorithm': 'SHA256', 'x-amz-checksum-sha256': sha256 };
}

function header({ headers }: Answer, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : (value?.[0] ?? '');
}

/** It goes back to the store within XML. */
function etagOf(answer: Answer): string {
  const etag = header(answer, 'etag');
  if (!/^"?[\w+/=-]{1,128}"?$/.test(etag)) throw new S3Error(200, 'without an etag');
  return etag;
}

/** It goes into logs: what is no word of S3 does not. */
function codeOf(xml: string): string {
  const code = element(xml, 'Code');
  return /^[\w.-]{1,64}$/.test(code) ? code : 'without a word';
}

/** The text of the first such element; empty when there is none. */
function element(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
}
