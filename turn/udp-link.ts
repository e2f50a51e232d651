import type { TransportAddress } from '../tunnel-protocol/index.ts';
import { AddressTable } from './address-table.ts';
import type { Allocation } from './allocation.ts';
import { ClientLink } from './client-link.ts';

/** A UDP socket that clients send to, bound to one address. The gateway owns it. */
export interface TurnUdpSocket {
  readonly local: TransportAddress;
  /** The bytes are given away. */
  send(datagram: Uint8Array, port: number, address: string): void;
}

/** A client of a UDP listener. Exists as long as its allocation; for anybody else, as long as its request. */
export class UdpLink extends ClientLink {
  readonly kind = 'turn-udp';
  readonly padded = false;
  readonly address: string;
  readonly port: number;
  readonly #socket: TurnUdpSocket;
  readonly #table: AddressTable<UdpLink>;

  constructor(socket: TurnUdpSocket, table: AddressTable<UdpLink>, address: string, port: number) {
    super({ address, port }, socket.local);
    this.address = address;
    this.port = port;
    this.#socket = socket;
    this.#table = table;
  }

  open(length: number): boolean {
    this.bytes = Buffer.allocUnsafe(length);
    return true;
  }

  commit(): void {
    this.#socket.send(this.bytes, this.port, this.address);
  }

  sendMessage(message: Uint8Array): void {
    this.#socket.send(message, this.port, this.address);
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
