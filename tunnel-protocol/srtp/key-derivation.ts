/** Session keys from a master key: RFC 3711 section 4.3, RFC 7714 section 11. The key derivation rate is 0. */
import type { SrtpCrypto } from './crypto.ts';

/** Labels of RFC 3711 section 4.3.2. */
export const srtpLabel = {
  rtpEncryption: 0,
  rtpAuthentication: 1,
  rtpSalt: 2,
  rtcpEncryption: 3,
  rtcpAuthentication: 4,
  rtcpSalt: 5,
} as const;
export type SrtpLabel = (typeof srtpLabel)[keyof typeof srtpLabel];

/**
 * `masterSalt` is 14 bytes, or 12 (GCM), which stand for 14 with zeros behind (RFC 7714 section 11).
 * The result is `length` bytes of AES-CM keystream whose counter starts at salt XOR (label, index 0).
 */
export function deriveSrtpKey(
  crypto: SrtpCrypto,
  masterKey: Uint8Array,
  masterSalt: Uint8Array,
  label: SrtpLabel,
  length: number,
): Uint8Array {
  const blocks = new Uint8Array(Math.ceil(length / 16) * 16);
  for (let at = 0; at < blocks.length; at += 16) {
    blocks.set(masterSalt, at);
    blocks[at + 7] = (blocks[at + 7] as number) ^ label;
    blocks[at + 15] = at / 16;
  }
  return crypto.aesBlocks(masterKey)(blocks).slice(0, length);
}
