/** The HTTP engine: which one serves HTTP/1.1, and the servers for the rest. */
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { CertificateSet } from '../certificates.ts';
import type { HttpApplication, HttpEngine } from './http-engine.ts';
import { NodeHttp1 } from './node-http1.ts';
import { NodeHttp2 } from './node-http2.ts';
import { UwsApplication } from './uws-application.ts';
import { UwsApps, type Uws } from './uws-apps.ts';

export * from './http-engine.ts';
export { probePort } from './probe-port.ts';

export interface EngineDeps {
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  /** No descriptors can be had, so uWebSockets.js gets its connections by way of ports on loopback. */
  readonly splice: boolean;
  /** Who is behind an address of such a connection; null for any other address. */
  readonly peerBehind: (address: string) => TransportAddress | null;
}

/**
 * `auto` takes uWebSockets.js where it loads, and Node's own server elsewhere, with a word in the log about the cost.
 * Rejects when `uws` is demanded and does not load, and when the certificates are not usable.
 */
export async function createEngine(
  choice: 'auto' | 'uws' | 'node',
  certificates: CertificateSet,
  application: HttpApplication,
  deps: EngineDeps,
): Promise<HttpEngine> {
  const native = choice === 'node' ? null : await loadUws(choice, deps);
  const apps =
    native === null
      ? null
      : new UwsApps(native, certificates, new UwsApplication(application, deps.peerBehind), deps.splice);
  const http1 = new NodeHttp1(application);
  const h2 = new NodeHttp2(application);
  let closed = false;
  return {
    name: apps === null ? 'node' : 'uws',
    uws: apps?.handler ?? null,
    http1: http1.server,
    h2: h2.server,
    reloadCertificates: (fresh) => {
      apps?.reload(fresh);
    },
    close: () => {
      if (closed) return;
      closed = true;
      h2.close();
      http1.close();
      apps?.close();
    },
  };
}

async function loadUws(choice: 'auto' | 'uws', { log }: EngineDeps): Promise<Uws | null> {
  try {
    // Dynamic, because a static import of a module without a binary for this Node ends the process.
    return await import('uWebSockets.js');
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
    if (choice === 'uws') throw new Error(`SALLYPORT_ENGINE is uws, but uWebSockets.js does not load: ${why}`);
    log.warn(
      { engine: 'node', node: process.version, why },
      'uWebSockets.js has no binary for this Node: serving with node:http and ws, at 1.3 to 2 times the CPU per tunnel message; Node 20 or 22 would serve with uWebSockets.js',
    );
    return null;
  }
}
