/**
 * The server's side of TLS by the OpenSSL that Node itself is made with, through koffi, on memory: what comes is put in, what is
 * to go is taken out. `node:tls` does the same work with a stream, a request object and two copies around each write and read.
 */
import { createRequire } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import type * as KoffiModule from 'koffi';

type Koffi = typeof KoffiModule;

/** The functions of OpenSSL 3 that are called; pointers are numbers. */
interface Ssl {
  readonly serverMethod: () => number;
  readonly contextNew: (method: number) => number;
  readonly contextFree: (context: number) => void;
  readonly contextControl: (context: number, command: number, argument: number, pointer: number) => number;
  readonly contextOptions: (context: number, options: number) => number;
  readonly cipherList: (context: number, names: string) => number;
  readonly cipherSuites: (context: number, names: string) => number;
  readonly sessionId: (context: number, id: string, length: number) => number;
  readonly useCertificate: (context: number, certificate: number) => number;
  readonly useKey: (context: number, key: number) => number;
  readonly sessionNew: (context: number) => number;
  readonly sessionFree: (session: number) => void;
  readonly acceptState: (session: number) => void;
  readonly setBios: (session: number, read: number, write: number) => void;
  readonly handshake: (session: number) => number;
  readonly read: (session: number, to: number, length: number) => number;
  readonly write: (session: number, from: number, length: number) => number;
  readonly shutdown: (session: number) => number;
  readonly errorOf: (session: number, result: number) => number;
  readonly memoryBio: () => number;
  readonly bioNew: (method: number) => number;
  readonly bioFrom: (text: number, length: number) => number;
  readonly bioFree: (bio: number) => number;
  readonly bioRead: (bio: number, to: number, length: number) => number;
  readonly bioWrite: (bio: number, from: number, length: number) => number;
  readonly readCertificate: (bio: number, to: number, callback: number, argument: number) => number;
  readonly readKey: (bio: number, to: number, callback: number, argument: number) => number;
  readonly certificateFree: (certificate: number) => void;
  readonly keyFree: (key: number) => void;
  readonly clearErrors: () => void;
  readonly addressOf: (bytes: Uint8Array) => number;
}

/** Numbers of OpenSSL's headers, the same in all of 3.x. */
const command = { mode: 33, ticketKeys: 59, chainCertificate: 89, minVersion: 123 } as const;
const releaseBuffers = 0x10;
const noCompression = 0x2_0000;
const noRenegotiation = 0x4000_0000;
const tls12 = 0x0303;
const wantRead = 2;
const zeroReturn = 6;
export const ticketKeyBytes = 80;

export interface TlsServerOptions {
  /** PEM; the certificate's may hold a chain, its own first. */
  readonly cert: string;
  readonly key: string;
  /** Of TLS 1.2 and of TLS 1.3, in OpenSSL's words. */
  readonly ciphers: string;
  readonly ciphersuites: string;
  /** A ticket is resumed only where this is what it was at first. */
  readonly sessionIdContext: string;
  /** {@link ticketKeyBytes} of them. */
  readonly ticketKeys: Uint8Array;
}

/** How a call went: `more`, something has to come from the other side first. */
export type TlsProgress = 'done' | 'more' | 'ended' | 'failed';

/** Shared by all sessions: a call takes out at once what it put in. Their places never change. */
const memoryBytes = 65_536;
const incoming = new Uint8Array(new ArrayBuffer(memoryBytes));
const outgoing = new Uint8Array(new ArrayBuffer(memoryBytes));

export class OpensslTls {
  readonly #ssl: Ssl;

  constructor(ssl: Ssl) {
    this.#ssl = ssl;
  }

  /** Throws an Error when certificate, key or ciphers are not usable. TLS 1.2 is the least; there is no renegotiation. */
  context(options: TlsServerOptions): TlsServerContext {
    return new TlsServerContext(this.#ssl, options);
  }
}

/** One certificate with its policy. Sessions made of it outlive it. */
export class TlsServerContext {
  readonly #ssl: Ssl;
  readonly #context: number;
  #closed = false;

  constructor(ssl: Ssl, options: TlsServerOptions) {
    this.#ssl = ssl;
    this.#context = ssl.contextNew(ssl.serverMethod());
    try {
      this.#configure(options);
    } catch (error) {
      this.close();
      throw error;
    } finally {
      ssl.clearErrors();
    }
  }

