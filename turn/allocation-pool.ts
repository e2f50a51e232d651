/** Makes allocations and ends them: quotas, ports, sockets, and the registries they stand in. */
import { stunError, type StunErrorCode, type TransportAddress } from '../tunnel-protocol/index.ts';
import { Allocation, type DataPlane } from './allocation.ts';
import type { Authenticated } from './authenticate.ts';
import type { ClientLink } from './client-link.ts';
import type { ResolvedTurnConfig } from './config.ts';
import type { PeerRules } from './peer-policy.ts';
import type { AllocationRecord } from './node-turn-adapter.ts';
import { PortPool } from './port-pool.ts';
import { Quotas } from './quotas.ts';
import type { CreateRelaySocket, RelaySocket } from './relay-socket.ts';
import type { Family, RelayWish } from './request.ts';

export interface OpenRequest {
  readonly link: ClientLink;
  readonly wish: RelayWish;
  readonly auth: Authenticated;
  readonly expiresAt: number;
  readonly now: number;
  /** Enters it into node-turn's registry. */
  readonly register: (relayed: TransportAddress) => AllocationRecord;
  readonly onOpened: (allocation: Allocation) => void;
  readonly onRefused: (error: StunErrorCode) => void;
}

export interface AllocationPoolOptions {
  readonly config: ResolvedTurnConfig;
  readonly plane: DataPlane;
  readonly random: (length: number) => Uint8Array;
  readonly createRelaySocket: CreateRelaySocket;
  /** False when no peer can be anybody but the SFU in this process: relayed addresses then need no socket. */
  readonly sockets: boolean;
  /** Whom allocations of this session may reach. */
  readonly peersOf: (sessionId: string) => PeerRules;
  readonly onClosed: (allocation: Allocation) => void;
}

/** Ports tried before an Allocate is answered 508. */
const bindAttempts = 8;

export class AllocationPool {
  readonly #options: AllocationPoolOptions;
  readonly #quotas: Quotas;
  readonly #ports: Readonly<Record<Family, PortPool>>;
  readonly #all = new Set<Allocation>();
  readonly #bySession = new Map<string, Set<Allocation>>();
  /** Five-tuples of clients whose socket is being bound. */
  readonly #pending = new Set<string>();
  #closed = false;

  constructor(options: AllocationPoolOptions) {
    this.#options = options;
    const { config, random } = options;
    const { min, max } = config.relayPorts;
    this.#quotas = new Quotas(config.limits);
    this.#ports = { ipv4: new PortPool(min, max, random), ipv6: new PortPool(min, max, random) };
  }

  get size(): number {
    return this.#all.size;
  }

  /** What is held besides allocations: 0 when there are none. */
  get held(): number {
    const { ipv4, ipv6 } = this.#ports;
    return this.#quotas.size + ipv4.used + ipv6.used + this.#bySession.size + this.#pending.size;
  }

  /**
   * True while an allocation for this client is being made: a retransmission is answered when that is done, and
   * another Allocate may come again later.
   */
  pending(link: ClientLink): boolean {
    return this.#pending.has(keyOf(link));
  }

  /** Calls one of the request's functions, perhaps before it returns. */
  open(request: OpenRequest): void {
    const { config, sockets } = this.#options;
    const { family, evenPort } = request.wish;
    const address = config.relay[family];
    if (address === undefined) {
      request.onRefused(stunError.addressFamilyNotSupported);
      return;
    }
    if (this.#closed || this.#all.size + this.#pending.size >= config.limits.allocations) {
      request.onRefused(stunError.insufficientCapacity);
      return;
    }
    const accounts = this.#quotas.open(request.auth.user.sessionId, request.link.remote.address, request.now);
    if (accounts === null) {
      request.onRefused(stunError.allocationQuotaReached);
      return;
    }
    const refuse = (): void => {
      this.#quotas.close(accounts.user, accounts.address);
      request.onRefused(stunError.insufficientCapacity);
    };
    const ready = (port: number): Allocation => {
      const relayed = { address: address.advertised, port };
      const { link, auth, expiresAt } = request;
      const allocation = new Allocation(
        {
          link,
          relayed,
          family,
          record: request.register(relayed),
          username: auth.user.username,
          sessionId: auth.user.sessionId,
          integrityKey: auth.key,
          ...accounts,
          expiresAt,
          peers: this.#options.peersOf(auth.user.sessionId),
        },
        this.#options.plane,
      );
      this.#enter(allocation);
      return allocation;
    };
    if (!sockets) {
      const port = this.#ports[family].take(evenPort);
      if (port === null) refuse();
      else request.onOpened(ready(port));
      return;
    }
    this.#bind(request, address.bind, ready, refuse);
  }

