/**
 * AES by the OpenSSL that Node itself is made with, through koffi: on memory in place, with one context for the life of a key.
 * `node:crypto` makes an object, a context and a copy for each packet instead, which costs ten times the work itself.
 */
import { createRequire } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import type * as KoffiModule from 'koffi';
import type { BindNativeCiphers, NativeBlockCipher, NativeCiphers, NativeGcm } from '../../tunnel-protocol/index.ts';

type Koffi = typeof KoffiModule;

type Init = (context: number, cipher: number, engine: number, key: number, iv: number) => number;

/** The functions of OpenSSL 3 that are called; pointers are numbers. */
interface Evp {
  readonly contextNew: () => number;
  readonly contextFree: (context: number) => void;
  readonly aes128Gcm: () => number;
  readonly aes128Ecb: () => number;
  readonly encryptInit: Init;
  readonly decryptInit: Init;
  readonly encryptUpdate: (context: number, out: number, outLength: number, from: number, length: number) => number;
  readonly decryptUpdate: (context: number, out: number, outLength: number, from: number, length: number) => number;
  readonly encryptFinal: (context: number, out: number, outLength: number) => number;
  readonly decryptFinal: (context: number, out: number, outLength: number) => number;
  readonly setPadding: (context: number, on: number) => number;
  readonly control: (context: number, command: number, argument: number, pointer: number) => number;
  /** Address of {@link scratch}. */
  readonly scratch: number;
}

const controlGetTag = 0x10;
const controlSetTag = 0x11;
const keyBytes = 16;
const tagBytes = 16;

let loaded: { readonly bind: BindNativeCiphers | null; readonly reason: string | null } | null = null;

/** Loads once. Null where koffi has no binary or Node no OpenSSL 3; {@link opensslAbsence} says why. */
export function loadOpenssl(): BindNativeCiphers | null {
  loaded ??= load();
  return loaded.bind;
}

/** Why {@link loadOpenssl} returns null, for the log; null if it does not. */
export function opensslAbsence(): string | null {
  loaded ??= load();
  return loaded.reason;
}

function load(): { readonly bind: BindNativeCiphers | null; readonly reason: string | null } {
  if (!process.versions.openssl.startsWith('3.')) return { bind: null, reason: 'Node has no OpenSSL 3' };
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    if (koffi.sizeof('void *') !== 8) return { bind: null, reason: 'pointers do not have 64 bits' };
    if (!isMainThread) return { bind: null, reason: 'this is a worker thread' };
    const evp = openEvp(koffi);
    const bind: BindNativeCiphers = (memory) => new OpensslCiphers(evp, Number(koffi.address(memory)));
    if (!works(bind)) return { bind: null, reason: 'its AES-GCM gives wrong results' };
    return { bind, reason: null };
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
    return { bind: null, reason: `OpenSSL cannot be called: ${why}` };
  }
}

/** What this process is linked with, and where its own functions are not to be seen, the system's. */
function openEvp(koffi: Koffi): Evp {
  let fault: unknown;
  for (const name of [null, 'libcrypto.so.3']) {
    try {
      const library = koffi.load(name);
      const init = 'uintptr_t context, uintptr_t cipher, uintptr_t engine, uintptr_t key, uintptr_t iv';
      const update = 'uintptr_t context, uintptr_t out, uintptr_t outLength, uintptr_t from, int length';
      const final = 'uintptr_t context, uintptr_t out, uintptr_t outLength';
      return {
        contextNew: library.func('uintptr_t EVP_CIPHER_CTX_new()'),
        contextFree: library.func('void EVP_CIPHER_CTX_free(uintptr_t context)'),
        aes128Gcm: library.func('uintptr_t EVP_aes_128_gcm()'),
        aes128Ecb: library.func('uintptr_t EVP_aes_128_ecb()'),
        encryptInit: library.func(`int EVP_EncryptInit_ex(${init})`),
        decryptInit: library.func(`int EVP_DecryptInit_ex(${init})`),
        encryptUpdate: library.func(`int EVP_EncryptUpdate(${update})`),
        decryptUpdate: library.func(`int EVP_DecryptUpdate(${update})`),
        encryptFinal: library.func(`int EVP_EncryptFinal_ex(${final})`),
        decryptFinal: library.func(`int EVP_DecryptFinal_ex(${final})`),
        setPadding: library.func('int EVP_CIPHER_CTX_set_padding(uintptr_t context, int on)'),
        scratch: Number(koffi.address(scratch)),
        control: library.func(
          'int EVP_CIPHER_CTX_ctrl(uintptr_t context, int command, int argument, uintptr_t pointer)',
        ),
      };
    } catch (error) {
      fault ??= error;
    }
  }
  throw fault;
}

class OpensslCiphers implements NativeCiphers {
  readonly #evp: Evp;
  readonly #base: number;

  constructor(evp: Evp, base: number) {
    this.#evp = evp;
    this.#base = base;
  }

