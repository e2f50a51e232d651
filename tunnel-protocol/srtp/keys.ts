/** SRTP protection profiles of DTLS-SRTP, by IANA name (RFC 5764 section 4.1.2, RFC 7714 section 14.2). */
export type SrtpProfile = 'AEAD_AES_128_GCM' | 'AES_CM_128_HMAC_SHA1_80';

/** What a DTLS handshake exports for SRTP: 16-byte keys; salts of 12 bytes (GCM) or 14 bytes (AES-CM). */
export interface SrtpKeyMaterial {
  readonly profile: SrtpProfile;
  readonly localKey: Uint8Array;
  readonly localSalt: Uint8Array;
  readonly remoteKey: Uint8Array;
  readonly remoteSalt: Uint8Array;
}
