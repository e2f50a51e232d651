/**
 * TLS without ALPN, past Node: most TURN clients, whose packets cost a third less so, and a few of HTTP. What the client
 * speaks is known after the handshake.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { ticketKeyBytes, TlsConnection, type Libc, type OpensslTls, type TlsServerContext } from '../libc/index.ts';
import { emitConnection } from './dispatcher.ts';
import { classifyOpening } from './opening.ts';
import type { CutReason, Opening } from './openings.ts';
import { TlsStream } from './tls-stream.ts';
import type { DemuxCounters, DemuxHandlers, NativeCertificates, Origin } from './types.ts';

/** What a client that does not read may have waiting. */
const maxUnsentBytes = 262_144;

export interface NativeTlsDeps {
  readonly libc: Libc;
  readonly openssl: OpensslTls;
  readonly handlers: DemuxHandlers;
  readonly counters: DemuxCounters;
}

export class NativeTls {
  readonly #deps: NativeTlsDeps;
  /** Kept over a reload, so that tickets given before are good after. */
  readonly #ticketKeys = new Uint8Array(randomBytes(ticketKeyBytes));
  #certificates: NativeCertificates;
  #contexts: readonly TlsServerContext[];

  /** Throws when the certificates are not usable. */
  constructor(deps: NativeTlsDeps, certificates: NativeCertificates) {
    this.#deps = deps;
    this.#certificates = certificates;
    this.#contexts = this.#open(certificates);
  }

  /** New handshakes get them; throws, and changes nothing, when they are not usable. */
  setCertificates(certificates: NativeCertificates): void {
    const fresh = this.#open(certificates);
    this.close();
    this.#contexts = fresh;
    this.#certificates = certificates;
  }

  /** False: nothing was done, and Node can still do it. */
  accept(socket: Socket, { remote }: Origin, opening: Opening, serverName: string): boolean {
    const context = this.#contexts[this.#certificates.indexFor(serverName)];
    if (context === undefined) return false;
    const connection = TlsConnection.of(socket, this.#deps.libc, context, maxUnsentBytes);
    if (connection === null) return false;
    const { counters, handlers } = this.#deps;
    let seen: Uint8Array = new Uint8Array(0);
    opening.cut = (reason: CutReason) => {
      counters.refused[reason]++;
      socket.destroy();
    };
    socket.setNoDelay(true);
    connection.start({
      data: (bytes) => {
        seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes]);
        const kind = classifyOpening(seen, seen.length);
        if (kind === 'more') {
          seen = new Uint8Array(seen);
          return;
        }
        opening.release();
        if (kind === 'stun') {
          counters.kinds['turn-tls']++;
          handlers.turnNativeTls(connection, remote, seen);
        } else {
          // Whatever else it is: the HTTP server knows how to refuse it.
          counters.kinds['tls-http1-late']++;
          emitConnection(handlers.http1, new TlsStream(connection, seen));
        }
      },
      ended: () => {
        connection.close();
      },
      closed: () => {
        // When it was cut, it was counted by that reason.
        if (opening.release()) counters.refused[connection.secured ? 'ended' : 'tls-failed']++;
      },
    });
    return true;
  }

  /** Connections go on. */
  close(): void {
    for (const context of this.#contexts) context.close();
    this.#contexts = [];
  }

  #open(certificates: NativeCertificates): TlsServerContext[] {
    const contexts: TlsServerContext[] = [];
    try {
      for (const options of certificates.nativeOptions()) {
        contexts.push(this.#deps.openssl.context({ ...options, ticketKeys: this.#ticketKeys }));
      }
    } catch (error) {
      for (const context of contexts) context.close();
      throw error;
    }
    return contexts;
  }
}
