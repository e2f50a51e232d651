/**
 * Requests of HTTP tunnels that reach an edge which does not have their connection, as when a balancer sprays them: they
 * are passed on to the edge that has it. The first edge that claims a connection in the directory has it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { DirectoryDown, directoryTimes, type Directory, type EdgeRecord } from './directory/index.ts';
import type { ExchangeEvents, HttpExchange, RequestHead } from './engine/index.ts';
import { Forwarder, withForwardedClient, type ForwardTarget } from './forward/index.ts';
import type { Secret } from './secret.ts';

export interface StraysDeps {
  readonly directory: Directory;
  readonly edgeId: string;
  /** Who that is; null for one that does not live. */
  readonly edge: (id: string) => EdgeRecord | null;
  /** That all edges know, and nobody else. */
  readonly secret: Secret;
  readonly failed: (code: string) => void;
}

/** Where a connection is: here, if anywhere; or at another edge. */
export type Whereabouts = 'here' | ForwardTarget;

/** Longer than an edge holds an answer back. */
const silenceMs = 60_000;
const maxKnown = 20_000;

export class Strays {
  readonly #deps: StraysDeps;
  readonly #forwarder: Forwarder;
  readonly #secret: string;
  /** Where connections were found that are not here; the ones put longest ago come first. */
  readonly #known = new Map<string, string>();
  /** Connections of this edge whose requests others pass on, and when their claim was renewed. */
  readonly #claimed = new Map<string, number>();
  /** Requests that were passed on. */
  forwarded = 0;

  constructor(deps: StraysDeps) {
    this.#deps = deps;
    this.#secret = derive(deps.secret, 'forwarder');
    this.#forwarder = new Forwarder({
      timeoutMs: silenceMs,
      secret: this.#secret,
      onFailure: (code) => {
        deps.failed(code);
      },
    });
  }

  /** The request with its client's address; null where no other edge has passed it on. */
  received(head: RequestHead): RequestHead | null {
    const told = withForwardedClient(head, this.#secret);
    return told === head ? null : told;
  }

  /** `isFresh`: the request may begin the connection, which then is the edge's that claims it first. */
  async find(session: string, connection: string, isFresh: boolean): Promise<Whereabouts> {
    const { directory, edgeId } = this.#deps;
    const key = `${session} ${connection}`;
    let owner: string | null = this.#known.get(key) ?? null;
    try {
      if (owner === null && isFresh) owner = await directory.claimConnection(session, connection, edgeId);
      owner ??= await directory.findConnection(session, connection);
    } catch (error) {
      if (!(error instanceof DirectoryDown)) throw error;
      return 'here';
    }
    const target = owner === null || owner === edgeId ? null : this.#target(owner);
    if (owner === null || target === null) {
      this.#known.delete(key);
      return 'here';
    }
    putBounded(this.#known, key, owner);
    return target;
  }

  /** Another edge passed on a request of this connection: others may ask for it later. */
  renew(session: string, connection: string, nowMs: number): void {
    const { directory, edgeId } = this.#deps;
    const key = `${session} ${connection}`;
    const before = this.#claimed.get(key);
    if (before !== undefined && nowMs - before < directoryTimes.sessionRenewMs) return;
    putBounded(this.#claimed, key, nowMs);
    directory.claimConnection(session, connection, edgeId).catch((error: unknown) => {
      // It says so itself, once.
      if (!(error instanceof DirectoryDown)) throw error;
    });
  }

  forward(head: RequestHead, exchange: HttpExchange, target: ForwardTarget): ExchangeEvents {
    this.forwarded++;
    return this.#forwarder.forward(head, exchange, target);
  }

  close(): void {
    this.#forwarder.close();
  }

  /** Null for an edge that does not live, or that cannot have written what the directory says of it. */
  #target(id: string): ForwardTarget | null {
    const record = this.#deps.edge(id);
    if (record === null || !sameText(record.proof, edgeProof(this.#deps.secret, record))) return null;
    const { hostname, port } = new URL(record.url);
    return {
      at: { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 443 : Number(port) },
      tls: { fingerprint: record.fingerprint },
      clientScheme: 'https',
      maxBodyBytes: Infinity,
    };
  }
}

/** Forgets what was put longest ago. */
function putBounded<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= maxKnown) break;
    map.delete(oldest);
  }
}

/** Of an edge's record. */
export function edgeProof(
  secret: Secret,
  { id, instance, url, fingerprint }: Pick<EdgeRecord, 'id' | 'instance' | 'url' | 'fingerprint'>,
): string {
  return derive(secret, `edge ${id} ${instance} ${url} ${fingerprint}`);
}

function derive(secret: Secret, purpose: string): string {
  return createHmac('sha256', secret.reveal()).update(`sallyport ${purpose}`).digest('hex');
}

/** Both are of a known length where they are right. */
function sameText(a: unknown, b: string): boolean {
  const [given, expected] = [Buffer.from(typeof a === 'string' ? a : ''), Buffer.from(b)];
  return given.length === expected.length && timingSafeEqual(given, expected);
}
