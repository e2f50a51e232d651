/** The short cut: a relayed address and the SFU in this process, as a path without sockets between them. */
import type { Path, TransportAddress } from '../tunnel-protocol/index.ts';
import type { Allocation, Peer } from './allocation.ts';
import type { TurnKind } from './client-link.ts';

/** An Ethernet frame without the headers of IPv6, UDP and a Data indication for an IPv6 peer. */
const datagramMtuBytes = 1404;
/** A STUN message of 2048 bytes without the same header. */
const streamMtuBytes = 2000;

export class TurnPath implements Path {
  readonly kind: TurnKind;
  readonly reliable: boolean;
  readonly ordered: boolean;
  readonly mtu: number;
  /** The relayed address: that is where an SFU elsewhere would see the datagrams come from. */
  readonly remote: TransportAddress;
  owner: unknown = null;
  readonly #allocation: Allocation;
  readonly #peer: Peer;
  #closed = false;

  constructor(allocation: Allocation, peer: Peer) {
    this.kind = allocation.link.kind;
    this.reliable = this.kind !== 'turn-udp';
    this.ordered = this.reliable;
    this.mtu = this.reliable ? streamMtuBytes : datagramMtuBytes;
    this.remote = allocation.relayed;
    this.#allocation = allocation;
    this.#peer = peer;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(datagram: Uint8Array): boolean {
    return !this.#closed && this.#allocation.toClient(this.#peer, datagram);
  }

  /** The allocation keeps the path, whether or not it is bound: its client has authenticated. */
  bind(): void {
    // Nothing to keep.
  }

  unbind(): void {
    this.owner = null;
  }

  /** The next datagram of the client comes with a new path. */
  close(): void {
    this.#closed = true;
    this.owner = null;
  }
}
