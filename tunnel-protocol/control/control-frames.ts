/**
 * The binary layouts of control frames: the first byte is the type, 0xF0–0xFF, integers are big-endian.
 * Fixed layouts may grow at their end in a later revision, so decoders ignore bytes behind the fields they know.
 */
import { concatBytes, putU16, putU32, u16, u32 } from '../bytes.ts';
import type { ControlErrorReason } from './errors.ts';
import { controlLimits } from './limits.ts';

export const controlType = {
  open: 0xf0,
  welcome: 0xf1,
  ack: 0xf2,
  ping: 0xf3,
  pong: 0xf4,
  signal: 0xf5,
  close: 0xf6,
  drain: 0xf8,
  credit: 0xf9,
  report: 0xfd,
  edges: 0xfe,
} as const;

/** Named for a later revision; for this one they are unknown types like any other. */
export const reservedControlType = { resume: 0xfa, telemetry: 0xfb } as const;

/** Bits of `capabilities` in `open` and `welcome`. `credit`: this end of the connection sends credits. */
export const capability = { credit: 1 } as const;

/** A receiver skips and counts unknown types from here on; an unknown type below is an error. */
export const firstIgnorableType = 0xf8;

/** Bits of the second byte of `report`: this end wants the peer's report in return. */
export const reportFlag = { answer: 1 } as const;

/** Bits of the second byte of `signal`. The other bits are sent as 0 and ignored. */
export const fragmentFlag = { first: 1, last: 2 } as const;

export interface SignalFragment {
  readonly type: 'signal';
  readonly first: boolean;
  readonly last: boolean;
  readonly sequence: number;
  /** Decoded: a view of the frame, borrowed. */
  readonly payload: Uint8Array;
}

/**
 * What went and came on the path that carries media, where that is not the control channel's own connection. Counts are of
 * SRTP and SRTCP datagrams and of their bytes, since any time, modulo 2^32: differences are what they are read for.
 */
export interface PathReport {
  /** Of the nomination that chose the path. */
  readonly nomination: number;
  /** When the counts were read, in ms of the sender's own clock. */
  readonly time: number;
  readonly sent: number;
  readonly sentBytes: number;
  readonly received: number;
  readonly receivedBytes: number;
}

/** Sequences, epochs, ids and times are u32, versions u8, capabilities u16. Times are ms of the sender's own clock. */
export type ControlFrame =
  | { readonly type: 'open'; readonly version: number; readonly capabilities: number; readonly lastReceived: number }
  | {
      readonly type: 'welcome';
      readonly version: number;
      readonly capabilities: number;
      readonly lastReceived: number;
      readonly epoch: number;
    }
  | { readonly type: 'ack'; readonly sequence: number }
  | { readonly type: 'ping'; readonly id: number; readonly time: number }
  | { readonly type: 'pong'; readonly id: number; readonly echoedTime: number; readonly time: number }
  | SignalFragment
  | { readonly type: 'close'; readonly wire: number; readonly reason: string }
  /** `where`: another edge, `https://host:port`; empty or absent: any other. */
  | { readonly type: 'drain'; readonly retryAfterMs: number; readonly spreadMs: number; readonly where?: string }
  /** The edges that can serve the session besides this one now, `https://host:port`; a later list takes its place. */
  | { readonly type: 'edges'; readonly edges: readonly string[] }
  /** Of the connection, not of the session: whoever ends the connection takes it. `held` is in tenths of a ms. */
  | {
      readonly type: 'credit';
      readonly flags: number;
      readonly held: number;
      readonly received: number;
      readonly time: number;
    }
  | ReportFrame;

export interface ReportFrame extends PathReport {
  readonly type: 'report';
  readonly flags: number;
}

/** An unknown type that may be skipped. */
export interface IgnorableFrame {
  readonly type: 'ignorable';
  readonly first: number;
}

