/** Protection of DTLS 1.2 records with AES-128-GCM (RFC 5288 section 3, RFC 6347 section 4.1.2.1). */
import { putU16, putU32 } from '../bytes.ts';
import { putRecordHeader, recordHeaderBytes } from './record.ts';

/** Authenticated encryption with a 16-byte key, 12-byte nonce and 16-byte tag at the end of the ciphertext. */
export interface DtlsAead {
  seal(key: Uint8Array, nonce: Uint8Array, additional: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Null when the tag does not verify. */
  open(key: Uint8Array, nonce: Uint8Array, additional: Uint8Array, ciphertext: Uint8Array): Uint8Array | null;
}

/** One direction: 16-byte key and 4-byte implicit nonce. */
export interface RecordKey {
  readonly key: Uint8Array;
  readonly implicitNonce: Uint8Array;
}

const explicitNonceBytes = 8;
const tagBytes = 16;
export const protectionBytes = explicitNonceBytes + tagBytes;

/** The only protected epoch: sessions do not renegotiate. */
export const protectedEpoch = 1;

export class RecordProtection {
  readonly #aead: DtlsAead;
  readonly #write: RecordKey;
  readonly #read: RecordKey;

  constructor(aead: DtlsAead, write: RecordKey, read: RecordKey) {
    this.#aead = aead;
    this.#write = write;
    this.#read = read;
  }

  /** A record's fragment. The explicit nonce is epoch and sequence, so a number must never be used twice. */
  seal(type: number, sequence: number, plaintext: Uint8Array): Uint8Array {
    const explicit = new Uint8Array(explicitNonceBytes);
    putU16(explicit, 0, protectedEpoch);
    putU16(explicit, 2, Math.floor(sequence / 0x1_0000_0000));
    putU32(explicit, 4, sequence % 0x1_0000_0000);
    const additional = additionalData(type, sequence, plaintext.length);
    const sealed = this.#aead.seal(this.#write.key, nonce(this.#write, explicit), additional, plaintext);
    const fragment = new Uint8Array(explicitNonceBytes + sealed.length);
    fragment.set(explicit);
    fragment.set(sealed, explicitNonceBytes);
    return fragment;
  }

  /** The plaintext, or null when the record was not made with the peer's key. */
  open(type: number, sequence: number, fragment: Uint8Array): Uint8Array | null {
    const plaintextBytes = fragment.length - protectionBytes;
    if (plaintextBytes < 0) return null;
    const explicit = fragment.subarray(0, explicitNonceBytes);
    const additional = additionalData(type, sequence, plaintextBytes);
    return this.#aead.open(
      this.#read.key,
      nonce(this.#read, explicit),
      additional,
      fragment.subarray(explicitNonceBytes),
    );
  }
}

function nonce(key: RecordKey, explicit: Uint8Array): Uint8Array {
  const whole = new Uint8Array(key.implicitNonce.length + explicitNonceBytes);
  whole.set(key.implicitNonce);
  whole.set(explicit, key.implicitNonce.length);
  return whole;
}

/** Epoch and sequence, type, version, length (RFC 5246 section 6.2.3.3): the header with its first fields swapped. */
function additionalData(type: number, sequence: number, plaintextBytes: number): Uint8Array {
  const header = new Uint8Array(recordHeaderBytes);
  putRecordHeader(header, 0, type, protectedEpoch, sequence, plaintextBytes);
  const additional = new Uint8Array(recordHeaderBytes);
  additional.set(header.subarray(3, 11));
  additional.set(header.subarray(0, 3), 8);
  additional.set(header.subarray(11), 11);
  return additional;
}
