/**
 * Send and Data indications (RFC 8656 sections 11.1 to 11.4) on the fast path: the one is read in place into an
 * object that is used again, the other is written straight into the client's output.
 */
import {
  crc32,
  putU16,
  putU32,
  stunAttribute,
  stunFamily,
  stunHeaderBytes,
  stunMagicCookie,
  u16,
  u32,
  parseIpAddress,
} from '../tunnel-protocol/index.ts';
import type { ClientLink } from './client-link.ts';

/** The message type of a Send indication, as in the first two bytes. */
export const sendIndicationType = 0x0016;
const dataIndicationType = 0x0017;
const fingerprintMask = 0x5354554e;

/** A Send indication, once {@link SendIndication.read} returned true. */
export class SendIndication {
  /** Offsets into the message: XOR-PEER-ADDRESS's value, and DATA's. */
  peerAt = 0;
  dataAt = 0;
  dataLength = 0;

  /**
   * False for what is to be dropped: malformed, without peer or data, wrong FINGERPRINT, or with a comprehension-
   * required attribute that is not understood, such as DONT-FRAGMENT, which could not be honoured.
   */
  read(bytes: Uint8Array): boolean {
    const end = bytes.length;
    if (end < stunHeaderBytes || u16(bytes, 2) !== end - stunHeaderBytes || (end & 3) !== 0) return false;
    if (u32(bytes, 4) !== stunMagicCookie) return false;
    let peerAt = 0;
    let dataAt = 0;
    for (let at = stunHeaderBytes; at < end;) {
      const type = u16(bytes, at);
      const length = u16(bytes, at + 2);
      const next = at + 4 + ((length + 3) & ~3);
      if (next > end) return false;
      if (type === stunAttribute.XOR_PEER_ADDRESS) {
        if (peerAt === 0) peerAt = at + 4;
        if (!isAddress(bytes, at + 4, length)) return false;
      } else if (type === stunAttribute.DATA) {
        if (dataAt === 0) {
          dataAt = at + 4;
          this.dataLength = length;
        }
      } else if (type === stunAttribute.FINGERPRINT) {
        if (length !== 4 || next !== end) return false;
        if ((crc32(bytes, at) ^ fingerprintMask) >>> 0 !== u32(bytes, at + 4)) return false;
      } else if (type < 0x8000) {
        return false;
      }
      at = next;
    }
    this.peerAt = peerAt;
    this.dataAt = dataAt;
    return peerAt !== 0 && dataAt !== 0;
  }
}

function isAddress(bytes: Uint8Array, at: number, length: number): boolean {
  return (length === 8 && bytes[at + 1] === stunFamily.ipv4) || (length === 20 && bytes[at + 1] === stunFamily.ipv6);
}

/** What the value of an XOR-PEER-ADDRESS looks like for an IPv4 peer: it does not depend on the transaction. */
export class XoredPeer {
  readonly ip: Uint8Array;
  readonly port: number;
  /** The XORed IPv4 address; 0 for IPv6. */
  readonly xoredIp: number;
  readonly xoredPort: number;

  /** `address` is an IP address. */
  constructor(address: string, port: number) {
    this.ip = parseIpAddress(address) ?? new Uint8Array(4);
    this.port = port;
    this.xoredPort = port ^ (stunMagicCookie >>> 16);
    this.xoredIp = this.ip.length === 4 ? (u32(this.ip, 0) ^ stunMagicCookie) >>> 0 : 0;
  }

  /** Whether the XOR-PEER-ADDRESS value at `at` means this peer. */
  matches(message: Uint8Array, at: number): boolean {
    if (u16(message, at + 2) !== this.xoredPort) return false;
    if (this.ip.length === 4) return message[at + 1] === stunFamily.ipv4 && u32(message, at + 4) === this.xoredIp;
    if (message[at + 1] !== stunFamily.ipv6) return false;
    for (let i = 0; i < 16; i++) {
      if (((message[at + 4 + i] as number) ^ (message[4 + i] as number)) !== this.ip[i]) return false;
    }
    return true;
  }
}

/** The address bytes in the XOR-PEER-ADDRESS value at `at`, in fresh memory. */
export function peerIpAt(message: Uint8Array, at: number): Uint8Array {
  const ip = new Uint8Array(message[at + 1] === stunFamily.ipv4 ? 4 : 16);
  for (let i = 0; i < ip.length; i++) ip[i] = (message[at + 4 + i] as number) ^ (message[4 + i] as number);
  return ip;
}

export function peerPortAt(message: Uint8Array, at: number): number {
  return u16(message, at + 2) ^ (stunMagicCookie >>> 16);
}

/** Makes the transaction ids of Data indications: nothing answers them, they only have to differ. */
export class IndicationIds {
  readonly #prefix: Uint8Array;
  #count = 0;

  /** `prefix`: 8 random bytes. */
  constructor(prefix: Uint8Array) {
    this.#prefix = prefix;
  }

  writeInto(bytes: Uint8Array, at: number): void {
    bytes.set(this.#prefix, at);
    this.#count = (this.#count + 1) >>> 0;
    putU32(bytes, at + 8, this.#count);
  }
}

/** False when the client does not keep up. */
export function sendDataIndication(
  link: ClientLink,
  peer: XoredPeer,
  datagram: Uint8Array,
  ids: IndicationIds,
): boolean {
  const { ip } = peer;
  const { length } = datagram;
  const dataAt = stunHeaderBytes + 8 + ip.length;
  const end = dataAt + 4 + length;
  const size = (end + 3) & ~3;
  if (!link.open(size)) return false;
  const { bytes, at } = link;
  putU16(bytes, at, dataIndicationType);
  putU16(bytes, at + 2, size - stunHeaderBytes);
  putU32(bytes, at + 4, stunMagicCookie);
  ids.writeInto(bytes, at + 8);
  const peerAt = at + stunHeaderBytes;
  putU16(bytes, peerAt, stunAttribute.XOR_PEER_ADDRESS);
  putU16(bytes, peerAt + 2, 4 + ip.length);
  putU16(bytes, peerAt + 4, ip.length === 4 ? stunFamily.ipv4 : stunFamily.ipv6);
  putU16(bytes, peerAt + 6, peer.xoredPort);
  for (let i = 0; i < ip.length; i++) bytes[peerAt + 8 + i] = (ip[i] as number) ^ (bytes[at + 4 + i] as number);
  putU16(bytes, at + dataAt, stunAttribute.DATA);
  putU16(bytes, at + dataAt + 2, length);
  bytes.set(datagram, at + dataAt + 4);
  for (let i = end; i < size; i++) bytes[at + i] = 0;
  link.commit();
  return true;
}
