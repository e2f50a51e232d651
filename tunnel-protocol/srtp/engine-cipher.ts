/** Both profiles on a {@link SrtpEngine}: what `GcmCipher` and `CounterCipher` do, in batches and without objects. */
import { putU32, u32 } from '../bytes.ts';
import type { SrtpCrypto } from './crypto.ts';
import { maxEnginePacketBytes, type EngineAes, type SrtpEngine } from './engine.ts';
import type { NativeBlockCipher, NativeGcm } from './native-ciphers.ts';
import {
  encryptedFlag,
  indexWordBytes,
  rtcpClearBytes,
  type SrtpPacketCipher,
  type SrtpSessionKeys,
} from './packet-cipher.ts';
import { rolloverCounter } from './packet-index.ts';
import type { PacketSlab } from './packet-slab.ts';

const gcmTagBytes = 16;
const counterTagBytes = 10;

/** The keys of RTP, or of RTCP, of one direction. */
interface KeyOfKind {
  /** What does all of GCM; null: the others do. */
  readonly native: NativeGcm | null;
  readonly aes: EngineAes;
  readonly blocks: NativeBlockCipher | null;
  /** Where the hash key or the authentication key is in the engine; 0: nowhere. */
  context: number;
}

/** What the `open` methods give is in the engine's memory, and borrowed until the next packet is opened by it. */
export class EngineCipher implements SrtpPacketCipher {
  readonly tagBytes: number;
  readonly maxPacketBytes: number;
  /** Ends of the chain of queued packets; -1: none. */
  first = -1;
  last = -1;
  readonly #engine: SrtpEngine;
  readonly #slab: PacketSlab;
  readonly #gcm: boolean;
  /** Of each kind of packet, what the profile's work is done with. */
  readonly #rtp: KeyOfKind;
  readonly #rtcp: KeyOfKind;
  readonly #rtpSalt: Int32Array;
  readonly #rtcpSalt: Int32Array;

  /** `seals`: the direction that the keys are for. */
  constructor(
    crypto: SrtpCrypto,
    keys: SrtpSessionKeys,
    slab: PacketSlab,
    engine: SrtpEngine,
    gcm: boolean,
    seals: boolean,
  ) {
    this.tagBytes = gcm ? gcmTagBytes : counterTagBytes;
    this.maxPacketBytes = maxEnginePacketBytes + indexWordBytes + this.tagBytes;
    this.#engine = engine;
    this.#slab = slab;
    this.#gcm = gcm;
    this.#rtpSalt = saltWords(keys.rtpSalt);
    this.#rtcpSalt = saltWords(keys.rtcpSalt);
    this.#rtp = keyOfKind(engine, crypto, keys.rtpKey, gcm ? null : keys.rtpAuthentication, seals);
    this.#rtcp = keyOfKind(engine, crypto, keys.rtcpKey, gcm ? null : keys.rtcpAuthentication, seals);
  }

