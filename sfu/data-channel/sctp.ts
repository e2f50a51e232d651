/** Data channels by werift's SCTP, on packets of ours. */
import { RTCSctpTransport } from 'werift';
import { DataAssociation, sctpEngineFrom, sctpMtu } from '../../tunnel-protocol/index.ts';
import type { DataAssociationOptions, DataEvents } from '../../tunnel-protocol/index.ts';

/** SCTP's port of this side (RFC 8841 section 5.2). */
export const sctpPort = 5000;

export interface SctpOptions extends Pick<
  DataAssociationOptions,
  'role' | 'remotePort' | 'remoteMaxMessageBytes' | 'counters'
> {
  /** Sends one packet; the bytes are given away. */
  readonly send: (packet: Uint8Array) => void;
}

/** Not started. */
export function createDataAssociation({ send, ...options }: SctpOptions, events: DataEvents): DataAssociation {
  const transport = new RTCSctpTransport(sctpPort, undefined, { mtu: sctpMtu });
  const engine = sctpEngineFrom(transport, options.role, send);
  return new DataAssociation({ ...options, engine, unixNow: Date.now, asBuffer }, events);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
