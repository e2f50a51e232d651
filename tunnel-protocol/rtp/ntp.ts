/** NTP timestamps of sender reports (RFC 3550 section 4). */
export interface NtpTime {
  /** Since 1 January 1900. */
  readonly seconds: number;
  /** In units of 2^-32 s. */
  readonly fraction: number;
}

const unixEpochInNtpSeconds = 2_208_988_800;

/** `unixMs` may have a fraction. */
export function ntpFromUnixMs(unixMs: number): NtpTime {
  const seconds = Math.floor(unixMs / 1000);
  const fraction = Math.floor((unixMs / 1000 - seconds) * 0x1_0000_0000);
  return { seconds: (seconds + unixEpochInNtpSeconds) >>> 0, fraction };
}

/** Good until 2036, when NTP's era 0 ends. */
export function unixMsFromNtp(time: NtpTime): number {
  return (time.seconds - unixEpochInNtpSeconds + time.fraction / 0x1_0000_0000) * 1000;
}

/** The middle 32 bits, in units of 1/65536 s: what report blocks hand back as LSR. */
export function middleOfNtp(time: NtpTime): number {
  return (((time.seconds & 0xffff) << 16) | (time.fraction >>> 16)) >>> 0;
}
