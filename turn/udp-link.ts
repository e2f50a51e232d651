import type { TransportAddress } from '../tunnel-protocol/index.ts';
import { AddressTable } from './address-table.ts';
import type { Allocation } from './allocation.ts';
import { ClientLink } from './client-link.ts';

/**
 * A UDP socket that clients send to, bound to one address. The gateway owns it, and datagrams are written straight into
 * its memory. `A` is how it knows its clients' addresses.
 */
export interface TurnUdpSocket<A extends TransportAddress = TransportAddress> {
  readonly local: TransportAddress;
  /** Where the datagram that {@link open} made room for is to be written. */
  readonly bytes: Uint8Array;
  readonly at: number;
  /** Makes room for one datagram; false when it is to be dropped. */
  open(length: number): boolean;
  /** Sends what was written since {@link open}, to an address that was given to {@link TurnUdpInput.receive}. */
  commit(to: A): void;
}

/** A client of a UDP listener. Exists as long as its allocation; for anybody else, as long as its request. */
export class UdpLink<A extends TransportAddress> extends ClientLink {
  readonly kind = 'turn-udp';
  readonly padded = false;
  readonly address: string;
  readonly port: number;
  readonly #to: A;
  readonly #socket: TurnUdpSocket<A>;
  readonly #table: AddressTable<UdpLink<A>>;

  constructor(socket: TurnUdpSocket<A>, table: AddressTable<UdpLink<A>>, remote: A) {
    super({ address: remote.address, port: remote.port }, socket.local);
    this.address = remote.address;
    this.port = remote.port;
    this.#to = remote;
    this.#socket = socket;
    this.#table = table;
  }

  open(length: number): boolean {
    const socket = this.#socket;
    if (!socket.open(length)) return false;
    this.bytes = socket.bytes;
    this.at = socket.at;
    return true;
  }

  commit(): void {
    this.#socket.commit(this.#to);
  }

  attach(allocation: Allocation): void {
    this.allocation = allocation;
    this.#table.add(this);
  }

  detach(): void {
    this.allocation = null;
    this.#table.remove(this.address, this.port);
  }
}