  gcmSealer(key: Uint8Array): NativeGcm {
    return new Sealer(this.#evp, this.#base, this.#evp.encryptInit, this.#evp.aes128Gcm(), key);
  }

  gcmOpener(key: Uint8Array): NativeGcm {
    return new Opener(this.#evp, this.#base, this.#evp.decryptInit, this.#evp.aes128Gcm(), key);
  }

  blockCipher(key: Uint8Array): NativeBlockCipher {
    return new BlockCipher(this.#evp, this.#base, this.#evp.encryptInit, this.#evp.aes128Ecb(), key);
  }
}

/** An EVP_CIPHER_CTX with its key. */
class KeyContext {
  protected readonly evp: Evp;
  protected readonly base: number;
  /** 0 after `close`: nothing is called with it then. */
  protected context: number;

  constructor(evp: Evp, base: number, init: Init, cipher: number, key: Uint8Array) {
    if (key.length !== keyBytes) throw new RangeError('the key does not have 16 bytes');
    this.evp = evp;
    this.base = base;
    this.context = evp.contextNew();
    scratch.set(key);
    const done = this.context !== 0 && init(this.context, cipher, 0, evp.scratch, 0) === 1;
    scratch.fill(0, 0, keyBytes);
    if (!done) {
      this.close();
      throw new Error('OpenSSL takes no key');
    }
  }

  close(): void {
    if (this.context !== 0) this.evp.contextFree(this.context);
    this.context = 0;
  }
}

class Sealer extends KeyContext implements NativeGcm {
  run(nonce: number, associated: number, associatedBytes: number, text: number, textBytes: number): boolean {
    const { evp, base, context } = this;
    const at = base + text;
    const end = at + textBytes;
    return (
      context !== 0 &&
      evp.encryptInit(context, 0, 0, 0, base + nonce) === 1 &&
      evp.encryptUpdate(context, 0, evp.scratch, base + associated, associatedBytes) === 1 &&
      (textBytes === 0 || evp.encryptUpdate(context, at, evp.scratch, at, textBytes) === 1) &&
      evp.encryptFinal(context, end, evp.scratch) === 1 &&
      evp.control(context, controlGetTag, tagBytes, end) === 1
    );
  }
}

class Opener extends KeyContext implements NativeGcm {
  run(nonce: number, associated: number, associatedBytes: number, text: number, textBytes: number): boolean {
    const { evp, base, context } = this;
    const at = base + text;
    const end = at + textBytes;
    return (
      context !== 0 &&
      evp.decryptInit(context, 0, 0, 0, base + nonce) === 1 &&
      evp.control(context, controlSetTag, tagBytes, end) === 1 &&
      evp.decryptUpdate(context, 0, evp.scratch, base + associated, associatedBytes) === 1 &&
      (textBytes === 0 || evp.decryptUpdate(context, at, evp.scratch, at, textBytes) === 1) &&
      evp.decryptFinal(context, end, evp.scratch) === 1
    );
  }
}

class BlockCipher extends KeyContext implements NativeBlockCipher {
  constructor(...arguments_: ConstructorParameters<typeof KeyContext>) {
    super(...arguments_);
    this.evp.setPadding(this.context, 0);
  }

  encrypt(from: number, to: number, bytes: number): void {
    const { evp, base, context } = this;
    if (context === 0 || evp.encryptUpdate(context, base + to, evp.scratch, base + from, bytes) !== 1) {
      throw new Error('OpenSSL does not encrypt');
    }
  }
}

/** The key of a new context, and the lengths that OpenSSL gives back. With an ArrayBuffer of its own it stays where it is. */
const scratch = new Uint8Array(new ArrayBuffer(64));

/** NIST's test case 4 for AES-128-GCM, both ways: that the functions are what they are taken for. */
function works(bind: BindNativeCiphers): boolean {
  const memory = new Uint8Array(new ArrayBuffer(256));
  const ciphers = bind(memory);
  if (ciphers === null) return false;
  const put = (at: number, hex: string): Uint8Array => {
    memory.set(Buffer.from(hex, 'hex'), at);
    return memory.subarray(at, at + hex.length / 2);
  };
  const key = Buffer.from('feffe9928665731c6d6a8f9467308308', 'hex');
  put(0, 'cafebabefacedbaddecaf888');
  put(16, 'feedfacedeadbeeffeedfacedeadbeefabaddad2');
  const text = put(
    64,
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  );
  const clear = text.slice();
  const sealer = ciphers.gcmSealer(key);
  const opener = ciphers.gcmOpener(key);
  const tag = memory.subarray(64 + text.length, 64 + text.length + tagBytes);
  const sealed = sealer.run(0, 16, 20, 64, text.length);
  const right = sealed && Buffer.from(tag).toString('hex') === '5bc94fbc3221a5db94fae95ae7121a47';
  const opened = opener.run(0, 16, 20, 64, text.length) && Buffer.compare(text, clear) === 0;
  tag[0] = (tag[0] as number) ^ 1;
  const forged = opener.run(0, 16, 20, 64, text.length);
  sealer.close();
  opener.close();
  return right && opened && !forged;
}
