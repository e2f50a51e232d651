/** Both profiles on a {@link SrtpEngine}: what `GcmCipher` and `CounterCipher` do, in batches and without objects. */
import { putU32, u32 } from '../bytes.ts';
import type { SrtpCrypto } from './crypto.ts';
import { maxEnginePacketBytes, type SrtpEngine } from './engine.ts';
import {
  encryptedFlag,
  indexWordBytes,
  rtcpClearBytes,
  type SrtpPacketCipher,
  type SrtpSessionKeys,
} from './packet-cipher.ts';
import { rolloverCounter } from './packet-index.ts';
import type { PacketSlab } from './packet-slab.ts';

type AesBlocks = (blocks: Uint8Array) => Uint8Array;
const rtcpContext = 64;
const gcmTagBytes = 16;
const counterTagBytes = 10;

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
  readonly #rtpAes: AesBlocks;
  readonly #rtcpAes: AesBlocks;
  readonly #rtpSalt: Int32Array;
  readonly #rtcpSalt: Int32Array;
  #context: number;

  constructor(crypto: SrtpCrypto, keys: SrtpSessionKeys, slab: PacketSlab, engine: SrtpEngine, gcm: boolean) {
    this.tagBytes = gcm ? gcmTagBytes : counterTagBytes;
    this.maxPacketBytes = maxEnginePacketBytes + indexWordBytes + this.tagBytes;
    this.#engine = engine;
    this.#slab = slab;
    this.#gcm = gcm;
    this.#rtpAes = crypto.aesBlocks(keys.rtpKey);
    this.#rtcpAes = crypto.aesBlocks(keys.rtcpKey);
    this.#rtpSalt = saltWords(keys.rtpSalt);
    this.#rtcpSalt = saltWords(keys.rtcpSalt);
    this.#context = engine.takeContext();
    this.#setKey(this.#context, this.#rtpAes, keys.rtpAuthentication);
    this.#setKey(this.#context + rtcpContext, this.#rtcpAes, keys.rtcpAuthentication);
  }

  /** Gives back what it has in the engine. */
  close(): void {
    if (this.#context === 0) return;
    this.#engine.releaseContext(this.#context);
    this.#context = 0;
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
    const { wasm, jobs } = this.#engine;
    let first = this.first;
    while (first !== -1) {
      const stop = this.#engine.makeKeystream(this.#rtpAes, first, this.#gcm);
      if (this.#gcm) wasm.sealGcm(this.#context, jobs, first, stop);
      else wasm.sealCounter(this.#context, jobs, first, stop);
      first = stop;
    }
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
    engine.makeKeystream(this.#rtpAes, 0, this.#gcm);
    if (this.#gcm) engine.wasm.sealGcm(this.#context, engine.jobs, 0, -1);
    else engine.wasm.sealCounter(this.#context, engine.jobs, 0, -1);
    return this.#copy(at, packet.length + this.tagBytes);
  }

  openRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array | null {
    const { incoming: at, bytes, wasm } = this.#engine;
    const length = packet.length - this.tagBytes;
    bytes.set(packet, at);
    this.#setRtpJob(0, at, length, headerBytes, index);
    if (!this.#open(this.#rtpAes, this.#context, at + length, false)) return null;
    if (!this.#gcm) wasm.decryptCounter(this.#engine.jobs);
    return bytes.subarray(at, at + length);
  }

  sealRtcp(packet: Uint8Array, index: number): Uint8Array {
    const engine = this.#engine;
    const { scratch: at, bytes, wasm } = engine;
    const { length } = packet;
    bytes.set(packet, at);
    this.#setRtcpJob(at, length, index);
    engine.makeKeystream(this.#rtcpAes, 0, this.#gcm);
    const context = this.#context + rtcpContext;
    if (this.#gcm) {
      this.#setAssociated(at, index + encryptedFlag);
      wasm.sealGcm(context, engine.jobs, 0, -1);
      putU32(bytes, at + length + gcmTagBytes, index + encryptedFlag);
    } else {
      putU32(bytes, at + length, index + encryptedFlag);
      wasm.sealCounterRtcp(context, engine.jobs);
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
      if (!this.#open(this.#rtcpAes, this.#context + rtcpContext, at + length + indexWordBytes, true)) return null;
      if (encrypted) wasm.decryptCounter(this.#engine.jobs);
    } else {
      if (encrypted) this.#setAssociated(at, word);
      else this.#setClear(at, length, word);
      if (!this.#open(this.#rtcpAes, this.#context + rtcpContext, 0, true)) return null;
    }
    return bytes.subarray(at, at + length);
  }

  #setKey(context: number, aes: AesBlocks, authentication: Uint8Array): void {
    const { scratch, bytes, wasm } = this.#engine;
    bytes.set(this.#gcm ? aes(new Uint8Array(16)) : authentication, scratch);
    if (this.#gcm) wasm.setHashKey(context, scratch);
    else wasm.setMacKey(context, scratch);
    bytes.fill(0, scratch, scratch + 20);
  }

  /** Of job 0: decrypts it (GCM), or only checks its tag, which stands at `tag` (the other profile). */
  #open(aes: AesBlocks, context: number, tag: number, rtcp: boolean): boolean {
    const { wasm, jobs } = this.#engine;
    this.#engine.makeKeystream(aes, 0, this.#gcm);
    return Boolean(this.#gcm ? wasm.openGcm(context, jobs) : wasm.verifyCounter(context, jobs, tag, rtcp));
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
