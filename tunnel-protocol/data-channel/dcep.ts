/** The Data Channel Establishment Protocol (RFC 8832): how one end tells the other of a channel that it opened. */
import { putU16, putU32, u16, u32 } from '../bytes.ts';

/** Payload protocol identifiers of SCTP messages (RFC 8831 section 8). An empty message is one byte under its own identifier. */
export const payloadProtocol = { control: 50, text: 51, binary: 53, emptyText: 56, emptyBinary: 57 } as const;

/** How hard the sender tries: for ever, a number of repetitions, or a time in ms (RFC 8832 section 5.1). */
export type DataReliability =
  | { readonly kind: 'reliable' }
  | { readonly kind: 'retransmits'; readonly limit: number }
  | { readonly kind: 'lifetime'; readonly limit: number };

export interface DataChannelParameters {
  readonly label: string;
  readonly protocol: string;
  readonly ordered: boolean;
  readonly reliability: DataReliability;
}

export type DcepMessage =
  { readonly type: 'open'; readonly parameters: DataChannelParameters } | { readonly type: 'ack' };
export type DcepFault = 'truncated' | 'unknown-type' | 'unknown-channel-type' | 'name-too-long';

/** UTF-8 bytes of a label, and of a protocol. */
export const maxDataNameBytes = 255;

const openType = 0x03;
const ackType = 0x02;
const openHeaderBytes = 12;
const unorderedBit = 0x80;
const kinds = ['reliable', 'retransmits', 'lifetime'] as const;

export function decodeDcep(bytes: Uint8Array): DcepMessage | DcepFault {
  if (bytes.length === 0) return 'truncated';
  if (bytes[0] === ackType) return { type: 'ack' };
  if (bytes[0] !== openType) return 'unknown-type';
  if (bytes.length < openHeaderBytes) return 'truncated';
  const channelType = bytes[1] as number;
  const kind = kinds[channelType & ~unorderedBit];
  if (kind === undefined) return 'unknown-channel-type';
  const limit = u32(bytes, 4);
  const labelBytes = u16(bytes, 8);
  const protocolBytes = u16(bytes, 10);
  if (labelBytes > maxDataNameBytes || protocolBytes > maxDataNameBytes) return 'name-too-long';
  const protocolAt = openHeaderBytes + labelBytes;
  if (bytes.length < protocolAt + protocolBytes) return 'truncated';
  const text = new TextDecoder();
  return {
    type: 'open',
    parameters: {
      label: text.decode(bytes.subarray(openHeaderBytes, protocolAt)),
      protocol: text.decode(bytes.subarray(protocolAt, protocolAt + protocolBytes)),
      ordered: (channelType & unorderedBit) === 0,
      reliability: kind === 'reliable' ? { kind } : { kind, limit },
    },
  };
}

/** Throws RangeError when a name is longer than {@link maxDataNameBytes}. */
export function encodeDcepOpen({ label, protocol, ordered, reliability }: DataChannelParameters): Uint8Array {
  const text = new TextEncoder();
  const [labelBytes, protocolBytes] = [text.encode(label), text.encode(protocol)];
  if (Math.max(labelBytes.length, protocolBytes.length) > maxDataNameBytes) {
    throw new RangeError(`A label or protocol of more than ${String(maxDataNameBytes)} bytes`);
  }
  const bytes = new Uint8Array(openHeaderBytes + labelBytes.length + protocolBytes.length);
  bytes[0] = openType;
  bytes[1] = kinds.indexOf(reliability.kind) | (ordered ? 0 : unorderedBit);
  putU32(bytes, 4, reliability.kind === 'reliable' ? 0 : reliability.limit);
  putU16(bytes, 8, labelBytes.length);
  putU16(bytes, 10, protocolBytes.length);
  bytes.set(labelBytes, openHeaderBytes);
  bytes.set(protocolBytes, openHeaderBytes + labelBytes.length);
  return bytes;
}

export function encodeDcepAck(): Uint8Array {
  return Uint8Array.of(ackType);
}
