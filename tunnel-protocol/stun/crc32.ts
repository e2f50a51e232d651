/** CRC-32 of ITU-T V.42 (ISO 3309), reflected polynomial 0xEDB88320, a table of one entry per byte value. */

const table = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ ((remainder & 1) === 1 ? 0xedb88320 : 0);
  table[byte] = remainder;
}

/** The checksum of `bytes[0, end)`, unsigned. */
export function crc32(bytes: Uint8Array, end: number = bytes.length): number {
  let remainder = 0xffffffff;
  for (let i = 0; i < end; i++) {
    remainder = (remainder >>> 8) ^ (table[(remainder ^ (bytes[i] as number)) & 0xff] as number);
  }
  return ~remainder >>> 0;
}
