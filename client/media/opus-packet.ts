/** The first bytes of an Opus packet (RFC 6716 section 3.1). */

/** Samples per frame at 48 kHz by configuration number (table 2): SILK, hybrid and CELT modes. */
const silkSamples = [480, 960, 1920, 2880] as const;
const hybridSamples = [480, 960] as const;
const celtSamples = [120, 240, 480, 960] as const;
const maxSamples = 5760;

/** How long a packet plays, in samples at 48 kHz; 0 when it is none. */
export function opusSamples(packet: Uint8Array): number {
  const toc = packet[0];
  if (toc === undefined) return 0;
  const configuration = toc >>> 3;
  const perFrame =
    configuration < 12
      ? (silkSamples[configuration & 3] as number)
      : configuration < 16
        ? (hybridSamples[configuration & 1] as number)
        : (celtSamples[configuration & 3] as number);
  const code = toc & 3;
  let frames = 2;
  if (code === 0) frames = 1;
  else if (code === 3) frames = (packet[1] ?? 0) & 0x3f;
  const samples = frames * perFrame;
  return samples <= maxSamples ? samples : 0;
}
