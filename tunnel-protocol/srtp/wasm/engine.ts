/**
 * The arithmetic of SRTP but for AES, on packets in this memory (RFC 3711, RFC 7714). Written in AssemblyScript; `npm run
 * build` compiles it. `engine.ts` beside this folder lays out the memory from `base` on, and makes the keystream.
 *
 * A job is one packet, 48 bytes: 12 words of which 0–3 say where its associated data and its text are and how long they
 * are, 4–7 are its first counter block, 8 is the rollover counter, 9 the next job of the same key (-1: none), and 10
 * where its keystream is. The tag stands behind the text.
 */
import { hashBytes, hashBlock, hashFirst, hashSecond, setHashKey as setKey, startHash } from './ghash';
import { hashLanes, maxLaneBytes, setLaneTables } from './ghash-lanes';
import { mac, setMacKey } from './sha1';

export { setMacKey };

const jobBytes: usize = 48;

export function base(): usize {
  return (__heap_base + 15) & ~15;
}

@inline
function text(job: usize): usize {
  return load<u32>(job, 8);
}

@inline
function textLength(job: usize): i32 {
  return load<i32>(job, 12);
}

let resumeAt: i32 = -1;

/** The first job whose counters had no room; -1 when all had. */
export function unfilled(): i32 {
  return resumeAt;
}

/**
 * Writes the counter blocks of a chain of jobs from `first` on, up to `room` bytes at `to`; returns how many. GCM's begin
 * with the block that masks the tag. `keystream` is where the cipher's output will be.
 */
export function fill(jobs: usize, first: i32, to: usize, room: i32, keystream: usize, gcm: bool): i32 {
  let at = to;
  const end = to + room;
  let index = first;
  while (index >= 0) {
    const job = jobs + <usize>index * jobBytes;
    const blocks = (textLength(job) + 15) / 16 + (gcm ? 1 : 0);
    if (at + <usize>blocks * 16 > end) break;
    store<u32>(job, <u32>(keystream + (at - to)), 40);
    const first = bswap<u32>(load<u32>(job, 16));
    const second = bswap<u32>(load<u32>(job, 20));
    const third = bswap<u32>(load<u32>(job, 24));
    let fourth = load<u32>(job, 28);
    if (gcm) fourth = 1;
    for (let i = 0; i < blocks; i++) {
      store<u32>(at, first);
      store<u32>(at, second, 4);
      store<u32>(at, third, 8);
      store<u32>(at, bswap<u32>(fourth + i), 12);
      at += 16;
    }
    index = load<i32>(job, 36);
  }
  resumeAt = index;
  return <i32>(at - to);
}

@inline
function applyKeystream(at: usize, keystream: usize, length: i32): void {
  while (length >= 16) {
    v128.store(at, v128.xor(v128.load(at), v128.load(keystream)));
    at += 16;
    keystream += 16;
    length -= 16;
  }
  while (length > 0) {
    store<u8>(at, load<u8>(at) ^ load<u8>(keystream));
    at++;
    keystream++;
    length--;
  }
}

/** Where a key's tables for long packets are in its context. */
const tablesAt: usize = 64;
/** From here on, in bytes, 16 lanes are faster than one block after the other. */
const longText = 512;

/** `h` is AES of zero. A context takes 576 bytes. */
export function setHashKey(context: usize, h: usize): void {
  setKey(context, h);
  setLaneTables(context + tablesAt, context, h);
}

/** RFC 7714 section 8.2 over associated data and ciphertext. */
function hashJob(context: usize, job: usize): void {
  if (textLength(job) >= longText && load<i32>(job, 4) + textLength(job) <= maxLaneBytes - 32) {
    hashLanes(context, context + tablesAt, load<u32>(job), load<i32>(job, 4), text(job), textLength(job));
    return;
  }
  startHash();
  hashBytes(context, load<u32>(job), load<i32>(job, 4));
  hashBytes(context, text(job), textLength(job));
  hashBlock(context, (<u64>load<u32>(job, 4)) << 3, (<u64>textLength(job)) << 3);
}

/** Encrypts and signs the chain from `first` up to `stop`. */
export function sealGcm(context: usize, jobs: usize, first: i32, stop: i32): void {
  let index = first;
  while (index !== stop) {
    const job = jobs + <usize>index * jobBytes;
    const keystream = <usize>load<u32>(job, 40);
    const length = textLength(job);
    applyKeystream(text(job), keystream + 16, length);
    hashJob(context, job);
    const tag = text(job) + <usize>length;
    store<u64>(tag, hashFirst() ^ load<u64>(keystream));
    store<u64>(tag, hashSecond() ^ load<u64>(keystream, 8), 8);
    index = load<i32>(job, 36);
  }
}

/** Decrypts one packet whose tag is right; false, and nothing is changed, when it is not. */
export function openGcm(context: usize, job: usize): bool {
  const keystream = <usize>load<u32>(job, 40);
  const length = textLength(job);
  const tag = text(job) + <usize>length;
  hashJob(context, job);
  const difference =
    (load<u64>(tag) ^ hashFirst() ^ load<u64>(keystream)) | (load<u64>(tag, 8) ^ hashSecond() ^ load<u64>(keystream, 8));
  if (difference !== 0) return false;
  applyKeystream(text(job), keystream + 16, length);
  return true;
}

/** What is authenticated is all from the associated data on, with the rollover counter (`withRollover`) behind it. */
@inline
function macOfJob(context: usize, job: usize, withRollover: bool): usize {
  const from = <usize>load<u32>(job);
  const end = text(job) + <usize>textLength(job);
  if (withRollover) store<u32>(end, bswap<u32>(load<u32>(job, 32)));
  // SRTCP's index word, which has the same length, stands there already.
  return mac(context, from, <i32>(end + 4 - from));
}

/** AES-CM and HMAC-SHA1-80 of RTP; the tag's 10 bytes follow the text. */
export function sealCounter(context: usize, jobs: usize, first: i32, stop: i32): void {
  let index = first;
  while (index !== stop) {
    const job = jobs + <usize>index * jobBytes;
    applyKeystream(text(job), load<u32>(job, 40), textLength(job));
    const result = macOfJob(context, job, true);
    memory.copy(text(job) + <usize>textLength(job), result, 10);
    index = load<i32>(job, 36);
  }
}

/** Of RTCP: the tag follows the index word. */
export function sealCounterRtcp(context: usize, job: usize): void {
  applyKeystream(text(job), load<u32>(job, 40), textLength(job));
  const result = macOfJob(context, job, false);
  memory.copy(text(job) + <usize>textLength(job) + 4, result, 10);
}

/** Whether the 10 bytes at `tag` are the right ones; `rtcp`: with the index word, else with the rollover counter. */
export function verifyCounter(context: usize, job: usize, tag: usize, rtcp: bool): bool {
  const first = load<u64>(tag);
  const last = load<u16>(tag, 8);
  const result = macOfJob(context, job, !rtcp);
  return ((first ^ load<u64>(result)) | (<u64>(last ^ load<u16>(result, 8)))) === 0;
}

export function decryptCounter(job: usize): void {
  applyKeystream(text(job), load<u32>(job, 40), textLength(job));
}