const signalHeaderBytes = 6;
const maxWhereBytes = 300;
const maxEdges = 16;
const closeHeaderBytes = 3;
const reportBytes = 26;
const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Never throws: any bytes give a frame or a reason. */
export function decodeControlFrame(bytes: Uint8Array): ControlFrame | IgnorableFrame | ControlErrorReason {
  const first = bytes[0] ?? 0;
  if (first < 0xf0) return 'not-control';
  const length = bytes.length;
  if (length > controlLimits.maxFrameBytes) return 'malformed';
  switch (first) {
    case controlType.open:
      if (length < 8) return 'malformed';
      return { type: 'open', version: bytes[1] as number, capabilities: u16(bytes, 2), lastReceived: u32(bytes, 4) };
    case controlType.welcome:
      if (length < 12) return 'malformed';
      return {
        type: 'welcome',
        version: bytes[1] as number,
        capabilities: u16(bytes, 2),
        lastReceived: u32(bytes, 4),
        epoch: u32(bytes, 8),
      };
    case controlType.ack:
      return length < 5 ? 'malformed' : { type: 'ack', sequence: u32(bytes, 1) };
    case controlType.ping:
      return length < 9 ? 'malformed' : { type: 'ping', id: u32(bytes, 1), time: u32(bytes, 5) };
    case controlType.pong:
      if (length < 13) return 'malformed';
      return { type: 'pong', id: u32(bytes, 1), echoedTime: u32(bytes, 5), time: u32(bytes, 9) };
    case controlType.signal:
      return decodeSignal(bytes);
    case controlType.close:
      return decodeClose(bytes);
    case controlType.drain:
      if (length < 9) return 'malformed';
      return decodeDrain(bytes);
    case controlType.credit:
      if (length < 12) return 'malformed';
      return {
        type: 'credit',
        flags: bytes[1] as number,
        held: u16(bytes, 2),
        received: u32(bytes, 4),
        time: u32(bytes, 8),
      };
    case controlType.edges:
      return { type: 'edges', edges: decodeEdges(bytes.subarray(1)) };
    case controlType.report:
      if (length < reportBytes) return 'malformed';
      return {
        type: 'report',
        flags: bytes[1] as number,
        nomination: u32(bytes, 2),
        time: u32(bytes, 6),
        sent: u32(bytes, 10),
        sentBytes: u32(bytes, 14),
        received: u32(bytes, 18),
        receivedBytes: u32(bytes, 22),
      };
    default:
      return first >= firstIgnorableType ? { type: 'ignorable', first } : 'unknown-type';
  }
}

function decodeSignal(bytes: Uint8Array): SignalFragment | ControlErrorReason {
  if (bytes.length <= signalHeaderBytes) return 'malformed';
  const flags = bytes[1] as number;
  const sequence = u32(bytes, 2);
  if (sequence === 0) return 'malformed';
  return {
    type: 'signal',
    first: (flags & fragmentFlag.first) !== 0,
    last: (flags & fragmentFlag.last) !== 0,
    sequence,
    payload: bytes.subarray(signalHeaderBytes),
  };
}

/** What it does not understand of `where` says nothing. */
function decodeDrain(bytes: Uint8Array): ControlFrame {
  const [retryAfterMs, spreadMs] = [u32(bytes, 1), u32(bytes, 5)];
  const where = bytes.length > maxWhereBytes ? '' : (decodeUtf8(bytes.subarray(9)) ?? '');
  return { type: 'drain', retryAfterMs, spreadMs, ...(where === '' ? {} : { where }) };
}

/** Not a list of edges, or one that is too long: what is understood of it. */
function decodeEdges(bytes: Uint8Array): readonly string[] {
  const lines = (decodeUtf8(bytes) ?? '').split('\n');
  return lines.filter((line) => line !== '' && line.length <= maxWhereBytes).slice(0, maxEdges);
}

function decodeClose(bytes: Uint8Array): ControlFrame | ControlErrorReason {
  if (bytes.length < closeHeaderBytes) return 'malformed';
  if (bytes.length > closeHeaderBytes + controlLimits.maxReasonBytes) return 'malformed';
  const wire = u16(bytes, 1);
  if (wire < 4000 || wire > 4999) return 'malformed';
  const reason = decodeUtf8(bytes.subarray(closeHeaderBytes));
  return reason === null ? 'malformed' : { type: 'close', wire, reason };
}

