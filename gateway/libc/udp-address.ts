/** A UDP peer as text and as the kernel wants it, made once per peer and not once per datagram. */
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { equalBytes, parseIpAddress, putU16 } from '../../tunnel-protocol/index.ts';
import { formatAddress } from '../addresses.ts';

const familyInet = 2;
const familyInet6 = 10;
const mappedPrefix = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** Bytes of struct sockaddr_in and sockaddr_in6. */
export const sockaddrBytes = { udp4: 16, udp6: 28 } as const;
export type UdpFamily = keyof typeof sockaddrBytes;

export class UdpAddress {
  /** Canonical, without zone and mapping prefix. */
  readonly address: string;
  readonly port: number;
  /** As a socket of the family takes it: with zone and mapping prefix. */
  readonly socketText: string;
  /** struct sockaddr of the family. */
  readonly sockaddr: Uint8Array;

  private constructor(address: string, port: number, socketText: string, sockaddr: Uint8Array) {
    this.address = address;
    this.port = port;
    this.socketText = socketText;
    this.sockaddr = sockaddr;
  }

  /** For a socket of the family; null if the text is no address for it. Accepts zones (`fe80::1%eth0`). */
  static parse(family: UdpFamily, address: string, port: number): UdpAddress | null {
    const [bare = '', zone] = address.split('%', 2);
    const bytes = parseIpAddress(bare);
    if (bytes === null || !(port >= 0 && port <= 65_535)) return null;
    const sockaddr = new Uint8Array(sockaddrBytes[family]);
    // The family is in the machine's order, which is little-endian here; the port in the network's.
    sockaddr[0] = family === 'udp4' ? familyInet : familyInet6;
    putU16(sockaddr, 2, port);
    if (family === 'udp4') {
      if (bytes.length !== 4) return null;
      sockaddr.set(bytes, 4);
      return new UdpAddress(formatAddress(bytes), port, bare, sockaddr);
    }
    const mapped = bytes.length === 4;
    if (mapped) sockaddr.set(mappedPrefix, 8);
    sockaddr.set(bytes, mapped ? 20 : 8);
    if (zone !== undefined) new DataView(sockaddr.buffer).setUint32(24, scopeOf(zone), true);
    return new UdpAddress(formatAddress(bytes), port, mapped ? `::ffff:${bare}` : address, sockaddr);
  }

  /** Of what the kernel wrote; the bytes are copied. */
  static fromSockaddr(family: UdpFamily, memory: Uint8Array, at: number): UdpAddress {
    const sockaddr = memory.slice(at, at + sockaddrBytes[family]);
    const bytes = family === 'udp4' ? sockaddr.subarray(4, 8) : sockaddr.subarray(8, 24);
    const port = ((sockaddr[2] as number) << 8) | (sockaddr[3] as number);
    const address = formatAddress(bytes);
    const scope = family === 'udp4' ? 0 : new DataView(sockaddr.buffer).getUint32(24, true);
    const plain = family === 'udp6' && !isIPv6(address) ? `::ffff:${address}` : address;
    return new UdpAddress(address, port, scope === 0 ? plain : `${plain}%${String(scope)}`, sockaddr);
  }

  equals(other: UdpAddress): boolean {
    return this === other || (this.port === other.port && equalBytes(this.sockaddr, other.sockaddr));
  }
}

/**
 * The peers that were heard last, so that a datagram's address costs no allocation. Direct-mapped: a stranger can push
 * another peer out of its place, and the only effect is that an object is made anew.
 */
export class UdpAddressCache {
  readonly #family: UdpFamily;
  readonly #mask: number;
  readonly #places: (UdpAddress | null)[];

  /** `size` must be a power of two. */
  constructor(family: UdpFamily, size = 4096) {
    if ((size & (size - 1)) !== 0) throw new RangeError('the size must be a power of two');
    this.#family = family;
    this.#mask = size - 1;
    this.#places = new Array<UdpAddress | null>(size).fill(null);
  }

  fromSockaddr(memory: Uint8Array, at: number): UdpAddress {
    const last = at + (this.#family === 'udp4' ? 8 : 24);
    let hash = 0;
    for (let i = at + 2; i < last; i++) hash = (Math.imul(hash, 31) + (memory[i] as number)) | 0;
    const place = (hash ^ (hash >>> 12)) & this.#mask;
    const known = this.#places[place];
    if (known && sameSockaddr(known.sockaddr, memory, at)) return known;
    const fresh = UdpAddress.fromSockaddr(this.#family, memory, at);
    this.#places[place] = fresh;
    return fresh;
  }

  /** Of what dgram reports. */
  fromText(address: string, port: number): UdpAddress {
    let hash = port;
    for (let i = 0; i < address.length; i++) hash = (Math.imul(hash, 31) + address.charCodeAt(i)) | 0;
    const place = (hash ^ (hash >>> 12)) & this.#mask;
    const known = this.#places[place];
    if (known?.port === port && known.socketText === address) return known;
    const fresh = UdpAddress.parse(this.#family, address, port);
    if (fresh === null) throw new RangeError(`not an address of ${this.#family}`);
    this.#places[place] = fresh;
    return fresh;
  }
}

/** Everything but IPv6's flow information, which the kernel may fill in. */
function sameSockaddr(known: Uint8Array, memory: Uint8Array, at: number): boolean {
  for (let i = 2; i < known.length; i++) {
    if (known[i] !== memory[at + i] && (i < 4 || i >= 8 || known.length === sockaddrBytes.udp4)) return false;
  }
  return true;
}

function scopeOf(zone: string): number {
  const index = Number(zone);
  if (Number.isInteger(index) && index >= 0) return index;
  for (const info of networkInterfaces()[zone] ?? [])
    if (info.family === 'IPv6' && info.scopeid > 0) return info.scopeid;
  return 0;
}
