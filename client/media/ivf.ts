/** IVF, the container of raw VP8 frames: a 32-byte header, then for each frame 12 bytes and its data; little endian. */
import { FileFault } from './file-fault.ts';

export const ivfHeaderBytes = 32;
export const ivfFrameHeaderBytes = 12;
const maxFrameBytes = 16 * 1024 * 1024;

export interface IvfFrame {
  /** From the file's first frame, in ms. */
  readonly timeMs: number;
  /** A view of the file. */
  readonly data: Uint8Array;
  readonly keyFrame: boolean;
}

export interface Ivf {
  readonly width: number;
  readonly height: number;
  /** At least one; the first is a key frame, times rise. */
  readonly frames: readonly IvfFrame[];
  /** Until the last frame's end, which lasts as long as the one before it. */
  readonly durationMs: number;
}

/** Reads a whole file of VP8. */
export function parseIvf(file: Uint8Array): Ivf | FileFault {
  if (file.length < ivfHeaderBytes) return new FileFault('it is shorter than the header of an IVF file');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (ascii(file, 0) !== 'DKIF') return new FileFault('it is no IVF file: it does not begin with "DKIF"');
  const version = view.getUint16(4, true);
  if (version !== 0) return new FileFault(`it is an IVF file of version ${String(version)}; only 0 is known`);
  const headerBytes = view.getUint16(6, true);
  if (headerBytes < ivfHeaderBytes || headerBytes > file.length) return new FileFault('its header length is wrong');
  const codec = ascii(file, 8);
  if (codec !== 'VP80')
    return new FileFault(`it holds "${codec.replace(/[^ -~]/g, '?')}"; only VP8 ("VP80") can be used`);
  const ticksPerUnit = view.getUint32(16, true);
  const unit = view.getUint32(20, true);
  if (ticksPerUnit === 0 || unit === 0) return new FileFault('its time base is zero');
  const frames = readFrames(file, view, headerBytes, (1000 * unit) / ticksPerUnit);
  if (frames instanceof FileFault) return frames;
  const [first] = frames;
  const last = frames.at(-1);
  if (first === undefined || last === undefined) return new FileFault('it holds no frame');
  if (!first.keyFrame) return new FileFault('its first frame is not a key frame');
  const lastDurationMs = last.timeMs - (frames.at(-2)?.timeMs ?? last.timeMs - 40);
  return {
    width: view.getUint16(12, true),
    height: view.getUint16(14, true),
    frames,
    durationMs: last.timeMs + lastDurationMs,
  };
}

function readFrames(file: Uint8Array, view: DataView, from: number, tickMs: number): IvfFrame[] | FileFault {
  const frames: IvfFrame[] = [];
  let firstTick = 0n;
  let lastTick = -1n;
  for (let at = from; at < file.length;) {
    const name = `frame ${String(frames.length)}`;
    if (at + ivfFrameHeaderBytes > file.length) return new FileFault(`${name} is cut off in its header`);
    const length = view.getUint32(at, true);
    const tick = view.getBigUint64(at + 4, true);
    at += ivfFrameHeaderBytes;
    if (length === 0 || length > maxFrameBytes) return new FileFault(`${name} says it has ${String(length)} bytes`);
    if (at + length > file.length) return new FileFault(`${name} is cut off`);
    if (frames.length === 0) firstTick = tick;
    else if (tick <= lastTick) return new FileFault(`${name} is not later than the frame before it`);
    const timeMs = Number(tick - firstTick) * tickMs;
    if (timeMs > maxTimeMs) return new FileFault(`${name} is more than a day behind the first`);
    lastTick = tick;
    const data = file.subarray(at, at + length);
    // RFC 6386 section 9.1: the lowest bit of the frame tag is 0 in a key frame.
    frames.push({ timeMs, data, keyFrame: ((data[0] as number) & 1) === 0 });
    at += length;
  }
  return frames;
}

const maxTimeMs = 86_400_000;

/**
 * The header of a VP8 file whose frame times are in ms. The length stands where the format once had a count of frames, and
 * where ffmpeg writes and reads the duration; it may be patched in by writing the header again.
 */
export function encodeIvfHeader(
  size: { readonly width: number; readonly height: number },
  durationMs: number,
): Uint8Array {
  const header = new Uint8Array(ivfHeaderBytes);
  const view = new DataView(header.buffer);
  header.set(new TextEncoder().encode('DKIF'), 0);
  view.setUint16(6, ivfHeaderBytes, true);
  header.set(new TextEncoder().encode('VP80'), 8);
  view.setUint16(12, size.width, true);
  view.setUint16(14, size.height, true);
  view.setUint32(16, 1000, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, durationMs, true);
  return header;
}

export function encodeIvfFrame(timeMs: number, data: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ivfFrameHeaderBytes + data.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, data.length, true);
  view.setBigUint64(4, BigInt(Math.round(timeMs)), true);
  frame.set(data, ivfFrameHeaderBytes);
  return frame;
}

function ascii(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}