  /** Idempotent. */
  close(allocation: Allocation): void {
    if (!this.#all.delete(allocation)) return;
    const { sessionId, link } = allocation;
    const ofSession = this.#bySession.get(sessionId);
    ofSession?.delete(allocation);
    if (ofSession?.size === 0) this.#bySession.delete(sessionId);
    allocation.end();
    this.#ports[allocation.family].release(allocation.relayed.port);
    this.#quotas.close(allocation.user, allocation.address);
    link.detach();
    this.#options.plane.counters.allocations_ended++;
    this.#options.onClosed(allocation);
  }

  ofSession(sessionId: string): number {
    return this.#bySession.get(sessionId)?.size ?? 0;
  }

  endSession(sessionId: string): void {
    for (const allocation of [...(this.#bySession.get(sessionId) ?? [])]) this.close(allocation);
  }

  tick(now: number): void {
    for (const allocation of this.#all) if (allocation.expire(now)) this.close(allocation);
  }

  closeAll(): void {
    this.#closed = true;
    for (const allocation of [...this.#all]) this.close(allocation);
  }

  /** The connection of this client is gone, perhaps while its socket is being bound. */
  abandon(link: ClientLink): void {
    this.#pending.delete(keyOf(link));
    if (link.allocation !== null) this.close(link.allocation);
  }

  #enter(allocation: Allocation): void {
    this.#all.add(allocation);
    const ofSession = this.#bySession.get(allocation.sessionId);
    if (ofSession === undefined) this.#bySession.set(allocation.sessionId, new Set([allocation]));
    else ofSession.add(allocation);
    allocation.link.attach(allocation);
    this.#options.plane.counters.allocations_made++;
  }

  #bind(request: OpenRequest, bindAddress: string, ready: (port: number) => Allocation, refuse: () => void): void {
    const { createRelaySocket, plane } = this.#options;
    const { link } = request;
    const { family, evenPort } = request.wish;
    const key = keyOf(link);
    this.#pending.add(key);
    let allocation: Allocation | null = null;
    const tryPort = async (attempts: number): Promise<void> => {
      const port = this.#ports[family].take(evenPort);
      if (port === null) {
        this.#pending.delete(key);
        refuse();
        return;
      }
      let socket: RelaySocket;
      try {
        socket = await createRelaySocket({
          family,
          address: bindAddress,
          port,
          onMessage: (datagram, from) => allocation?.fromRelaySocket(datagram, from),
          onError: () => plane.counters.relay_socket_error++,
        });
      } catch {
        plane.counters.relay_socket_error++;
        this.#ports[family].release(port);
        if (attempts > 1) return tryPort(attempts - 1);
        this.#pending.delete(key);
        refuse();
        return;
      }
      // Gone in the meantime: the server closed, or the client's connection did.
      if (!this.#pending.delete(key) || this.#closed) {
        socket.close();
        this.#ports[family].release(port);
        refuse();
        return;
      }
      allocation = ready(port);
      allocation.socket = socket;
      request.onOpened(allocation);
    };
    void tryPort(bindAttempts);
  }
}

function keyOf({ kind, remote, local }: ClientLink): string {
  return `${kind} ${remote.address} ${String(remote.port)} ${local.address} ${String(local.port)}`;
}
