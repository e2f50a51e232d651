/** The page's certificate: a P-256 key whose private half cannot leave Web Crypto, signed by itself (RFC 8827 section 6.5). */
import { concatBytes } from '../../../tunnel-protocol/index.ts';
import { bitString, element, readElement, tag, unsigned } from './der.ts';

export interface PageIdentity {
  /** DER. */
  readonly certificate: Uint8Array;
  /** SHA-256 over the DER, upper-case hex with colons. */
  readonly fingerprint: string;
  /** ECDSA with SHA-256, as DER. */
  readonly sign: (data: Uint8Array) => Promise<Uint8Array>;
}

/** What is used of Web Crypto (W3C WebCryptoAPI); the environment's own, in a secure context. */
export type Subtle = Pick<
  typeof crypto.subtle,
  'digest' | 'generateKey' | 'exportKey' | 'importKey' | 'sign' | 'verify' | 'deriveBits'
>;

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const ecdsaSha256 = { name: 'ECDSA', hash: 'SHA-256' } as const;
/** 1.2.840.10045.4.3.2. */
const ecdsaWithSha256 = element(tag.sequence, objectId('06082a8648ce3d040302'));
/** 2.5.4.3. */
const commonName = objectId('0603550403');
const validDays = 30;
const dayMs = 86_400_000;
const halfBytes = 32;

export async function createPageIdentity(subtle: Subtle, unixMs: number): Promise<PageIdentity> {
  const { privateKey, publicKey } = await subtle.generateKey(ecdsa, false, ['sign', 'verify']);
  const publicKeyInfo = new Uint8Array(await subtle.exportKey('spki', publicKey));
  const sign = async (data: Uint8Array): Promise<Uint8Array> =>
    derSignature(new Uint8Array(await subtle.sign(ecdsaSha256, privateKey, unshared(data))));
  const name = element(
    tag.sequence,
    element(tag.set, element(tag.sequence, commonName, element(tag.utf8String, new TextEncoder().encode('WebRTC')))),
  );
  const serial = crypto.getRandomValues(new Uint8Array(8));
  const body = element(
    tag.sequence,
    element(tag.version, unsigned(Uint8Array.of(2))),
    unsigned(serial),
    ecdsaWithSha256,
    name,
    element(tag.sequence, utcTime(unixMs - dayMs), utcTime(unixMs + validDays * dayMs)),
    name,
    publicKeyInfo,
  );
  const certificate = element(tag.sequence, body, ecdsaWithSha256, bitString(await sign(body)));
  const digest = new Uint8Array(await subtle.digest('SHA-256', unshared(certificate)));
  const fingerprint = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(':');
  return { certificate, fingerprint, sign };
}

/** The DOM's types want bytes that are known not to be shared memory; none of ours ever is. */
export function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

/** SubjectPublicKeyInfo of an X.509 certificate (RFC 5280 section 4.1); null when the DER is not one. */
export function publicKeyInfoOf(certificate: Uint8Array): Uint8Array | null {
  const whole = readElement(certificate, 0, certificate.length);
  if (whole?.type !== tag.sequence) return null;
  const body = readElement(certificate, whole.contentAt, whole.end);
  if (body?.type !== tag.sequence) return null;
  let at = body.contentAt;
  // Version if it is not 1; then serial, algorithm, issuer, validity and subject.
  if (certificate[at] === tag.version) at = readElement(certificate, at, body.end)?.end ?? body.end;
  for (let field = 0; field < 5; field++) at = readElement(certificate, at, body.end)?.end ?? body.end;
  const info = readElement(certificate, at, body.end);
  return info?.type === tag.sequence ? certificate.slice(info.start, info.end) : null;
}

/** Both halves of a signature, as Web Crypto writes them; null for DER that is no P-256 signature. */
export function plainSignature(signature: Uint8Array): Uint8Array | null {
  const whole = readElement(signature, 0, signature.length);
  if (whole?.type !== tag.sequence || whole.end !== signature.length) return null;
  const plain = new Uint8Array(2 * halfBytes);
  let at = whole.contentAt;
  for (let half = 0; half < 2; half++) {
    const number = readElement(signature, at, whole.end);
    if (number?.type !== tag.integer) return null;
    let from = number.contentAt;
    while (from < number.end && signature[from] === 0) from += 1;
    const length = number.end - from;
    if (length > halfBytes) return null;
    plain.set(signature.subarray(from, number.end), (half + 1) * halfBytes - length);
    at = number.end;
  }
  return at === whole.end ? plain : null;
}

function derSignature(plain: Uint8Array): Uint8Array {
  return element(tag.sequence, unsigned(plain.subarray(0, halfBytes)), unsigned(plain.subarray(halfBytes)));
}

function utcTime(unixMs: number): Uint8Array {
  const text = new Date(unixMs).toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return element(tag.utcTime, new TextEncoder().encode(`${text}Z`));
}

function objectId(hex: string): Uint8Array {
  return concatBytes([Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))]);
}
