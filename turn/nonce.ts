/** Nonces that the server need not remember (RFC 8489 section 9.2): a time and a keyed code over it and the client. */
import { createHmac } from 'node:crypto';
import { equalBytesConstantTime, putU32, u32 } from '../tunnel-protocol/index.ts';

const timeBytes = 4;
const codeBytes = 8;
/** base64url of 12 bytes. */
export const nonceLength = 16;

export class Nonces {
  readonly #key: Uint8Array;
  readonly #lifetimeSeconds: number;

  /** `key`: 32 random bytes of this process. */
  constructor(key: Uint8Array, lifetimeMs: number) {
    this.#key = key;
    this.#lifetimeSeconds = Math.ceil(lifetimeMs / 1000);
  }

  /** Good for this client address (any port) until its lifetime is over. */
  mint(address: string, nowMs: number): string {
    return Buffer.from(this.#stamp(Math.floor(nowMs / 1000), address)).toString('base64url');
  }

  isFresh(nonce: string, address: string, nowMs: number): boolean {
    if (nonce.length !== nonceLength) return false;
    const bytes = Buffer.from(nonce, 'base64url');
    if (bytes.length !== timeBytes + codeBytes) return false;
    const minted = u32(bytes, 0);
    const age = Math.floor(nowMs / 1000) - minted;
    return age >= 0 && age < this.#lifetimeSeconds && equalBytesConstantTime(bytes, this.#stamp(minted, address));
  }

  #stamp(seconds: number, address: string): Uint8Array {
    const bytes = new Uint8Array(timeBytes + codeBytes);
    putU32(bytes, 0, seconds);
    const code = createHmac('sha256', this.#key).update(bytes.subarray(0, timeBytes)).update(address).digest();
    bytes.set(code.subarray(0, codeBytes), timeBytes);
    return bytes;
  }
}
