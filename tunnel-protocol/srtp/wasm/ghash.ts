/**
 * GHASH (NIST SP 800-38D section 6.4) without tables: carry-less products are made of integer multiplications whose operands
 * have three zero bits between any two that count, so that carries cannot reach the next one. No memory access and no
 * branch depends on a key or on data.
 */

/** Low 64 bits of the carry-less product. */
@inline
function multiply(x: u64, y: u64): u64 {
  const x0 = x & 0x1111111111111111;
  const x1 = x & 0x2222222222222222;
  const x2 = x & 0x4444444444444444;
  const x3 = x & 0x8888888888888888;
  const y0 = y & 0x1111111111111111;
  const y1 = y & 0x2222222222222222;
  const y2 = y & 0x4444444444444444;
  const y3 = y & 0x8888888888888888;
  const z0 = (x0 * y0) ^ (x1 * y3) ^ (x2 * y2) ^ (x3 * y1);
  const z1 = (x0 * y1) ^ (x1 * y0) ^ (x2 * y3) ^ (x3 * y2);
  const z2 = (x0 * y2) ^ (x1 * y1) ^ (x2 * y0) ^ (x3 * y3);
  const z3 = (x0 * y3) ^ (x1 * y2) ^ (x2 * y1) ^ (x3 * y0);
  return (
    (z0 & 0x1111111111111111) |
    (z1 & 0x2222222222222222) |
    (z2 & 0x4444444444444444) |
    (z3 & 0x8888888888888888)
  );
}

/** The bits of a word in opposite order. */
@inline
function reversed(x: u64): u64 {
  let r = bswap<u64>(x);
  r = ((r & 0x0f0f0f0f0f0f0f0f) << 4) | ((r >> 4) & 0x0f0f0f0f0f0f0f0f);
  r = ((r & 0x3333333333333333) << 2) | ((r >> 2) & 0x3333333333333333);
  return ((r & 0x5555555555555555) << 1) | ((r >> 1) & 0x5555555555555555);
}

/** Of a key: the halves of H, their sum, and the same with bits reversed. 48 bytes. */
export function setHashKey(context: usize, h: usize): void {
  const high = bswap<u64>(load<u64>(h));
  const low = bswap<u64>(load<u64>(h, 8));
  store<u64>(context, low);
  store<u64>(context, high, 8);
  store<u64>(context, low ^ high, 16);
  store<u64>(context, reversed(low), 24);
  store<u64>(context, reversed(high), 32);
  store<u64>(context, reversed(low) ^ reversed(high), 40);
}

let low: u64 = 0;
let high: u64 = 0;

@inline
export function startHash(): void {
  low = 0;
  high = 0;
}

/** Words of the hash as they stand in memory. */
@inline
export function hashFirst(): u64 {
  return bswap<u64>(high);
}

@inline
export function hashSecond(): u64 {
  return bswap<u64>(low);
}

const partial = memory.data(16);

/** Takes `length` bytes at `from`, filled up with zeros to whole blocks. */
export function hashBytes(context: usize, from: usize, length: i32): void {
  while (length >= 16) {
    hashBlock(context, bswap<u64>(load<u64>(from)), bswap<u64>(load<u64>(from, 8)));
    from += 16;
    length -= 16;
  }
  if (length > 0) {
    store<u64>(partial, 0);
    store<u64>(partial, 0, 8);
    memory.copy(partial, from, length);
    hashBlock(context, bswap<u64>(load<u64>(partial)), bswap<u64>(load<u64>(partial, 8)));
  }
}

/** hash = (hash XOR block) × H. */
export function hashBlock(context: usize, first: u64, second: u64): void {
  const y0 = low ^ second;
  const y1 = high ^ first;
  const y0r = reversed(y0);
  const y1r = reversed(y1);
  // Karatsuba: three products for four, and each once more reversed, which gives its upper half.
  const z0 = multiply(y0, load<u64>(context));
  const z1 = multiply(y1, load<u64>(context, 8));
  const z2 = multiply(y0 ^ y1, load<u64>(context, 16)) ^ z0 ^ z1;
  let z0h = multiply(y0r, load<u64>(context, 24));
  let z1h = multiply(y1r, load<u64>(context, 32));
  let z2h = multiply(y0r ^ y1r, load<u64>(context, 40)) ^ z0h ^ z1h;
  z0h = reversed(z0h) >> 1;
  z1h = reversed(z1h) >> 1;
  z2h = reversed(z2h) >> 1;
  // GCM counts bits from the other end, which leaves the product one bit off.
  let v3 = z1h;
  let v2 = z1 ^ z2h;
  let v1 = z0h ^ z2;
  let v0 = z0;
  v3 = (v3 << 1) | (v2 >> 63);
  v2 = (v2 << 1) | (v1 >> 63);
  v1 = (v1 << 1) | (v0 >> 63);
  v0 = v0 << 1;
  // Modulo x^128 + x^7 + x^2 + x + 1.
  v2 ^= v0 ^ (v0 >> 1) ^ (v0 >> 2) ^ (v0 >> 7);
  v1 ^= (v0 << 63) ^ (v0 << 62) ^ (v0 << 57);
  v3 ^= v1 ^ (v1 >> 1) ^ (v1 >> 2) ^ (v1 >> 7);
  v2 ^= (v1 << 63) ^ (v1 << 62) ^ (v1 << 57);
  low = v2;
  high = v3;
}
