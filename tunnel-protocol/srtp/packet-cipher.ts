import type { SrtpCrypto } from './crypto.ts';
import { deriveSrtpKey, srtpLabel } from './key-derivation.ts';

/**
 * How one profile turns packets of one direction into protected ones and back. The session has checked lengths and
 * indices; `index` is the packet index of RTP (48 bits), the SRTCP index (31 bits) of RTCP.
 */
export interface SrtpPacketCipher {
  readonly tagBytes: number;
  /** The longest packet, protected. */
  readonly maxPacketBytes: number;
  sealRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array;
  /** Null when the tag does not match. */
  openRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array | null;
  sealRtcp(packet: Uint8Array, index: number): Uint8Array;
  /** Where the word of E bit and SRTCP index stands in a protected packet of this length. */
  indexWordAt(packetBytes: number): number;
  openRtcp(packet: Uint8Array): Uint8Array | null;
}

/** The keys of one direction. Salts are 12 bytes (GCM) or 14 (AES-CM); authentication keys are for AES-CM only. */
export interface SrtpSessionKeys {
  readonly rtpKey: Uint8Array;
  readonly rtpSalt: Uint8Array;
  readonly rtpAuthentication: Uint8Array;
  readonly rtcpKey: Uint8Array;
  readonly rtcpSalt: Uint8Array;
  readonly rtcpAuthentication: Uint8Array;
}

export function deriveSessionKeys(crypto: SrtpCrypto, key: Uint8Array, salt: Uint8Array): SrtpSessionKeys {
  return {
    rtpKey: deriveSrtpKey(crypto, key, salt, srtpLabel.rtpEncryption, 16),
    rtpSalt: deriveSrtpKey(crypto, key, salt, srtpLabel.rtpSalt, salt.length),
    rtpAuthentication: deriveSrtpKey(crypto, key, salt, srtpLabel.rtpAuthentication, 20),
    rtcpKey: deriveSrtpKey(crypto, key, salt, srtpLabel.rtcpEncryption, 16),
    rtcpSalt: deriveSrtpKey(crypto, key, salt, srtpLabel.rtcpSalt, salt.length),
    rtcpAuthentication: deriveSrtpKey(crypto, key, salt, srtpLabel.rtcpAuthentication, 20),
  };
}

/** RTCP is encrypted from here on: header and the sender's SSRC stay in clear (RFC 3711 section 3.4). */
export const rtcpClearBytes = 8;
/** Length of the word of E bit and SRTCP index. */
export const indexWordBytes = 4;
/** The E bit: this SRTCP packet is encrypted. */
export const encryptedFlag = 0x8000_0000;
