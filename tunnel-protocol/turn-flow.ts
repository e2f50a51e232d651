/**
 * TURN beside a session on its tunnel: frames of a first byte that RFC 7983 keeps for TURN, which nothing else has there. A
 * flow is one client of TURN; the frame has its number and one message, or none.
 */
import { putU16, u16 } from './bytes.ts';
import type { MediaLanes } from './flow/index.ts';
import { maxDatagramBytes } from './frames.ts';
import { dataMeta, transportMeta, type SendMeta } from './path.ts';

export const turnFlowType = 0x40;
export const turnFlowHeaderBytes = 3;
export const turnFlowLimits = {
  /** At once, of one session. */
  maxFlows: 256,
  maxMessageBytes: maxDatagramBytes - turnFlowHeaderBytes,
} as const;

/** False for anything else that has this class. */
export function isTurnFlowFrame(frame: Uint8Array): boolean {
  return frame[0] === turnFlowType && frame.length >= turnFlowHeaderBytes;
}

/** Of a frame that {@link isTurnFlowFrame}. */
export function turnFlowOf(frame: Uint8Array): number {
  return u16(frame, 1);
}

/** Of a frame that {@link isTurnFlowFrame}: a view. Empty: the flow has ended, or there is nothing to say. */
export function turnFlowMessage(frame: Uint8Array): Uint8Array {
  return frame.subarray(turnFlowHeaderBytes);
}

/** Writes the header; the message goes behind it. */
export function putTurnFlowHeader(bytes: Uint8Array, at: number, flow: number): void {
  bytes[at] = turnFlowType;
  putU16(bytes, at + 1, flow);
}

/** Fresh memory. ChannelData is padded, as on a stream. */
export function encodeTurnFlowFrame(flow: number, message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(turnFlowHeaderBytes + ((message.length + 3) & ~3));
  putTurnFlowHeader(frame, 0, flow);
  frame.set(message, turnFlowHeaderBytes);
  return frame;
}

const channelDataHeaderBytes = 4;

/** Answers are few and needed; what is relayed may be lost, as on the datagram path that it is in place of. */
export function turnFlowMeta(lanes: MediaLanes, message: Uint8Array): SendMeta {
  const first = message[0] ?? 0;
  if (first >= 0x40) return lanes.metaOf(message.subarray(channelDataHeaderBytes));
  return isIndication(message) ? dataMeta : transportMeta;
}

/** RFC 8489 section 5: the class bits of an indication are 01. */
function isIndication(message: Uint8Array): boolean {
  return ((message[0] ?? 0) & 0x01) === 0 && ((message[1] ?? 0) & 0x10) !== 0;
}
