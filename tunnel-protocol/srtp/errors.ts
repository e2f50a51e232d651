/** Why a packet was refused. Codes are numbers, so that a refusal allocates nothing. */
export const srtpError = {
  /** Too short, not RTP version 2, or a header that is longer than the packet. */
  malformed: 1,
  /** The authentication tag does not match. */
  unauthenticated: 2,
  /** A packet with this index was accepted before. */
  replayed: 3,
  /** Older than the replay window reaches, so it cannot be told from a replay. */
  tooOld: 4,
  /** A new SSRC when as many as allowed are known already. */
  tooManySources: 5,
  /** The key has protected as many packets as it may (RFC 3711 section 9.2). */
  keyExhausted: 6,
  /** Sending only: this index was used before, or may have been; its keystream must not be used twice. */
  indexReused: 7,
} as const;

export type SrtpErrorName = keyof typeof srtpError;
export type SrtpError = (typeof srtpError)[SrtpErrorName];

/** Names by code; entry 0 is unused. */
const names: readonly SrtpErrorName[] = [
  'malformed',
  'malformed',
  'unauthenticated',
  'replayed',
  'tooOld',
  'tooManySources',
  'keyExhausted',
  'indexReused',
];

export function srtpErrorName(error: SrtpError): SrtpErrorName {
  return names[error] as SrtpErrorName;
}

export function isSrtpError(result: Uint8Array | SrtpError): result is SrtpError {
  return typeof result === 'number';
}

/** Packets by outcome: four kinds of success, and one count per reason of refusal. Many sessions may share one. */
export type SrtpCounters = Record<
  'protectedRtp' | 'protectedRtcp' | 'unprotectedRtp' | 'unprotectedRtcp' | SrtpErrorName,
  number
>;

export function createSrtpCounters(): SrtpCounters {
  return {
    protectedRtp: 0,
    protectedRtcp: 0,
    unprotectedRtp: 0,
    unprotectedRtcp: 0,
    malformed: 0,
    unauthenticated: 0,
    replayed: 0,
    tooOld: 0,
    tooManySources: 0,
    keyExhausted: 0,
    indexReused: 0,
  };
}
