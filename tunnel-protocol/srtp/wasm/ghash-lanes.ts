/**
 * GHASH of long packets, 16 blocks at a time: each of 16 lanes takes every 16th block, so that all are multiplied by one
 * constant, H^16. The product is looked up by half bytes in tables of 16 bytes, which byte shuffles read whole: what is
 * fetched from memory depends on neither key nor data, and neither does the time.
 *
 * A polynomial's byte j holds its coefficients from 8j on, the highest bit first. Vectors hold one byte of all 16 blocks.
 */
import { hashBlock, hashFirst, hashSecond, startHash } from './ghash';

/** Of a key's tables: 256 bytes for upper halves of bytes, and 256 for lower ones. */
export const laneTableBytes: usize = 512;
const lanes = 16;
const vectorBytes: usize = 16;
const groupBytes: usize = 256;

/** What is multiplied. Its product moves down by one vector for each byte of the factor. */
const factor = memory.data(256, 16);
const product = memory.data(544, 16);
const turned = memory.data(256, 16);
const half = memory.data(256, 16);
const row = memory.data(16, 16);
/** Zeros, associated data and text filled up to whole blocks, and the lengths. */
const message = memory.data(4352, 16);
/** The longest that {@link hashLanes} takes, associated data and text together. */
export const maxLaneBytes = 4096;

/** x^128 = 1 + x + x^2 + x^7: what a byte that leaves at the end adds to the first two, by its upper and its lower half. */
const wrapFirst = memory.data(32, 16);
const wrapSecond = memory.data(32, 16);
let wrapsMade = false;

function makeWraps(): void {
  for (let n: u32 = 0; n < 16; n++) {
    for (let lower: u32 = 0; lower < 2; lower++) {
      const byte = (lower === 0 ? n << 4 : n) << 8;
      const wrapped = byte ^ (byte >> 1) ^ (byte >> 2) ^ (byte >> 7);
      store<u8>(wrapFirst + lower * 16 + n, <u8>(wrapped >> 8));
      store<u8>(wrapSecond + lower * 16 + n, <u8>wrapped);
    }
  }
  wrapsMade = true;
}

/** Of a block as it stands in memory. */
function timesX(block: usize): void {
  const high = bswap<u64>(load<u64>(block));
  const low = bswap<u64>(load<u64>(block, 8));
  const wrapped = (0 - (low & 1)) & 0xe100000000000000;
  store<u64>(block, bswap<u64>((high >> 1) ^ wrapped));
  store<u64>(block, bswap<u64>((low >> 1) | (high << 63)), 8);
}

/** `context` is the key's of `setHashKey`, made before. */
export function setLaneTables(tables: usize, context: usize, h: usize): void {
  if (!wrapsMade) makeWraps();
  startHash();
  hashBlock(context, bswap<u64>(load<u64>(h)), bswap<u64>(load<u64>(h, 8)));
  for (let power = 2; power < lanes; power++) hashBlock(context, 0, 0);
  store<u64>(row, hashFirst());
  store<u64>(row, hashSecond(), 8);
  memory.fill(tables, 0, laneTableBytes);
  for (let bit: usize = 0; bit < 8; bit++) {
    const table = tables + (bit < 4 ? 0 : groupBytes);
    const mask: usize = 8 >> (bit & 3);
    for (let n: usize = 0; n < 16; n++) {
      if ((n & mask) === 0) continue;
      for (let k: usize = 0; k < vectorBytes; k++) {
        const at = table + k * vectorBytes + n;
        store<u8>(at, load<u8>(at) ^ load<u8>(row + k));
      }
    }
    timesX(row);
  }
  memory.fill(row, 0, vectorBytes);
}

