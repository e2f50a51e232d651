/** XOR-MAPPED-ADDRESS and its kin (XOR-PEER-ADDRESS, XOR-RELAYED-ADDRESS), RFC 8489 section 14.2. */
import { putU16, u16 } from '../bytes.ts';
import { formatIpAddress, parseIpAddress } from './ip-address.ts';
import type { StunBuilder } from './stun-builder.ts';
import type { StunMessage } from './stun-message.ts';
import type { TransportAddress } from '../path.ts';

/** Address family numbers. */
export const stunFamily = { ipv4: 1, ipv6: 2 } as const;

/** The first attribute of this type as an address; null when there is none or it is malformed. */
export function xorAddress(message: StunMessage, type: number): TransportAddress | null {
  const at = message.find(type);
  return at === -1 ? null : xorAddressAt(message, at);
}

/** The attribute at `at` as an address; null when it is malformed. */
export function xorAddressAt(message: StunMessage, at: number): TransportAddress | null {
  const value = message.valueAt(at);
  const family = value[1];
  const wanted = family === stunFamily.ipv4 ? 8 : family === stunFamily.ipv6 ? 20 : -1;
  if (value.length !== wanted) return null;
  const ip = new Uint8Array(value.subarray(4));
  applyMask(ip, message.bytes);
  return { address: formatIpAddress(ip), port: u16(value, 2) ^ u16(message.bytes, 4) };
}

/** Throws TypeError when `address.address` is no IP address. */
export function addXorAddress(builder: StunBuilder, type: number, address: TransportAddress): void {
  const ip = parseIpAddress(address.address);
  if (ip === null) throw new TypeError('not an IP address');
  const value = builder.reserve(type, 4 + ip.length);
  const message = builder.bytes;
  value[1] = ip.length === 4 ? stunFamily.ipv4 : stunFamily.ipv6;
  putU16(value, 2, address.port ^ u16(message, 4));
  applyMask(ip, message);
  value.set(ip, 4);
}

/** The mask is the magic cookie and, for IPv6, the transaction id: the header's bytes from 4 on. */
function applyMask(ip: Uint8Array, message: Uint8Array): void {
  for (let i = 0; i < ip.length; i++) ip[i] = (ip[i] as number) ^ (message[4 + i] as number);
}
