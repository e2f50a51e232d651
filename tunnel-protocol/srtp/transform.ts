import type { SrtpError } from './errors.ts';

/**
 * SRTP and SRTCP of one transport, both ways (RFC 3711). Callers hold this type, so that another implementation can
 * take the place of {@link SrtpSession}.
 *
 * Input is borrowed: it is neither changed nor kept. A result is a region that nobody else reads or writes, given to
 * the caller for good; it may share its `ArrayBuffer` with other packets, so never transfer or detach `.buffer`.
 * Nothing throws for what a packet holds: a refusal is a number (see `isSrtpError`), and counted.
 */
export interface SrtpTransform {
  /**
   * Each SSRC and extended sequence number once: to send a packet again, keep the protected bytes. A packet more than
   * 1024 behind the SSRC's highest is refused too, as `indexReused`.
   */
  protectRtp(packet: Uint8Array): Uint8Array | SrtpError;
  /** A whole compound packet. */
  protectRtcp(packet: Uint8Array): Uint8Array | SrtpError;
  unprotectRtp(packet: Uint8Array): Uint8Array | SrtpError;
  unprotectRtcp(packet: Uint8Array): Uint8Array | SrtpError;
}
