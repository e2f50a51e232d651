/** One UDP peer as a path, and the table of those that are bound. */
import { maxDatagramBytes, type Path, type TransportAddress } from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import type { UdpAddress, UdpSender } from './libc/index.ts';

/** An Ethernet frame without the headers of IPv6 and UDP. */
const mtuBytes = 1452;

/** The socket that a path sends from, and what it counts into. */
export interface UdpPort {
  readonly sender: UdpSender;
  readonly traffic: Traffic;
  readonly paths: UdpPathTable;
}

export class UdpPath implements Path {
  readonly kind = 'udp';
  readonly reliable = false;
  readonly ordered = false;
  readonly mtu = mtuBytes;
  readonly remote: TransportAddress;
  owner: unknown = null;
  /** The next path of the same remote port; belongs to {@link UdpPathTable}. */
  next: UdpPath | null = null;
  readonly #port: UdpPort;
  readonly #to: UdpAddress;
  #closed = false;

  constructor(port: UdpPort, to: UdpAddress) {
    this.#port = port;
    this.#to = to;
    this.remote = { address: to.address, port: to.port };
  }

  send(datagram: Uint8Array): boolean {
    const { sender, traffic } = this.#port;
    if (this.#closed) {
      traffic.dropped.closed++;
      return false;
    }
    if (datagram.length > maxDatagramBytes) {
      traffic.dropped.oversized++;
      return false;
    }
    if (!sender.send(datagram, this.#to)) {
      traffic.dropped['queue-full']++;
      return false;
    }
    traffic.sent++;
    return true;
  }

  sendFrom(memory: Uint8Array, at: number, length: number): boolean {
    const { sender, traffic } = this.#port;
    if (this.#closed) {
      traffic.dropped.closed++;
      return false;
    }
    if (!sender.open(length)) {
      traffic.dropped['queue-full']++;
      return false;
    }
    sender.bytes.set(memory.subarray(at, at + length), sender.at);
    sender.commit(this.#to);
    traffic.sent++;
    return true;
  }

  bind(): void {
    if (!this.#closed) this.#port.paths.add(this);
  }

  unbind(): void {
    this.#port.paths.remove(this);
  }

  /** Code and reason have nowhere to go on UDP. */
  close(): void {
    this.#closed = true;
    this.unbind();
  }

  /** When the socket itself goes. */
  forget(): void {
    this.#closed = true;
  }
}

/**
 * Bound paths by remote address. Looked up by port and then along a short chain, because no two peers of one address
 * share a port and few of all peers do: no key has to be built per datagram.
 */
export class UdpPathTable {
  readonly #byPort = new Map<number, UdpPath>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(address: string, port: number): UdpPath | null {
    let path = this.#byPort.get(port) ?? null;
    while (path !== null && path.remote.address !== address) path = path.next;
    return path;
  }

  /** A path already there for the same remote is replaced. */
  add(path: UdpPath): void {
    const { address, port } = path.remote;
    const present = this.find(address, port);
    if (present === path) return;
    if (present !== null) this.remove(present);
    path.next = this.#byPort.get(port) ?? null;
    this.#byPort.set(port, path);
    this.#size++;
  }

  /** Without effect if the path is not in. */
  remove(path: UdpPath): void {
    const { port } = path.remote;
    const first = this.#byPort.get(port);
    if (first === undefined) return;
    if (first === path) {
      if (path.next === null) this.#byPort.delete(port);
      else this.#byPort.set(port, path.next);
    } else {
      let before: UdpPath | null = first;
      while (before !== null && before.next !== path) before = before.next;
      if (before === null) return;
      before.next = path.next;
    }
    path.next = null;
    this.#size--;
  }

  clear(): void {
    for (const first of this.#byPort.values()) {
      for (let path: UdpPath | null = first; path !== null; path = path.next) path.forget();
    }
    this.#byPort.clear();
    this.#size = 0;
  }
}
