/** Chooses the HTTP engine. */
import { createNodeEngine } from './node-engine.ts';
import { createUwsEngine } from './uws-engine.ts';
import type { CertificateFiles, HttpApplication, HttpEngine } from './http-engine.ts';

export * from './http-engine.ts';
export { probePort } from './probe-port.ts';

export interface EngineDeps {
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/**
 * `auto` takes uWebSockets.js where it loads, and Node's own server elsewhere, with a word in the log about the cost.
 * Rejects when `uws` is demanded and does not load, and when the certificate files are not usable.
 */
export async function createEngine(
  choice: 'auto' | 'uws' | 'node',
  files: CertificateFiles,
  application: HttpApplication,
  { log }: EngineDeps,
): Promise<HttpEngine> {
  if (choice === 'node') return createNodeEngine(files, application);
  let native: typeof import('uWebSockets.js');
  try {
    // Dynamic, because a static import of a module without a binary for this Node ends the process.
    native = await import('uWebSockets.js');
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
    if (choice === 'uws') throw new Error(`SALLYPORT_ENGINE is uws, but uWebSockets.js does not load: ${why}`);
    log.warn(
      { engine: 'node', node: process.version, why },
      'uWebSockets.js has no binary for this Node: serving with node:https and ws, at 1.3 to 2 times the CPU per tunnel message; Node 20 or 22 would serve with uWebSockets.js',
    );
    return createNodeEngine(files, application);
  }
  return createUwsEngine(native, files, application);
}