  /** Gives back what it has in the engine. Idempotent. */
  close(): void {
    for (const key of [this.#rtp, this.#rtcp]) closeKey(this.#engine, key);
  }

  /** Of a packet that stands at `at` in the engine's arena: it is sealed with the others by {@link sealQueued}. */
  queueRtp(at: number, length: number, headerBytes: number, index: number): number {
    const engine = this.#engine;
    const job = engine.takeJob(length);
    this.#setRtpJob(job, at, length, headerBytes, index);
    if (this.first === -1) this.first = job;
    else engine.words[engine.jobAt(this.last) + 9] = job;
    this.last = job;
    return job;
  }

  /** Seals all packets in the chain, which stays as it is until {@link clearQueue}. */
  sealQueued(): void {
    this.#seal(this.#rtp, this.first);
  }

  clearQueue(): void {
    this.first = -1;
    this.last = -1;
  }

  sealRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array {
    const engine = this.#engine;
    const at = engine.scratch;
    engine.bytes.set(packet, at);
    this.#setRtpJob(0, at, packet.length, headerBytes, index);
    this.#seal(this.#rtp, 0);
    return this.#copy(at, packet.length + this.tagBytes);
  }

  openRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array | null {
    const { incoming: at, bytes, wasm } = this.#engine;
    const length = packet.length - this.tagBytes;
    bytes.set(packet, at);
    this.#setRtpJob(0, at, length, headerBytes, index);
    if (!this.#open(this.#rtp, at + length, false)) return null;
    if (!this.#gcm) wasm.decryptCounter(this.#engine.jobs);
    return bytes.subarray(at, at + length);
  }

  sealRtcp(packet: Uint8Array, index: number): Uint8Array {
    const engine = this.#engine;
    const { scratch: at, bytes, wasm } = engine;
    const { length } = packet;
    bytes.set(packet, at);
    this.#setRtcpJob(at, length, index);
    if (this.#gcm) {
      this.#setAssociated(at, index + encryptedFlag);
      this.#seal(this.#rtcp, 0);
      putU32(bytes, at + length + gcmTagBytes, index + encryptedFlag);
    } else {
      putU32(bytes, at + length, index + encryptedFlag);
      engine.makeKeystream(this.#rtcp.aes, 0, false);
      wasm.sealCounterRtcp(this.#rtcp.context, engine.jobs);
    }
    return this.#copy(at, length + indexWordBytes + this.tagBytes);
  }

  indexWordAt(packetBytes: number): number {
    return packetBytes - indexWordBytes - (this.#gcm ? 0 : counterTagBytes);
  }

  openRtcp(packet: Uint8Array): Uint8Array | null {
    const { incoming: at, bytes, wasm } = this.#engine;
    const length = packet.length - indexWordBytes - this.tagBytes;
    const word = u32(packet, this.indexWordAt(packet.length));
    const encrypted = word >= encryptedFlag;
    bytes.set(packet, at);
    this.#setRtcpJob(at, length, word & 0x7fff_ffff);
    if (!this.#gcm) {
      if (!this.#open(this.#rtcp, at + length + indexWordBytes, true)) return null;
      if (encrypted) wasm.decryptCounter(this.#engine.jobs);
    } else {
      if (encrypted) this.#setAssociated(at, word);
      else this.#setClear(at, length, word);
      if (!this.#open(this.#rtcp, 0, true)) return null;
    }
    return bytes.subarray(at, at + length);
  }

  /** A chain of jobs. */
  #seal(key: KeyOfKind, chain: number): void {
    const engine = this.#engine;
    const { wasm, jobs } = engine;
    let first = chain;
    if (key.native !== null) {
      for (; first !== -1; first = engine.next(first)) {
        // What was not sealed must not be sent.
        if (!this.#runNative(key.native, first)) throw new Error('the cipher does not work');
      }
      return;
    }
    while (first !== -1) {
      const stop = engine.makeKeystream(key.aes, first, this.#gcm);
      if (this.#gcm) wasm.sealGcm(key.context, jobs, first, stop);
      else wasm.sealCounter(key.context, jobs, first, stop);
      first = stop;
    }
  }

  /** Of job 0: decrypts it (GCM), or only checks its tag, which stands at `tag` (the other profile). */
  #open(key: KeyOfKind, tag: number, rtcp: boolean): boolean {
    if (key.native !== null) return this.#runNative(key.native, 0);
    const { wasm, jobs } = this.#engine;
    this.#engine.makeKeystream(key.aes, 0, this.#gcm);
    return Boolean(this.#gcm ? wasm.openGcm(key.context, jobs) : wasm.verifyCounter(key.context, jobs, tag, rtcp));
  }

  #runNative(gcm: NativeGcm, job: number): boolean {
    const { words, bytes, nonce } = this.#engine;
    const word = this.#engine.jobAt(job);
    putU32(bytes, nonce, words[word + 4] as number);
    putU32(bytes, nonce + 4, words[word + 5] as number);
    putU32(bytes, nonce + 8, words[word + 6] as number);
    return gcm.run(
      nonce,
      words[word] as number,
      words[word + 1] as number,
      words[word + 2] as number,
      words[word + 3] as number,
    );
  }

  /** RFC 7714 section 8.1, RFC 3711 section 4.1.1. */
  #setRtpJob(job: number, at: number, length: number, headerBytes: number, index: number): void {
    const { words, bytes } = this.#engine;
    const word = this.#engine.jobAt(job);
    const salt = this.#rtpSalt;
    const ssrc = u32(bytes, at + 8);
    const rollover = rolloverCounter(index);
    words[word] = at;
    words[word + 1] = headerBytes;
    words[word + 2] = at + headerBytes;
    words[word + 3] = length - headerBytes;
    if (this.#gcm) {
      words[word + 4] = (salt[0] as number) ^ (ssrc >>> 16);
      words[word + 5] = (salt[1] as number) ^ ((ssrc << 16) | (rollover >>> 16));
      words[word + 6] = (salt[2] as number) ^ ((rollover << 16) | (index & 0xffff));
    } else {
      words[word + 4] = salt[0] as number;
      words[word + 5] = (salt[1] as number) ^ ssrc;
      words[word + 6] = (salt[2] as number) ^ rollover;
      words[word + 7] = (salt[3] as number) ^ ((index & 0xffff) << 16);
    }
    words[word + 8] = rollover;
    words[word + 9] = -1;
  }

  /** Job 0. RFC 7714 section 9.1, RFC 3711 section 4.1.1. */
  #setRtcpJob(at: number, length: number, index: number): void {
    const { words, bytes } = this.#engine;
    const word = this.#engine.jobAt(0);
    const salt = this.#rtcpSalt;
    const ssrc = u32(bytes, at + 4);
    words[word] = at;
    words[word + 1] = rtcpClearBytes;
    words[word + 2] = at + rtcpClearBytes;
    words[word + 3] = length - rtcpClearBytes;
    if (this.#gcm) {
      words[word + 4] = (salt[0] as number) ^ (ssrc >>> 16);
      words[word + 5] = (salt[1] as number) ^ (ssrc << 16);
      words[word + 6] = (salt[2] as number) ^ index;
    } else {
      words[word + 4] = salt[0] as number;
      words[word + 5] = (salt[1] as number) ^ ssrc;
      words[word + 6] = (salt[2] as number) ^ (index >>> 16);
      words[word + 7] = (salt[3] as number) ^ (index << 16);
    }
    words[word + 9] = -1;
  }

  /** RFC 7714 section 9.2: the associated data of encrypted RTCP is its first 8 bytes and the index word. */
  #setAssociated(at: number, indexWord: number): void {
    const { words, bytes, secondScratch } = this.#engine;
    const word = this.#engine.jobAt(0);
    bytes.copyWithin(secondScratch, at, at + rtcpClearBytes);
    putU32(bytes, secondScratch + rtcpClearBytes, indexWord);
    words[word] = secondScratch;
    words[word + 1] = rtcpClearBytes + indexWordBytes;
  }

  /** Section 9.3: of RTCP in clear, all of the packet and the index word are associated data, and the tag follows. */
  #setClear(at: number, length: number, indexWord: number): void {
    const { words, bytes, secondScratch } = this.#engine;
    const word = this.#engine.jobAt(0);
    const end = secondScratch + length + indexWordBytes;
    bytes.copyWithin(secondScratch, at, at + length);
    putU32(bytes, secondScratch + length, indexWord);
    bytes.copyWithin(end, at + length, at + length + gcmTagBytes);
    words[word] = secondScratch;
    words[word + 1] = length + indexWordBytes;
    words[word + 2] = end;
    words[word + 3] = 0;
  }

  #copy(at: number, length: number): Uint8Array {
    const copy = this.#slab.take(length);
    copy.set(this.#engine.bytes.subarray(at, at + length));
    return copy;
  }
}

/** 12 bytes, or 14 with two zeros behind. */
function saltWords(salt: Uint8Array): Int32Array {
  const padded = new Uint8Array(16);
  padded.set(salt);
  return Int32Array.from([0, 4, 8, 12], (at) => u32(padded, at));
}

function keyOfKind(
  engine: SrtpEngine,
  crypto: SrtpCrypto,
  key: Uint8Array,
  authentication: Uint8Array | null,
  seals: boolean,
): KeyOfKind {
  const { native, bytes, scratch, wasm } = engine;
  if (native !== null && authentication === null) {
    return { native: seals ? native.gcmSealer(key) : native.gcmOpener(key), aes: noAes, blocks: null, context: 0 };
  }
  const blocks = native?.blockCipher(key) ?? null;
  const aes = blocks ?? engineAes(engine, crypto.aesBlocks(key));
  const context = engine.takeContext();
  if (authentication === null) {
    // The hash key is AES of zero (NIST SP 800-38D section 7.1).
    bytes.fill(0, scratch, scratch + 16);
    aes.encrypt(scratch, scratch, 16);
    wasm.setHashKey(context, scratch);
  } else {
    bytes.set(authentication, scratch);
    wasm.setMacKey(context, scratch);
  }
  bytes.fill(0, scratch, scratch + 20);
  return { native: null, aes, blocks, context };
}

function closeKey(engine: SrtpEngine, key: KeyOfKind): void {
  key.native?.close();
  key.blocks?.close();
  if (key.context !== 0) engine.releaseContext(key.context);
  key.context = 0;
}

function engineAes({ bytes }: SrtpEngine, aesBlocks: (blocks: Uint8Array) => Uint8Array): EngineAes {
  return {
    encrypt: (from, to, length) => {
      bytes.set(aesBlocks(bytes.subarray(from, from + length)), to);
    },
  };
}

const noAes: EngineAes = {
  encrypt: () => {
    throw new TypeError('GCM is done as a whole');
  },
};
