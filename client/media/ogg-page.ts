/** Ogg pages (RFC 3533 section 6). */
import { FileFault } from './file-fault.ts';

export const oggFlag = { continued: 1, first: 2, last: 4 } as const;
const headerBytes = 27;

export interface OggPage {
  readonly flags: number;
  /** In Opus: 48 kHz samples until the end of the last packet that ends on this page; -1 when none does. */
  readonly granule: bigint;
  readonly serial: number;
  readonly sequence: number;
  /** Lacing values: a packet is a run of 255s and the first value below. */
  readonly lacing: Uint8Array;
  /** A view of the file when parsed. */
  readonly body: Uint8Array;
}

/** The page at `at`, with its length in bytes; its checksum was right. */
export function parseOggPage(file: Uint8Array, at: number): { page: OggPage; length: number } | FileFault {
  const where = `at byte ${String(at)}`;
  if (at + headerBytes > file.length) return new FileFault(`a page is cut off ${where}`);
  const view = new DataView(file.buffer, file.byteOffset + at, file.byteLength - at);
  if (view.getUint32(0) !== capturePattern) return new FileFault(`no Ogg page begins ${where}`);
  if (view.getUint8(4) !== 0) return new FileFault(`the page ${where} has an unknown version`);
  const segments = view.getUint8(26);
  const lacingEnd = headerBytes + segments;
  if (at + lacingEnd > file.length) return new FileFault(`a page is cut off ${where}`);
  const lacing = file.subarray(at + headerBytes, at + lacingEnd);
  let bodyBytes = 0;
  for (const value of lacing) bodyBytes += value;
  const length = lacingEnd + bodyBytes;
  if (at + length > file.length) return new FileFault(`a page is cut off ${where}`);
  if (view.getUint32(22, true) !== checksum(file.subarray(at, at + length))) {
    return new FileFault(`the page ${where} has a wrong checksum`);
  }
  const page: OggPage = {
    flags: view.getUint8(5),
    granule: view.getBigInt64(6, true),
    serial: view.getUint32(14, true),
    sequence: view.getUint32(18, true),
    lacing,
    body: file.subarray(at + lacingEnd, at + length),
  };
  return { page, length };
}

export function encodeOggPage(page: OggPage): Uint8Array {
  const bytes = new Uint8Array(headerBytes + page.lacing.length + page.body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, capturePattern);
  view.setUint8(5, page.flags);
  view.setBigInt64(6, page.granule, true);
  view.setUint32(14, page.serial, true);
  view.setUint32(18, page.sequence, true);
  view.setUint8(26, page.lacing.length);
  bytes.set(page.lacing, headerBytes);
  bytes.set(page.body, headerBytes + page.lacing.length);
  view.setUint32(22, checksum(bytes), true);
  return bytes;
}

/** "OggS" */
const capturePattern = 0x4f676753;
const checksumAt = 22;

/** CRC-32 of polynomial 0x04c11db7, neither reflected nor inverted, over the page with its checksum field as zeros. */
function checksum(page: Uint8Array): number {
  let crc = 0;
  for (let i = 0; i < page.length; i++) {
    const byte = i >= checksumAt && i < checksumAt + 4 ? 0 : (page[i] as number);
    crc = ((crc << 8) ^ (crcTable[((crc >>> 24) ^ byte) & 0xff] as number)) >>> 0;
  }
  return crc;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index << 24;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000_0000) !== 0 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1;
  return crc >>> 0;
});
