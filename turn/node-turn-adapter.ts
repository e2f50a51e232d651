/**
 * node-turn 0.0.6 behind our validator: its message reading and dispatch of control messages, and its allocation
 * records, found by five-tuple. It sees no byte from the wire, only messages that our codec decoded, checked,
 * authenticated and encoded anew; none of its own bytes reach the wire. Its listeners, nonces, credentials, handlers,
 * timers and relay sockets stay unused: each of them has holes that nothing but removal closes.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { formatIpAddress, parseIpAddress, type TransportAddress } from '../tunnel-protocol/index.ts';

/** The two ends of a client's connection to the server. */
export interface FiveTuple {
  readonly transport: 'udp' | 'tcp' | 'tls';
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
}

/** node-turn's `Allocation`, as far as we use it. */
export interface AllocationRecord {
  readonly fiveTuple: string;
  /** Of the Allocate request that made it, in hexadecimal. */
  readonly transactionID: string;
  readonly user: { readonly username: string };
}

/** What a dispatched message asks for. */
export interface DispatchedRequest {
  readonly lifetime: number | null;
  readonly channelNumber: number | null;
  readonly peers: readonly TransportAddress[];
  /** The allocation of the five-tuple; null for Allocate. */
  readonly record: AllocationRecord | null;
  /** For Allocate: enters the new allocation into the registry. */
  register(relayed: TransportAddress, lifetimeSeconds: number, username: string): AllocationRecord;
}

export const dispatchedMethods = ['allocate', 'refresh', 'create_permission', 'channel_bind'] as const;
export type DispatchedMethod = (typeof dispatchedMethods)[number];
export type DispatchHandlers<Context> = Record<
  DispatchedMethod,
  (request: DispatchedRequest, context: Context) => void
>;

export class NodeTurnDispatch<Context> {
  readonly #server: NodeTurnServer;
  #context: Context | null = null;

  constructor(realm: string, handlers: DispatchHandlers<Context>) {
    // Authentication 'none': whatever arrives here has been authenticated. The address is never listened on.
    const server = new Server({ authMech: 'none', realm, listeningIps: ['127.0.0.1'], debugLevel: 'OFF', log: ignore });
    server.allocations = Object.create(null) as Record<string, NodeTurnAllocation>;
    for (const event of [...dispatchedMethods, 'send', 'binding']) server.removeAllListeners(event);
    for (const method of dispatchedMethods) {
      server.on(method, (message: NodeTurnMessage) => {
        handlers[method](readRequest(message), this.#context as Context);
      });
    }
    this.#server = server;
  }

  /** Number of allocation records. */
  get size(): number {
    return Object.keys(this.#server.allocations).length;
  }

  find(tuple: FiveTuple): AllocationRecord | null {
    return this.#server.allocations[transportOf(tuple).get5Tuple()] ?? null;
  }

  /**
   * Calls the handler of the message's method, before it returns. `canonical` is a request of our own encoding.
   * False when node-turn did not dispatch it, which no valid request makes happen.
   */
  dispatch(tuple: FiveTuple, canonical: Uint8Array, context: Context): boolean {
    const message = new Message(this.#server, transportOf(tuple));
    // node-turn changes the prototype of the buffer it reads: give it one of its own.
    if (!message.read(Buffer.from(canonical))) return false;
    this.#context = context;
    try {
      return this.#server.emit('message', message);
    } finally {
      this.#context = null;
    }
  }

  forget(record: AllocationRecord): void {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- node-turn's registry is an object, made without a prototype
    if (this.#server.allocations[record.fiveTuple] === record) delete this.#server.allocations[record.fiveTuple];
  }
}

function readRequest(message: NodeTurnMessage): DispatchedRequest {
  const lifetime = message.getAttribute('lifetime');
  const channelNumber = message.getAttribute('channel-number');
  const peers = message.getAttributes('xor-peer-address') as readonly NodeTurnAddress[];
  return {
    lifetime: typeof lifetime === 'number' ? lifetime : null,
    channelNumber: typeof channelNumber === 'number' ? channelNumber : null,
    peers: peers.map(({ address, port }) => ({ address: canonical(address), port })),
    record: message.allocation,
    register: (relayed, lifetimeSeconds, username) => {
      message.setUser({ username });
      // The record hangs its relay handler on the socket: this one never emits.
      const socket = { address: () => ({ ...relayed, address: expanded(relayed.address) }), on: ignore };
      const record = new Allocation(message, [socket], lifetimeSeconds);
      // Expiry is ours, on our clock.
      clearTimeout(record.timer);
      return record;
    },
  };
}

function transportOf({ transport, remote, local }: FiveTuple): NodeTurnTransport {
  const source = new Address(expanded(remote.address), remote.port);
  const destination = new Address(expanded(local.address), local.port);
  return new Transport(transport === 'udp' ? 17 : 6, source, destination, { send: ignore });
}

/** All eight groups: node-turn expands "::" wrongly, so that two addresses could become one. */
function expanded(address: string): string {
  const ip = parseIpAddress(address);
  if (ip?.length !== 16) return address;
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((((ip[i] as number) << 8) | (ip[i + 1] as number)).toString(16));
  return groups.join(':');
}

function canonical(address: string): string {
  const ip = parseIpAddress(address);
  return ip === null ? address : formatIpAddress(ip);
}

function ignore(): void {
  // node-turn logs, and sends, into nothing.
}

interface NodeTurnServer extends EventEmitter {
  allocations: Record<string, NodeTurnAllocation>;
}
interface NodeTurnAddress {
  readonly address: string;
  readonly port: number;
}
interface NodeTurnTransport {
  get5Tuple(): string;
}
interface NodeTurnAllocation extends AllocationRecord {
  readonly timer: NodeJS.Timeout;
}
interface NodeTurnMessage {
  readonly allocation: NodeTurnAllocation | null;
  read(bytes: Buffer): boolean;
  getAttribute(name: string): unknown;
  getAttributes(name: string): readonly unknown[];
  setUser(user: { readonly username: string }): void;
}
type Ignored = () => void;

const load = createRequire(import.meta.url);
const Server = load('node-turn') as new (config: object) => NodeTurnServer;
const Message = load('node-turn/lib/message') as new (
  server: NodeTurnServer,
  transport: NodeTurnTransport,
) => NodeTurnMessage;
const Transport = load('node-turn/lib/transport') as new (
  protocol: number,
  source: NodeTurnAddress,
  destination: NodeTurnAddress,
  socket: { readonly send: Ignored },
) => NodeTurnTransport;
const Address = load('node-turn/lib/address') as new (address: string, port: number) => NodeTurnAddress;
const Allocation = load('node-turn/lib/allocation') as new (
  message: NodeTurnMessage,
  sockets: readonly { readonly address: () => NodeTurnAddress; readonly on: Ignored }[],
  lifetimeSeconds: number,
) => NodeTurnAllocation;