  session(): TlsSession {
    if (this.#closed) throw new Error('the TLS context is closed');
    return new TlsSession(this.#ssl, this.#context);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ssl.contextFree(this.#context);
  }

  #configure({ cert, key, ciphers, ciphersuites, sessionIdContext, ticketKeys }: TlsServerOptions): void {
    const ssl = this.#ssl;
    const context = this.#context;
    incoming.set(ticketKeys);
    const good =
      context !== 0 &&
      ssl.contextControl(context, command.minVersion, tls12, 0) === 1 &&
      ssl.cipherList(context, ciphers) === 1 &&
      ssl.cipherSuites(context, ciphersuites) === 1 &&
      ssl.sessionId(context, sessionIdContext, Buffer.byteLength(sessionIdContext)) === 1 &&
      ssl.contextControl(context, command.ticketKeys, ticketKeyBytes, ssl.addressOf(incoming)) === 1;
    incoming.fill(0, 0, ticketKeyBytes);
    if (!good) throw new Error('OpenSSL does not take the TLS policy');
    ssl.contextControl(context, command.mode, releaseBuffers, 0);
    ssl.contextOptions(context, noCompression + noRenegotiation);
    this.#useChain(cert);
    withBio(ssl, key, (bio) => {
      const read = ssl.readKey(bio, 0, 0, 0);
      const used = read !== 0 && ssl.useKey(context, read) === 1;
      ssl.keyFree(read);
      if (!used) throw new Error('OpenSSL does not take the key');
    });
  }

  #useChain(cert: string): void {
    const ssl = this.#ssl;
    withBio(ssl, cert, (bio) => {
      const own = ssl.readCertificate(bio, 0, 0, 0);
      const used = own !== 0 && ssl.useCertificate(this.#context, own) === 1;
      ssl.certificateFree(own);
      if (!used) throw new Error('OpenSSL does not take the certificate');
      for (;;) {
        const next = ssl.readCertificate(bio, 0, 0, 0);
        if (next === 0) return;
        // The context owns it from here on.
        if (ssl.contextControl(this.#context, command.chainCertificate, 0, next) !== 1) ssl.certificateFree(next);
      }
    });
  }
}

function withBio(ssl: Ssl, text: string, use: (bio: number) => void): void {
  // OpenSSL reads it where it is, for as long as the BIO lives.
  const bytes = new Uint8Array(new ArrayBuffer(Buffer.byteLength(text)));
  bytes.set(Buffer.from(text));
  const bio = ssl.bioFrom(ssl.addressOf(bytes), bytes.length);
  try {
    use(bio);
  } finally {
    ssl.bioFree(bio);
    bytes.fill(0);
  }
}

/** One connection's TLS. After {@link TlsSession.close} every call fails, and reaches no memory that was freed. */
export class TlsSession {
  readonly #ssl: Ssl;
  readonly #incoming: number;
  readonly #outgoing: number;
  #session: number;
  #in = 0;
  #out = 0;

  constructor(ssl: Ssl, context: number) {
    this.#ssl = ssl;
    this.#incoming = ssl.addressOf(incoming);
    this.#outgoing = ssl.addressOf(outgoing);
    this.#session = ssl.sessionNew(context);
    const method = ssl.memoryBio();
    this.#in = ssl.bioNew(method);
    this.#out = ssl.bioNew(method);
    if (this.#session === 0 || this.#in === 0 || this.#out === 0) throw new Error('OpenSSL has no memory');
    ssl.setBios(this.#session, this.#in, this.#out);
    ssl.acceptState(this.#session);
  }

  /** Puts in what came. `address` is where it is, 0 if that is not known. */
  feed(bytes: Uint8Array, address: number): void {
    if (this.#session === 0) return;
    // Errors are the thread's: one that somebody left would be taken for this session's.
    this.#ssl.clearErrors();
    if (address !== 0) {
      this.#ssl.bioWrite(this.#in, address, bytes.length);
      return;
    }
    for (let at = 0; at < bytes.length; at += memoryBytes) {
      const part = bytes.subarray(at, at + memoryBytes);
      incoming.set(part);
      this.#ssl.bioWrite(this.#in, this.#incoming, part.length);
    }
  }

  handshake(): TlsProgress {
    if (this.#session === 0) return 'failed';
    const result = this.#ssl.handshake(this.#session);
    return result === 1 ? 'done' : this.#progress(result);
  }

  /** The next piece of what the client said, borrowed until anything else is called; else why there is none. */
  read(): Uint8Array | Exclude<TlsProgress, 'done'> {
    if (this.#session === 0) return 'failed';
    const length = this.#ssl.read(this.#session, this.#incoming, memoryBytes);
    return length > 0 ? incoming.subarray(0, length) : this.#progress(length);
  }

  /** False: nothing more can be said. */
  write(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at += memoryBytes) {
      if (this.#session === 0) return false;
      const part = bytes.subarray(at, at + memoryBytes);
      outgoing.set(part);
      const written = this.#ssl.write(this.#session, this.#outgoing, part.length);
      if (written === part.length) continue;
      this.#ssl.clearErrors();
      return false;
    }
    return true;
  }

  /** What is to go to the client, borrowed until anything else is called; null: nothing more. */
  take(): Uint8Array | null {
    if (this.#session === 0) return null;
    const length = this.#ssl.bioRead(this.#out, this.#outgoing, memoryBytes);
    return length > 0 ? outgoing.subarray(0, length) : null;
  }

  /** Says goodbye; {@link take} has it. */
  end(): void {
    if (this.#session === 0) return;
    this.#ssl.shutdown(this.#session);
    this.#ssl.clearErrors();
  }

  close(): void {
    if (this.#session === 0) return;
    const session = this.#session;
    this.#session = 0;
    // With the two BIOs.
    this.#ssl.sessionFree(session);
  }

  #progress(result: number): Exclude<TlsProgress, 'done'> {
    const error = this.#ssl.errorOf(this.#session, result);
    if (error === wantRead) return 'more';
    this.#ssl.clearErrors();
    return error === zeroReturn ? 'ended' : 'failed';
  }
}

let loaded: OpensslTls | null | undefined;

/** Loads once. Null where koffi has no binary, or Node no OpenSSL 3 whose functions can be seen. */
export function loadOpensslTls(): OpensslTls | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}

function load(): OpensslTls | null {
  if (!process.versions.openssl.startsWith('3.') || !isMainThread) return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    return koffi.sizeof('void *') === 8 ? new OpensslTls(openSsl(koffi)) : null;
  } catch {
    return null;
  }
}

function openSsl(koffi: Koffi): Ssl {
  const node = koffi.load(null);
  const pem = 'uintptr_t bio, uintptr_t to, uintptr_t callback, uintptr_t argument';
  return {
    serverMethod: node.func('uintptr_t TLS_server_method()'),
    contextNew: node.func('uintptr_t SSL_CTX_new(uintptr_t method)'),
    contextFree: node.func('void SSL_CTX_free(uintptr_t context)'),
    contextControl: node.func(
      'int64_t SSL_CTX_ctrl(uintptr_t context, int command, int64_t argument, uintptr_t pointer)',
    ),
    contextOptions: node.func('uint64_t SSL_CTX_set_options(uintptr_t context, uint64_t options)'),
    cipherList: node.func('int SSL_CTX_set_cipher_list(uintptr_t context, const char *names)'),
    cipherSuites: node.func('int SSL_CTX_set_ciphersuites(uintptr_t context, const char *names)'),
    sessionId: node.func('int SSL_CTX_set_session_id_context(uintptr_t context, const char *id, unsigned int length)'),
    useCertificate: node.func('int SSL_CTX_use_certificate(uintptr_t context, uintptr_t certificate)'),
    useKey: node.func('int SSL_CTX_use_PrivateKey(uintptr_t context, uintptr_t key)'),
    sessionNew: node.func('uintptr_t SSL_new(uintptr_t context)'),
    sessionFree: node.func('void SSL_free(uintptr_t session)'),
    acceptState: node.func('void SSL_set_accept_state(uintptr_t session)'),
    setBios: node.func('void SSL_set_bio(uintptr_t session, uintptr_t read, uintptr_t write)'),
    handshake: node.func('int SSL_do_handshake(uintptr_t session)'),
    read: node.func('int SSL_read(uintptr_t session, uintptr_t to, int length)'),
    write: node.func('int SSL_write(uintptr_t session, uintptr_t from, int length)'),
    shutdown: node.func('int SSL_shutdown(uintptr_t session)'),
    errorOf: node.func('int SSL_get_error(uintptr_t session, int result)'),
    memoryBio: node.func('uintptr_t BIO_s_mem()'),
    bioNew: node.func('uintptr_t BIO_new(uintptr_t method)'),
    bioFrom: node.func('uintptr_t BIO_new_mem_buf(uintptr_t text, int length)'),
    bioFree: node.func('int BIO_free(uintptr_t bio)'),
    bioRead: node.func('int BIO_read(uintptr_t bio, uintptr_t to, int length)'),
    bioWrite: node.func('int BIO_write(uintptr_t bio, uintptr_t from, int length)'),
    readCertificate: node.func(`uintptr_t PEM_read_bio_X509(${pem})`),
    readKey: node.func(`uintptr_t PEM_read_bio_PrivateKey(${pem})`),
    certificateFree: node.func('void X509_free(uintptr_t certificate)'),
    keyFree: node.func('void EVP_PKEY_free(uintptr_t key)'),
    clearErrors: node.func('void ERR_clear_error()'),
    addressOf: (bytes) => Number(koffi.address(bytes)),
  };
}
