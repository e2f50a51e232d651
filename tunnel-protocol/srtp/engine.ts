/** The memory in which packets of many keys are protected in place, and the WebAssembly that does it (`wasm/engine.ts`). */
import type { BindNativeCiphers, NativeCiphers } from './native-ciphers.ts';

/** What the compiled module exports. Whoever knows where the file is instantiates it, and gives it to {@link SrtpEngine}. */
export interface SrtpWasm {
  readonly memory: { readonly buffer: ArrayBuffer };
  base(): number;
  setHashKey(context: number, h: number): void;
  setMacKey(context: number, key: number): void;
  fill(jobs: number, first: number, to: number, room: number, keystream: number, gcm: boolean): number;
  unfilled(): number;
  sealGcm(context: number, jobs: number, first: number, stop: number): void;
  openGcm(context: number, job: number): number;
  sealCounter(context: number, jobs: number, first: number, stop: number): void;
  sealCounterRtcp(context: number, job: number): void;
  verifyCounter(context: number, job: number, tag: number, rtcp: boolean): number;
  decryptCounter(job: number): void;
}

const jobWords = 12;
/** Jobs that may be queued; job 0 is for packets that are handled at once. */
const maxJobs = 2048;
const chunkBytes = 131_072;
const scratchBytes = 4096;
const nonceRoom = 16;
/** A hash key with its tables, or an authentication key. */
const contextBytes = 576;
const maxContexts = 65_536;
const arenaBytes = 2_097_152;
/** Room behind a packet for the longest tag. */
const tagRoom = 16;

/** AES of each 16 bytes, from one place of the memory to another. */
export interface EngineAes {
  encrypt(from: number, to: number, bytes: number): void;
}

/** The longest packet, in clear. */
export const maxEnginePacketBytes = 2048;

/**
 * One for all sessions of a process. Nothing here grows: memory that was never used costs nothing. Packets that wait to be
 * protected are in an arena, which is begun anew by {@link reset} when all of them were sent.
 */
export class SrtpEngine {
  readonly wasm: SrtpWasm;
  /** All of the memory. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** Address of job 0. */
  readonly jobs: number;
  /** Room for a packet that is protected at once, for one that came, and for one that is put together from another. */
  readonly scratch: number;
  readonly incoming: number;
  readonly secondScratch: number;
  /** Room for a nonce. */
  readonly nonce: number;
  /** What does AES instead of `SrtpCrypto`, and GCM instead of WebAssembly; null: nothing. */
  readonly native: NativeCiphers | null;
  readonly #counters: number;
  readonly #keystream: number;
  readonly #contexts: number;
  readonly #arena: number;
  readonly #freeContexts: number[] = [];
  #contextCount = 0;
  #jobCount = 1;
  #used = 0;

  constructor(wasm: SrtpWasm, bindNative: BindNativeCiphers | null = null) {
    const { buffer } = wasm.memory;
    this.wasm = wasm;
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.jobs = wasm.base();
    this.#counters = this.jobs + maxJobs * jobWords * 4;
    this.#keystream = this.#counters + chunkBytes;
    this.scratch = this.#keystream + chunkBytes;
    this.incoming = this.scratch + scratchBytes;
    this.secondScratch = this.incoming + scratchBytes;
    this.nonce = this.secondScratch + scratchBytes;
    this.#contexts = this.nonce + nonceRoom;
    this.#arena = this.#contexts + maxContexts * contextBytes;
    if (this.#arena + arenaBytes > buffer.byteLength) throw new RangeError('the memory is too small');
    this.native = bindNative?.(this.bytes) ?? null;
  }

  /** Room for a key of RTP or RTCP in one direction. Throws RangeError when there are 65,536 of them. */
  takeContext(): number {
    const free = this.#freeContexts.pop();
    if (free !== undefined) return free;
    if (this.#contextCount === maxContexts) throw new RangeError('too many SRTP keys');
    return this.#contexts + this.#contextCount++ * contextBytes;
  }

  releaseContext(context: number): void {
    this.bytes.fill(0, context, context + contextBytes);
    this.#freeContexts.push(context);
  }

  /** Room for a packet and its tag; -1: what is queued must be sealed, sent and {@link reset} first. */
  open(length: number): number {
    if (this.#used + length + tagRoom > arenaBytes || this.#jobCount === maxJobs) return -1;
    return this.#arena + this.#used;
  }

  /** Takes the room that {@link open} gave; returns the number of its job. */
  takeJob(length: number): number {
    this.#used += (length + tagRoom + 15) & ~15;
    return this.#jobCount++;
  }

  /** All that was queued is forgotten. */
  reset(): void {
    this.#used = 0;
    this.#jobCount = 1;
  }

  /** Where the words of a job begin in {@link words}. */
  jobAt(job: number): number {
    return (this.jobs >>> 2) + job * jobWords;
  }

  /** Address of a job. */
  jobAddress(job: number): number {
    return this.jobs + job * jobWords * 4;
  }

  /** The job that follows in its chain; -1 at the end. */
  next(job: number): number {
    return this.words[this.jobAt(job) + 9] as number;
  }

  /** Where a packet in the arena begins. */
  packetAt(job: number): number {
    return this.words[this.jobAt(job)] as number;
  }

  /** Makes keystream for a chain of jobs, as much of it as there is room for; returns the first job that got none. */
  makeKeystream(aes: EngineAes, first: number, gcm: boolean): number {
    const length = this.wasm.fill(this.jobs, first, this.#counters, chunkBytes, this.#keystream, gcm);
    if (length > 0) aes.encrypt(this.#counters, this.#keystream, length);
    return this.wasm.unfilled();
  }
}
