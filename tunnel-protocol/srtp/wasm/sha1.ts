/** HMAC-SHA1 (RFC 2104, FIPS 180-4 section 6.1) with the two states that the key leads to kept: 40 bytes a key. */

const words = memory.data(320);
const block = memory.data(64);
const state = memory.data(20);
const blockBytes = 64;

@inline
function word(i: i32): u32 {
  return load<u32>(words + ((<usize>i) << 2));
}

/** One block; five rounds at a time, so that no variable has to be moved. */
function compress(from: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(words + i, bswap<u32>(load<u32>(from + i)));
  for (let i: usize = 64; i < 320; i += 4) {
    const at = words + i;
    store<u32>(at, rotl<u32>(load<u32>(at - 12) ^ load<u32>(at - 32) ^ load<u32>(at - 56) ^ load<u32>(at - 64), 1));
  }
  let a = load<u32>(state);
  let b = load<u32>(state, 4);
  let c = load<u32>(state, 8);
  let d = load<u32>(state, 12);
  let e = load<u32>(state, 16);
  let i = 0;
  for (; i < 20; i += 5) {
    e += rotl<u32>(a, 5) + (d ^ (b & (c ^ d))) + 0x5a827999 + word(i);
    b = rotl<u32>(b, 30);
    d += rotl<u32>(e, 5) + (c ^ (a & (b ^ c))) + 0x5a827999 + word(i + 1);
    a = rotl<u32>(a, 30);
    c += rotl<u32>(d, 5) + (b ^ (e & (a ^ b))) + 0x5a827999 + word(i + 2);
    e = rotl<u32>(e, 30);
    b += rotl<u32>(c, 5) + (a ^ (d & (e ^ a))) + 0x5a827999 + word(i + 3);
    d = rotl<u32>(d, 30);
    a += rotl<u32>(b, 5) + (e ^ (c & (d ^ e))) + 0x5a827999 + word(i + 4);
    c = rotl<u32>(c, 30);
  }
  for (; i < 40; i += 5) {
    e += rotl<u32>(a, 5) + (b ^ c ^ d) + 0x6ed9eba1 + word(i);
    b = rotl<u32>(b, 30);
    d += rotl<u32>(e, 5) + (a ^ b ^ c) + 0x6ed9eba1 + word(i + 1);
    a = rotl<u32>(a, 30);
    c += rotl<u32>(d, 5) + (e ^ a ^ b) + 0x6ed9eba1 + word(i + 2);
    e = rotl<u32>(e, 30);
    b += rotl<u32>(c, 5) + (d ^ e ^ a) + 0x6ed9eba1 + word(i + 3);
    d = rotl<u32>(d, 30);
    a += rotl<u32>(b, 5) + (c ^ d ^ e) + 0x6ed9eba1 + word(i + 4);
    c = rotl<u32>(c, 30);
  }
  for (; i < 60; i += 5) {
    e += rotl<u32>(a, 5) + ((b & c) | (d & (b | c))) + 0x8f1bbcdc + word(i);
    b = rotl<u32>(b, 30);
    d += rotl<u32>(e, 5) + ((a & b) | (c & (a | b))) + 0x8f1bbcdc + word(i + 1);
    a = rotl<u32>(a, 30);
    c += rotl<u32>(d, 5) + ((e & a) | (b & (e | a))) + 0x8f1bbcdc + word(i + 2);
    e = rotl<u32>(e, 30);
    b += rotl<u32>(c, 5) + ((d & e) | (a & (d | e))) + 0x8f1bbcdc + word(i + 3);
    d = rotl<u32>(d, 30);
    a += rotl<u32>(b, 5) + ((c & d) | (e & (c | d))) + 0x8f1bbcdc + word(i + 4);
    c = rotl<u32>(c, 30);
  }
  for (; i < 80; i += 5) {
    e += rotl<u32>(a, 5) + (b ^ c ^ d) + 0xca62c1d6 + word(i);
    b = rotl<u32>(b, 30);
    d += rotl<u32>(e, 5) + (a ^ b ^ c) + 0xca62c1d6 + word(i + 1);
    a = rotl<u32>(a, 30);
    c += rotl<u32>(d, 5) + (e ^ a ^ b) + 0xca62c1d6 + word(i + 2);
    e = rotl<u32>(e, 30);
    b += rotl<u32>(c, 5) + (d ^ e ^ a) + 0xca62c1d6 + word(i + 3);
    d = rotl<u32>(d, 30);
    a += rotl<u32>(b, 5) + (c ^ d ^ e) + 0xca62c1d6 + word(i + 4);
    c = rotl<u32>(c, 30);
  }
  store<u32>(state, load<u32>(state) + a);
  store<u32>(state, load<u32>(state, 4) + b, 4);
  store<u32>(state, load<u32>(state, 8) + c, 8);
  store<u32>(state, load<u32>(state, 12) + d, 12);
  store<u32>(state, load<u32>(state, 16) + e, 16);
}

/** `length` bytes at `from` end a message of `total` bytes. */
function finish(from: usize, length: i32, total: i32): void {
  while (length >= blockBytes) {
    compress(from);
    from += blockBytes;
    length -= blockBytes;
  }
  memory.fill(block, 0, blockBytes);
  memory.copy(block, from, length);
  store<u8>(block + length, 0x80);
  if (length >= 56) {
    compress(block);
    memory.fill(block, 0, blockBytes);
  }
  store<u32>(block, bswap<u32>(<u32>total << 3), 60);
  compress(block);
}

/** The state after the key's block, XORed with `pad`. */
function keyState(to: usize, key: usize, pad: u8): void {
  store<u32>(state, 0x67452301);
  store<u32>(state, 0xefcdab89, 4);
  store<u32>(state, 0x98badcfe, 8);
  store<u32>(state, 0x10325476, 12);
  store<u32>(state, 0xc3d2e1f0, 16);
  memory.fill(block, pad, blockBytes);
  for (let i: usize = 0; i < 20; i++) store<u8>(block + i, load<u8>(key + i) ^ pad);
  compress(block);
  memory.copy(to, state, 20);
}

/** `key` is 20 bytes. */
export function setMacKey(context: usize, key: usize): void {
  keyState(context, key, 0x36);
  keyState(context + 20, key, 0x5c);
}

const inner = memory.data(20);

/** Leaves the 20 bytes of the result at the address that is returned. */
export function mac(context: usize, from: usize, length: i32): usize {
  memory.copy(state, context, 20);
  finish(from, length, blockBytes + length);
  for (let i: usize = 0; i < 20; i += 4) store<u32>(inner + i, bswap<u32>(load<u32>(state + i)));
  memory.copy(state, context + 20, 20);
  finish(inner, 20, blockBytes + 20);
  for (let i: usize = 0; i < 20; i += 4) store<u32>(inner + i, bswap<u32>(load<u32>(state + i)));
  return inner;
}
