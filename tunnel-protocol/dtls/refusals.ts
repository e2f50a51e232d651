/** Why a handshake message is refused, and what a session may end with. */

/** Code, and the sentence for it. Each is counted as `refused_<code>`. */
export const dtlsRefusals = {
  unexpected_message: 'The message has no place at this point of the handshake.',
  malformed_message: 'The message does not have the shape that its type demands.',
  version: 'DTLS 1.2 is not among what the peer speaks.',
  cipher_suite: 'No common cipher suite of ECDHE with AES-128-GCM.',
  key_share: 'The key exchange is not a valid public key of X25519 or P-256.',
  srtp_profile: 'No common SRTP protection profile.',
  extended_master_secret: 'The peer does not do extended master secret (RFC 7627).',
  extension: 'The server answered an extension that nobody offered, or one twice.',
  no_certificate: 'The peer shows no certificate, or several.',
  fingerprint: 'The certificate is not the one of signalling.',
  signature_scheme: 'A signature scheme that was not offered, or does not fit the key.',
  certificate_verify: 'The signature over the handshake is not by the certificate of the client.',
  server_key_exchange: 'The signature over the key exchange is not by the certificate of the server.',
  certificate_request: 'The server accepts no ECDSA P-256 certificate.',
  finished: 'The Finished message does not match the handshake.',
  engine: 'The handshake implementation threw.',
} as const;
export type DtlsRefusal = keyof typeof dtlsRefusals;

/** What `onClosed` says. Refusals give `refused-<code>`. */
export type DtlsCloseReason = 'close-notify' | 'peer-alert' | 'timeout' | `refused-${DtlsRefusal}`;