@inline
function interleave(first: usize, second: usize, to: usize): void {
  const a = v128.load(first);
  const b = v128.load(second);
  v128.store(to, v128.shuffle<u8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  v128.store(to, v128.shuffle<u8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
}

@inline
function interleaveAll(from: usize, to: usize): void {
  for (let i: usize = 0; i < 128; i += vectorBytes) interleave(from + i, from + i + 128, to + i * 2);
}

/** 16 blocks into vectors of one byte each, or back. */
function transpose(from: usize, to: usize): void {
  interleaveAll(from, half);
  interleaveAll(half, to);
  interleaveAll(to, half);
  interleaveAll(half, to);
}

/** `factor` times the constant of the tables, in place: Horner's rule by bytes, the last one first. */
function multiplyLanes(tables: usize): void {
  memory.fill(product, 0, 544);
  let at = product + groupBytes + vectorBytes;
  const lowerBits = i8x16.splat(15);
  const firstUpper = v128.load(wrapFirst);
  const firstLower = v128.load(wrapFirst, 16);
  const secondUpper = v128.load(wrapSecond);
  const secondLower = v128.load(wrapSecond, 16);
  for (let from = factor + groupBytes - vectorBytes; from >= factor; from -= vectorBytes) {
    const leaving = v128.load(at, 240);
    // One byte up: all vectors are one place further on from here.
    at -= vectorBytes;
    const bytes = v128.load(from);
    const upper = v128.shr<u8>(bytes, 4);
    const lower = v128.and(bytes, lowerBits);
    let sum: v128;
    sum = v128.xor(v128.swizzle(v128.load(tables, 0), upper), v128.swizzle(v128.load(tables, 256), lower));
    v128.store(at, sum);
    sum = v128.xor(v128.swizzle(v128.load(tables, 16), upper), v128.swizzle(v128.load(tables, 272), lower));
    v128.store(at, v128.xor(v128.load(at, 16), sum), 16);
    sum = v128.xor(v128.swizzle(v128.load(tables, 32), upper), v128.swizzle(v128.load(tables, 288), lower));
    v128.store(at, v128.xor(v128.load(at, 32), sum), 32);
    sum = v128.xor(v128.swizzle(v128.load(tables, 48), upper), v128.swizzle(v128.load(tables, 304), lower));
    v128.store(at, v128.xor(v128.load(at, 48), sum), 48);
    sum = v128.xor(v128.swizzle(v128.load(tables, 64), upper), v128.swizzle(v128.load(tables, 320), lower));
    v128.store(at, v128.xor(v128.load(at, 64), sum), 64);
    sum = v128.xor(v128.swizzle(v128.load(tables, 80), upper), v128.swizzle(v128.load(tables, 336), lower));
    v128.store(at, v128.xor(v128.load(at, 80), sum), 80);
    sum = v128.xor(v128.swizzle(v128.load(tables, 96), upper), v128.swizzle(v128.load(tables, 352), lower));
    v128.store(at, v128.xor(v128.load(at, 96), sum), 96);
    sum = v128.xor(v128.swizzle(v128.load(tables, 112), upper), v128.swizzle(v128.load(tables, 368), lower));
    v128.store(at, v128.xor(v128.load(at, 112), sum), 112);
    sum = v128.xor(v128.swizzle(v128.load(tables, 128), upper), v128.swizzle(v128.load(tables, 384), lower));
    v128.store(at, v128.xor(v128.load(at, 128), sum), 128);
    sum = v128.xor(v128.swizzle(v128.load(tables, 144), upper), v128.swizzle(v128.load(tables, 400), lower));
    v128.store(at, v128.xor(v128.load(at, 144), sum), 144);
    sum = v128.xor(v128.swizzle(v128.load(tables, 160), upper), v128.swizzle(v128.load(tables, 416), lower));
    v128.store(at, v128.xor(v128.load(at, 160), sum), 160);
    sum = v128.xor(v128.swizzle(v128.load(tables, 176), upper), v128.swizzle(v128.load(tables, 432), lower));
    v128.store(at, v128.xor(v128.load(at, 176), sum), 176);
    sum = v128.xor(v128.swizzle(v128.load(tables, 192), upper), v128.swizzle(v128.load(tables, 448), lower));
    v128.store(at, v128.xor(v128.load(at, 192), sum), 192);
    sum = v128.xor(v128.swizzle(v128.load(tables, 208), upper), v128.swizzle(v128.load(tables, 464), lower));
    v128.store(at, v128.xor(v128.load(at, 208), sum), 208);
    sum = v128.xor(v128.swizzle(v128.load(tables, 224), upper), v128.swizzle(v128.load(tables, 480), lower));
    v128.store(at, v128.xor(v128.load(at, 224), sum), 224);
    sum = v128.xor(v128.swizzle(v128.load(tables, 240), upper), v128.swizzle(v128.load(tables, 496), lower));
    v128.store(at, v128.xor(v128.load(at, 240), sum), 240);
    const leavingUpper = v128.shr<u8>(leaving, 4);
    const leavingLower = v128.and(leaving, lowerBits);
    sum = v128.xor(v128.swizzle(firstUpper, leavingUpper), v128.swizzle(firstLower, leavingLower));
    v128.store(at, v128.xor(v128.load(at), sum));
    sum = v128.xor(v128.swizzle(secondUpper, leavingUpper), v128.swizzle(secondLower, leavingLower));
    v128.store(at, v128.xor(v128.load(at, 16), sum), 16);
  }
  memory.copy(factor, at, groupBytes);
}

/** RFC 7714 section 8.2: associated data and text, each filled up with zeros, and their lengths. Leaves the hash. */
export function hashLanes(
  context: usize,
  tables: usize,
  associated: usize,
  associatedLength: i32,
  text: usize,
  textLength: i32,
): void {
  const associatedBlocks = (associatedLength + 15) / 16;
  const blocks = associatedBlocks + (textLength + 15) / 16 + 1;
  const groups = (blocks + lanes - 1) / lanes;
  // Zeros in front change nothing.
  let at = message + <usize>(groups * lanes - blocks) * 16;
  const end = message + <usize>groups * groupBytes;
  memory.fill(message, 0, at - message);
  memory.copy(at, associated, associatedLength);
  memory.fill(at + associatedLength, 0, <usize>(associatedBlocks * 16 - associatedLength));
  at += <usize>associatedBlocks * 16;
  memory.copy(at, text, textLength);
  memory.fill(at + textLength, 0, end - 16 - at - textLength);
  store<u64>(end - 16, bswap<u64>((<u64>associatedLength) << 3));
  store<u64>(end - 8, bswap<u64>((<u64>textLength) << 3));

  transpose(message, factor);
  for (let group = message + groupBytes; group < end; group += groupBytes) {
    multiplyLanes(tables);
    transpose(group, turned);
    for (let i: usize = 0; i < groupBytes; i += vectorBytes) {
      v128.store(factor + i, v128.xor(v128.load(factor + i), v128.load(turned + i)));
    }
  }
  transpose(factor, turned);
  startHash();
  for (let block = turned; block < turned + groupBytes; block += 16) {
    hashBlock(context, bswap<u64>(load<u64>(block)), bswap<u64>(load<u64>(block, 8)));
  }
}
