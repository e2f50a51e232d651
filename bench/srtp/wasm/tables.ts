/**
 * GHASH by tables: for each of the 16 byte positions of a block, the product of each of its 256 values with H. 64 KiB a key,
 * and which of it is read depends on the data. Only for comparison with `tunnel-protocol/srtp/wasm/ghash.ts`; exports and
 * jobs are those of `engine.ts` there, as far as packets are sealed.
 */

export function base(): usize {
  return (__heap_base + 15) & ~15;
}

/** Words stand as they do in packets: the first bit of the polynomial is the highest of the first byte. */
export function setHashKey(context: usize, h: usize): void {
  let high = bswap<u64>(load<u64>(h));
  let low = bswap<u64>(load<u64>(h, 8));
  for (let position: usize = 0; position < 16; position++) {
    const table = context + position * 4096;
    v128.store(table, i64x2.splat(0));
    for (let bit = 0x80; bit > 0; bit >>= 1) {
      const entry = table + (<usize>bit) * 16;
      store<u64>(entry, bswap<u64>(high));
      store<u64>(entry, bswap<u64>(low), 8);
      const carry = low & 1;
      low = (low >> 1) | (high << 63);
      high = (high >> 1) ^ (0xe100000000000000 & (0 - carry));
    }
    for (let value = 3; value < 256; value++) {
      const lowest = value & -value;
      if (lowest === value) continue;
      const rest = table + (<usize>(value ^ lowest)) * 16;
      v128.store(table + (<usize>value) * 16, v128.xor(v128.load(rest), v128.load(table + (<usize>lowest) * 16)));
    }
  }
}

let first: u64 = 0;
let second: u64 = 0;

@inline
function entry(context: usize, position: usize, byte: u64): v128 {
  return v128.load(context + position * 4096 + ((<usize>(byte & 0xff)) << 4));
}

function multiply(context: usize): void {
  const a = first;
  const b = second;
  let sum = v128.xor(entry(context, 0, a), entry(context, 1, a >> 8));
  sum = v128.xor(sum, v128.xor(entry(context, 2, a >> 16), entry(context, 3, a >> 24)));
  sum = v128.xor(sum, v128.xor(entry(context, 4, a >> 32), entry(context, 5, a >> 40)));
  sum = v128.xor(sum, v128.xor(entry(context, 6, a >> 48), entry(context, 7, a >> 56)));
  sum = v128.xor(sum, v128.xor(entry(context, 8, b), entry(context, 9, b >> 8)));
  sum = v128.xor(sum, v128.xor(entry(context, 10, b >> 16), entry(context, 11, b >> 24)));
  sum = v128.xor(sum, v128.xor(entry(context, 12, b >> 32), entry(context, 13, b >> 40)));
  sum = v128.xor(sum, v128.xor(entry(context, 14, b >> 48), entry(context, 15, b >> 56)));
  first = i64x2.extract_lane(sum, 0);
  second = i64x2.extract_lane(sum, 1);
}

const partial = memory.data(16);

function hashBytes(context: usize, from: usize, length: i32): void {
  for (; length >= 16; length -= 16, from += 16) {
    first ^= load<u64>(from);
    second ^= load<u64>(from, 8);
    multiply(context);
  }
  if (length === 0) return;
  v128.store(partial, i64x2.splat(0));
  memory.copy(partial, from, length);
  first ^= load<u64>(partial);
  second ^= load<u64>(partial, 8);
  multiply(context);
}

/** As in `engine.ts`. */
export function sealGcm(context: usize, jobs: usize, from: i32, stop: i32): void {
  for (let index = from; index !== stop; ) {
    const job = jobs + <usize>index * 48;
    const keystream = <usize>load<u32>(job, 40);
    const text = <usize>load<u32>(job, 8);
    const length = load<i32>(job, 12);
    let at: usize = 0;
    for (; at + 16 <= <usize>length; at += 16) {
      v128.store(text + at, v128.xor(v128.load(text + at), v128.load(keystream + 16 + at)));
    }
    for (; at < <usize>length; at++) store<u8>(text + at, load<u8>(text + at) ^ load<u8>(keystream + 16 + at));
    first = 0;
    second = 0;
    hashBytes(context, load<u32>(job), load<i32>(job, 4));
    hashBytes(context, text, length);
    first ^= bswap<u64>((<u64>load<u32>(job, 4)) << 3);
    second ^= bswap<u64>((<u64>length) << 3);
    multiply(context);
    store<u64>(text + <usize>length, first ^ load<u64>(keystream));
    store<u64>(text + <usize>length, second ^ load<u64>(keystream, 8), 8);
    index = load<i32>(job, 36);
  }
}
