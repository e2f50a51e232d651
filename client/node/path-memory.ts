/**
 * What a network needed before: the rung that carried media there last, so that the next join begins with it and does not
 * find out anew.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { parseIpAddress, rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';

export interface RememberedPath {
  readonly rung: Rung;
  /** When it was noted, in ms since 1970. */
  readonly at: number;
}

/**
 * Where it is kept: in this process unless the application gives something that outlives it. Networks are named by a hash of
 * what identifies them and the edge: it tells nobody an address.
 */
export interface PathMemory {
  get(network: string): RememberedPath | undefined;
  set(network: string, path: RememberedPath): void;
}

/** A rung that carried media for so long is worth remembering. */
export const holdMs = 5_000;
/** Older notes say nothing: networks change. */
const validForMs = 30 * 86_400_000;
const maxNetworks = 64;

/** A memory that lasts as long as this object; the network noted longest ago goes first. */
export function createPathMemory(): PathMemory {
  const paths = new Map<string, RememberedPath>();
  return {
    get: (network) => paths.get(network),
    set: (network, path) => {
      paths.delete(network);
      paths.set(network, path);
      const [oldest] = paths.keys();
      if (oldest !== undefined && paths.size > maxNetworks) paths.delete(oldest);
    },
  };
}

/** The one that joins use if the application gives none. */
export const processPathMemory: PathMemory = createPathMemory();

/** What tells one network from another, as far as this machine knows: its addresses there, and the gateway. */
export function networkFacts(): readonly string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    // Link-local ones are the same everywhere, and those of IPv6 change by themselves: their network does not.
    .filter(({ internal, scopeid }) => !internal && (scopeid ?? 0) === 0)
    .map(({ family, address, cidr }) => (family === 'IPv4' ? (cidr ?? address) : prefixOf(address)));
  return [...new Set(addresses)].sort().concat(defaultGateways());
}

/** `edgeHost`: the host, and the port if it is not the usual one. */
export function networkId(edgeHost: string, facts: readonly string[] = networkFacts()): string {
  return createHash('sha256')
    .update([edgeHost.toLowerCase(), ...facts].join('\n'))
    .digest('base64url')
    .slice(0, 22);
}

export interface NetworkMemoryOptions {
  readonly memory: PathMemory;
  readonly edgeHost: string;
  readonly clock: ClientClock;
  /** Ms since 1970. */
  readonly unixNow: () => number;
}

/** The memory of one call. What the application's memory throws is reported by the environment; the call goes on. */
export class NetworkMemory {
  readonly #options: NetworkMemoryOptions;
  #timer: unknown = null;

  constructor(options: NetworkMemoryOptions) {
    this.#options = options;
  }

  /** The rung that the present network needed last; null when it is not known. */
  recall(): Rung | null {
    const { memory, edgeHost, unixNow } = this.#options;
    const found = guarded(() => memory.get(networkId(edgeHost)));
    if (found === undefined || !rungs.includes(found.rung)) return null;
    const age = unixNow() - found.at;
    return age >= 0 && age < validForMs ? found.rung : null;
  }

  /** Media goes on this rung; null: not by the ladder's choice. It is noted when it stays. */
  moved(rung: Rung | null): void {
    this.close();
    if (rung === null) return;
    const { memory, edgeHost, clock, unixNow } = this.#options;
    this.#timer = clock.setTimer(() => {
      this.#timer = null;
      // Where the machine is now; it may have moved since the join.
      guarded(() => {
        memory.set(networkId(edgeHost), { rung, at: unixNow() });
      });
    }, holdMs);
  }

  /** Idempotent. */
  close(): void {
    if (this.#timer !== null) this.#options.clock.clearTimer(this.#timer);
    this.#timer = null;
  }
}

function guarded<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
    return undefined;
  }
}

/** The 64 bits of an IPv6 address that name its network (RFC 4291 section 2.5.1). */
function prefixOf(address: string): string {
  return Buffer.from(parseIpAddress(address)?.subarray(0, 8) ?? []).toString('hex');
}

/** Of IPv4, where Linux tells them (proc_pid_net(5)): destination 0 in hexadecimal. Elsewhere none. */
function defaultGateways(): readonly string[] {
  try {
    const rows = readFileSync('/proc/net/route', 'utf8').split('\n').slice(1);
    return rows.map((row) => row.split('\t')).flatMap(([, to, gateway = '']) => (to === '00000000' ? [gateway] : []));
  } catch {
    return [];
  }
}
