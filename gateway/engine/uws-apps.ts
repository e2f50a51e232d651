/**
 * The apps of uWebSockets.js: one for plain HTTP and one for each certificate. It could choose a certificate by name
 * itself, but prints a line to standard output for each name that it is told to serve.
 */
import type * as uws from 'uWebSockets.js';
import { uwsCiphers, type CertificateSet, type LoadedCertificate } from '../certificates.ts';
import type { UwsHandler } from '../demux/index.ts';
import type { UwsApplication } from './uws-application.ts';

export type Uws = typeof uws;

/** Absent from the typings. */
interface AdoptingApp {
  adoptSocket(fd: number): void;
}

const loopback = '127.0.0.1';

/** An app, and where it listens for connections that are copied to it. */
class App {
  readonly app: uws.TemplatedApp;
  readonly #native: Uws;
  #listening: uws.us_listen_socket | null = null;

  constructor(native: Uws, app: uws.TemplatedApp, application: UwsApplication, splice: boolean) {
    this.#native = native;
    this.app = app;
    application.attach(app);
    if (splice) this.#listen();
  }

  get port(): number {
    return this.#listening === null ? 0 : this.#native.us_socket_local_port(this.#listening);
  }

  adopt(fd: number): void {
    (this.app as unknown as AdoptingApp).adoptSocket(fd);
  }

  stopListening(): void {
    if (this.#listening !== null) this.#native.us_listen_socket_close(this.#listening);
    this.#listening = null;
  }

  #listen(): void {
    this.app.listen(loopback, 0, (socket) => {
      if (socket !== false) this.#listening = socket;
    });
    if (this.#listening === null) throw new Error(`uWebSockets.js cannot listen on ${loopback}`);
  }
}

export class UwsApps {
  readonly handler: UwsHandler;
  readonly #native: Uws;
  readonly #application: UwsApplication;
  readonly #splice: boolean;
  readonly #plain: App;
  #certificates: CertificateSet;
  /** In the order of the certificates. */
  #secure: readonly App[];
  /** Those of certificates before; they serve their connections until close. */
  readonly #former: App[] = [];

  /**
   * `splice`: the apps listen on loopback as well, for where descriptors cannot be had. Throws when a certificate is not
   * usable. The native module is given, because it may not load everywhere.
   */
  constructor(native: Uws, certificates: CertificateSet, application: UwsApplication, splice: boolean) {
    this.#native = native;
    this.#application = application;
    this.#splice = splice;
    this.#certificates = certificates;
    this.#secure = this.#createAll(certificates);
    this.#plain = new App(native, native.App(), application, splice);
    const adopting = {
      adoptTls: (fd: number, serverName: string) => {
        this.#appFor(serverName).adopt(fd);
      },
      adoptPlain: (fd: number) => {
        this.#plain.adopt(fd);
      },
    };
    const ports = { tlsPort: (serverName: string) => this.#appFor(serverName).port, plainPort: this.#plain.port };
    this.handler = splice ? { ...adopting, splice: ports } : adopting;
  }

  /** An app's certificate cannot be changed, so there are new apps for new connections. */
  reload(certificates: CertificateSet): void {
    const fresh = this.#createAll(certificates);
    for (const app of this.#secure) app.stopListening();
    this.#former.push(...this.#secure);
    this.#secure = fresh;
    this.#certificates = certificates;
  }

  close(): void {
    for (const { app } of [this.#plain, ...this.#secure, ...this.#former]) app.close();
    this.#former.length = 0;
  }

  #appFor(serverName: string): App {
    return (this.#secure[this.#certificates.indexFor(serverName)] ?? this.#secure[0]) as App;
  }

  #createAll(certificates: CertificateSet): readonly App[] {
    const made: App[] = [];
    try {
      for (const { files } of certificates.all) made.push(this.#createSecure(files));
      return made;
    } catch (error) {
      for (const { app } of made) app.close();
      throw error;
    }
  }

  #createSecure({ certFile, keyFile }: LoadedCertificate['files']): App {
    const app = this.#native.SSLApp({ cert_file_name: certFile, key_file_name: keyFile, ssl_ciphers: uwsCiphers });
    return new App(this.#native, app, this.#application, this.#splice);
  }
}