/** Fresh memory, given away. Throws RangeError for a signal payload, a close reason or a list of edges over its limit. */
export function encodeControlFrame(frame: ControlFrame): Uint8Array {
  switch (frame.type) {
    case 'open':
    case 'welcome': {
      const bytes = new Uint8Array(frame.type === 'open' ? 8 : 12);
      bytes[0] = controlType[frame.type];
      bytes[1] = frame.version;
      putU16(bytes, 2, frame.capabilities);
      putU32(bytes, 4, frame.lastReceived);
      if (frame.type === 'welcome') putU32(bytes, 8, frame.epoch);
      return bytes;
    }
    case 'ack':
      return encodeWords(controlType.ack, [frame.sequence]);
    case 'ping':
      return encodeWords(controlType.ping, [frame.id, frame.time]);
    case 'pong':
      return encodeWords(controlType.pong, [frame.id, frame.echoedTime, frame.time]);
    case 'drain':
      return concatBytes([
        encodeWords(controlType.drain, [frame.retryAfterMs, frame.spreadMs]),
        utf8.encode(frame.where ?? ''),
      ]);
    case 'credit': {
      const bytes = new Uint8Array(12);
      bytes[0] = controlType.credit;
      bytes[1] = frame.flags;
      putU16(bytes, 2, frame.held);
      putU32(bytes, 4, frame.received);
      putU32(bytes, 8, frame.time);
      return bytes;
    }
    case 'edges': {
      const text = utf8.encode(frame.edges.join('\n'));
      if (frame.edges.length > maxEdges || text.length >= controlLimits.maxFrameBytes) {
        throw new RangeError(`At most ${String(maxEdges)} edges are told`);
      }
      return concatBytes([Uint8Array.of(controlType.edges), text]);
    }
    case 'report': {
      const bytes = new Uint8Array(reportBytes);
      bytes[0] = controlType.report;
      bytes[1] = frame.flags;
      putU32(bytes, 2, frame.nomination);
      putU32(bytes, 6, frame.time);
      putU32(bytes, 10, frame.sent);
      putU32(bytes, 14, frame.sentBytes);
      putU32(bytes, 18, frame.received);
      putU32(bytes, 22, frame.receivedBytes);
      return bytes;
    }
    case 'signal': {
      const { payload } = frame;
      if (payload.length === 0 || payload.length > controlLimits.maxFragmentBytes) {
        throw new RangeError(`A signal fragment holds 1 to ${String(controlLimits.maxFragmentBytes)} bytes`);
      }
      const bytes = new Uint8Array(signalHeaderBytes + payload.length);
      bytes[0] = controlType.signal;
      bytes[1] = (frame.first ? fragmentFlag.first : 0) | (frame.last ? fragmentFlag.last : 0);
      putU32(bytes, 2, frame.sequence);
      bytes.set(payload, signalHeaderBytes);
      return bytes;
    }
    case 'close': {
      const reason = utf8.encode(frame.reason);
      if (reason.length > controlLimits.maxReasonBytes) {
        throw new RangeError(`A close reason holds at most ${String(controlLimits.maxReasonBytes)} bytes`);
      }
      const bytes = new Uint8Array(closeHeaderBytes + reason.length);
      bytes[0] = controlType.close;
      putU16(bytes, 1, frame.wire);
      bytes.set(reason, closeHeaderBytes);
      return bytes;
    }
  }
}

function encodeWords(type: number, words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(1 + 4 * words.length);
  bytes[0] = type;
  words.forEach((word, index) => {
    putU32(bytes, 1 + 4 * index, word);
  });
  return bytes;
}

/** The text cut at a character so that it fits a close reason, here and in a WebSocket close frame. */
export function clipReason(reason: string): string {
  const room = new Uint8Array(controlLimits.maxReasonBytes);
  return reason.slice(0, utf8.encodeInto(reason, room).read);
}

/** Null when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return null;
  }
}
