/** Certificate, CertificateRequest and CertificateVerify (RFC 5246 sections 7.4.2, 7.4.4, 7.4.8). */
import { signatureScheme } from './hello.ts';
import { Reader } from './reader.ts';

const ecdsaSign = 64;

/** The DER of every certificate in the list; null when the body is not exactly a list. */
export function decodeCertificates(body: Uint8Array): Uint8Array[] | null {
  const reader = new Reader(body);
  const list = new Reader(reader.bytes(reader.u24()));
  const certificates: Uint8Array[] = [];
  while (list.more()) certificates.push(list.bytes(list.u24()));
  return reader.complete() && list.complete() ? certificates : null;
}

export interface CertificateVerify {
  readonly scheme: number;
  readonly signature: Uint8Array;
}

export function decodeCertificateVerify(body: Uint8Array): CertificateVerify | null {
  const reader = new Reader(body);
  const scheme = reader.u16();
  const signature = reader.bytes(reader.u16());
  return reader.complete() ? { scheme, signature } : null;
}

/** Whether a certificate of ours will do: ECDSA with P-256. Null when the body is not exactly a CertificateRequest. */
export function requestTakesEcdsa(body: Uint8Array): boolean | null {
  const reader = new Reader(body);
  const types = reader.bytes(reader.u8());
  const schemes = reader.u16List(reader.u16());
  reader.bytes(reader.u16());
  if (!reader.complete()) return null;
  return types.includes(ecdsaSign) && schemes.includes(signatureScheme.ecdsaSecp256r1Sha256);
}
