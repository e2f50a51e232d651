/** The implicit packet index: rollover counter × 2^16 + sequence number (RFC 3711 section 3.3.1). */

/** Indices have 48 bits; one key protects no more packets than that (RFC 3711 section 9.2). */
export const maxRtpPackets = 2 ** 48;
/** SRTCP indices have 31 bits. */
export const maxRtcpPackets = 2 ** 31;

/**
 * RFC 3711 appendix A: the index that lies nearest to the highest one seen. It never is negative: a stream begins with
 * rollover counter 0. May be 2^48, which no packet can have.
 */
export function estimatePacketIndex(highest: number, sequenceNumber: number): number {
  // Bitwise operators take a number modulo 2^32, so the low 16 bits of a 48-bit index come out right.
  const low = highest & 0xffff;
  const base = highest - low;
  if (low < 0x8000) {
    if (sequenceNumber - low > 0x8000 && base > 0) return base - 0x1_0000 + sequenceNumber;
  } else if (low - 0x8000 > sequenceNumber) {
    return base + 0x1_0000 + sequenceNumber;
  }
  return base + sequenceNumber;
}

/** The upper 32 bits of an index. */
export function rolloverCounter(index: number): number {
  return Math.floor(index / 0x1_0000);
}
