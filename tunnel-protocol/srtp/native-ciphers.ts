/**
 * AES by a library of the machine's own, which has the processor's instructions for it, on the memory of a {@link SrtpEngine}.
 * Whoever can call one gives it to the engine; without it, WebAssembly does the same more slowly.
 */

/** Binds to a memory that never moves; null when the library is not there, or does not do what it should. */
export type BindNativeCiphers = (memory: Uint8Array) => NativeCiphers | null;

/** Keys have 16 bytes. What is made must be closed. All addresses are of the memory. */
export interface NativeCiphers {
  gcmSealer(key: Uint8Array): NativeGcm;
  gcmOpener(key: Uint8Array): NativeGcm;
  blockCipher(key: Uint8Array): NativeBlockCipher;
}

export interface NativeGcm {
  /**
   * Turns `textBytes` at `text` into what they stand for, in place, by the 12 bytes at `nonce`; their tag of 16 bytes is put,
   * or looked at, right behind them. False when the tag does not match, and then the text is of no use.
   */
  run(nonce: number, associated: number, associatedBytes: number, text: number, textBytes: number): boolean;
  /** Idempotent. */
  close(): void;
}

export interface NativeBlockCipher {
  /** AES of each 16 bytes (ECB), from one place to another. */
  encrypt(from: number, to: number, bytes: number): void;
  /** Idempotent. */
  close(): void;
}
