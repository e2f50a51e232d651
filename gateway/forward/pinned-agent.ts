/** Connections to upstreams that are known by their certificate itself: nothing is written to any other. */
import { Agent } from 'node:https';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';

/** Of a request, besides those of `node:https`. */
export interface PinnedOptions extends ConnectionOptions {
  readonly fingerprint: string;
}

type Created = (error: Error | null, stream: Duplex) => void;

export class PinnedAgent extends Agent {
  /** Gives the connection out when it has proved itself. Whoever issued the certificate, and for whom, does not matter. */
  override createConnection(options: PinnedOptions, created?: Created): Duplex | null | undefined {
    const socket: TLSSocket = connect({ ...options, rejectUnauthorized: false, minVersion: 'TLSv1.2' });
    const fail = (error: Error): void => {
      socket.destroy();
      created?.(error, socket);
    };
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.off('error', fail);
      if (socket.getPeerCertificate().fingerprint256 === options.fingerprint) created?.(null, socket);
      else fail(new Error('the upstream shows another certificate than the directory names'));
    });
    return undefined;
  }

  /** A connection to one certificate serves no request that is meant for another one. */
  override getName(options?: Partial<PinnedOptions>): string {
    return `${super.getName(options)}:${options?.fingerprint ?? ''}`;
  }
}
