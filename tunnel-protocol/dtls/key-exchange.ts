/** ServerKeyExchange and ClientKeyExchange with ephemeral elliptic curve keys (RFC 8422 sections 5.4, 5.7). */
import { equalBytes } from '../bytes.ts';
import { namedGroup } from './hello.ts';
import { Reader } from './reader.ts';

const namedCurve = 3;

export interface ServerKeyExchange {
  readonly group: number;
  readonly publicKey: Uint8Array;
  /** What the signature covers, after both randoms. */
  readonly params: Uint8Array;
  readonly scheme: number;
  readonly signature: Uint8Array;
}

/** Null when the body is not exactly that, or the curve is not a named one. */
export function decodeServerKeyExchange(body: Uint8Array): ServerKeyExchange | null {
  const reader = new Reader(body);
  const curveType = reader.u8();
  const group = reader.u16();
  const publicKey = reader.bytes(reader.u8());
  const params = body.subarray(0, 4 + publicKey.length);
  const scheme = reader.u16();
  const signature = reader.bytes(reader.u16());
  return reader.complete() && curveType === namedCurve ? { group, publicKey, params, scheme, signature } : null;
}

/** The client's public key; null when the body is not exactly that. */
export function decodeClientKeyExchange(body: Uint8Array): Uint8Array | null {
  const reader = new Reader(body);
  const publicKey = reader.bytes(reader.u8());
  return reader.complete() ? publicKey : null;
}

/**
 * Whether a public key has the shape that its group demands. That a P-256 point is on the curve is left to the
 * implementation, which throws. X25519 has no such check, so the points that would make the secret zero are refused
 * here (RFC 8422 section 5.11).
 */
export function isKeyShare(group: number, publicKey: Uint8Array): boolean {
  if (group === namedGroup.secp256r1) return publicKey.length === 65 && publicKey[0] === 4;
  if (group !== namedGroup.x25519 || publicKey.length !== 32) return false;
  const masked = publicKey.slice();
  masked[31] = (masked[31] as number) & 0x7f;
  return !lowOrderPoints.some((point) => equalBytes(point, masked));
}

/** The u-coordinates of order 1, 2, 4 and 8 on Curve25519 and its twist, little-endian, and those not reduced. */
const lowOrderPoints = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
].map((hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
