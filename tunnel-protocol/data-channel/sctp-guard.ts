/**
 * Looks through an SCTP packet (RFC 9260 section 3) before the association's implementation does, which believes every
 * length and every number in it: a chunk or a parameter of length 0 keeps it busy for ever, a SACK can make it count to
 * millions, and a sequence number far ahead makes it keep whatever comes.
 */
import { u16, u32 } from '../bytes.ts';

/** Where the association stands; transmission sequence numbers are 32 bits and wrap. */
export interface SctpView {
  readonly established: boolean;
  /** The last one received of which all before came; undefined before the peer has said where it begins. */
  readonly lastReceived: number | undefined;
  /** The next one that this side will use. */
  readonly nextToSend: number;
}

export const sctpFaults = [
  'too-short',
  'chunk-length',
  'parameter-length',
  'unknown-chunk',
  'stream-number',
  'sequence-number',
  'acknowledgement',
  'out-of-place',
] as const;
export type SctpFault = (typeof sctpFaults)[number];

/** Streams are numbered below this, in both directions. */
export const maxStreams = 1024;
/** How far ahead of what is complete a DATA chunk may be; more than fits the advertised window in whole packets. */
const maxAhead = 512;

const commonHeaderBytes = 12;
const chunk = {
  data: 0,
  init: 1,
  initAck: 2,
  sack: 3,
  heartbeat: 4,
  heartbeatAck: 5,
  abort: 6,
  error: 9,
  reconfig: 130,
  forwardTsn: 192,
} as const;
/** Those that have nothing in them that could mislead: SHUTDOWN, its ACK, COOKIE ECHO, COOKIE ACK, SHUTDOWN COMPLETE. */
const plainChunks: ReadonlySet<number> = new Set([7, 8, 10, 11, 14]);
/** Where parameters begin in the chunks that have some. */
const parametersAt: ReadonlyMap<number, number> = new Map<number, number>([
  [chunk.init, 20],
  [chunk.initAck, 20],
  [chunk.heartbeat, 4],
  [chunk.heartbeatAck, 4],
  [chunk.abort, 4],
  [chunk.error, 4],
  [chunk.reconfig, 4],
]);

/** Null when the packet may be handed on; it is dropped whole otherwise. */
export function checkSctpPacket(packet: Uint8Array, view: SctpView): SctpFault | null {
  if (packet.length < commonHeaderBytes + 4) return 'too-short';
  for (let at = commonHeaderBytes; at < packet.length;) {
    if (at + 4 > packet.length) return 'chunk-length';
    const length = u16(packet, at + 2);
    if (length < 4 || at + length > packet.length) return 'chunk-length';
    const fault = checkChunk(packet, at, length, view);
    if (fault !== null) return fault;
    at += (length + 3) & ~3;
  }
  return null;
}

function checkChunk(packet: Uint8Array, at: number, length: number, view: SctpView): SctpFault | null {
  const type = packet[at] as number;
  if (plainChunks.has(type)) return null;
  if (type === chunk.data) return checkData(packet, at, length, view);
  if (type === chunk.sack) return checkSack(packet, at, length, view);
  if (type === chunk.forwardTsn) return checkForwardTsn(packet, at, length, view);
  const parameters = parametersAt.get(type);
  if (parameters === undefined) return 'unknown-chunk';
  // A peer that begins anew would do so with a DTLS session of its own.
  if (type === chunk.init && view.established) return 'out-of-place';
  return checkParameters(packet, at + parameters, at + length);
}

function checkParameters(packet: Uint8Array, from: number, end: number): SctpFault | null {
  if (from > end) return 'chunk-length';
  for (let at = from; at + 4 <= end;) {
    const length = u16(packet, at + 2);
    if (length < 4 || at + length > end) return 'parameter-length';
    at += (length + 3) & ~3;
  }
  return null;
}

function checkData(packet: Uint8Array, at: number, length: number, view: SctpView): SctpFault | null {
  if (length < 17) return 'chunk-length';
  // It may stand behind the COOKIE ECHO that establishes the association.
  if (view.lastReceived === undefined) return 'out-of-place';
  if (u16(packet, at + 8) >= maxStreams) return 'stream-number';
  return ((u32(packet, at + 4) - view.lastReceived) | 0) > maxAhead ? 'sequence-number' : null;
}

/** Gap blocks must grow, and may not speak of what was never sent. */
function checkSack(packet: Uint8Array, at: number, length: number, view: SctpView): SctpFault | null {
  if (length < 16) return 'chunk-length';
  const gaps = u16(packet, at + 12);
  const duplicates = u16(packet, at + 14);
  if (16 + 4 * (gaps + duplicates) > length) return 'chunk-length';
  const outstanding = (view.nextToSend - 1 - u32(packet, at + 4)) >>> 0;
  if (outstanding > 0xffff) return 'acknowledgement';
  let last = 0;
  for (let gap = 0; gap < gaps; gap++) {
    const start = u16(packet, at + 16 + 4 * gap);
    const end = u16(packet, at + 18 + 4 * gap);
    if (start <= last || end < start || end > outstanding) return 'acknowledgement';
    last = end;
  }
  return null;
}

function checkForwardTsn(packet: Uint8Array, at: number, length: number, view: SctpView): SctpFault | null {
  if (length < 8) return 'chunk-length';
  if (view.lastReceived === undefined) return 'out-of-place';
  if (((u32(packet, at + 4) - view.lastReceived) | 0) > 0xffff) return 'sequence-number';
  for (let stream = at + 8; stream + 4 <= at + length; stream += 4) {
    if (u16(packet, stream) >= maxStreams) return 'stream-number';
  }
  return null;
}
