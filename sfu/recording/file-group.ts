/**
 * The tracks of a participant that belong into one file, and the files they make. A file knows its tracks from its first byte
 * on, so when another one comes it ends, and the next one begins.
 */
import type { Source } from '../../tunnel-protocol/index.ts';
import { openTrack, RecordedFile, type OpenedTrack } from './recorded-file.ts';
import type { TimedFrame, TrackRecorder } from './track-recorder.ts';

/** How long the first frame of a file waits for the other tracks that are published, in ms. */
export const companionsMs = 400;
/** A file is not ended for another one before it is so old, in ms: whoever changes his parameters all the time makes no thousands. */
export const minFileMs = 1000;
/** So many files are made of one group; what would need another one is left out. */
export const maxFiles = 1000;
/** How long a file goes on for want of a key frame that the next one could begin with, in ms. */
export const keyFramePatienceMs = 3000;

interface Waiting {
  readonly opened: OpenedTrack;
  readonly frames: TimedFrame[];
}

/** What a group asks of the recorder of a track. */
export type GroupedTrack = Pick<TrackRecorder, 'source' | 'codec' | 'forwarded' | 'isOpen' | 'wantKeyFrame'>;

export interface FileGroupDeps {
  /** Opens the next file of this group. */
  readonly begin: (tracks: readonly OpenedTrack[], startMs: number) => RecordedFile;
  readonly ended: (file: RecordedFile) => void;
}

export class FileGroup {
  readonly #deps: FileGroupDeps;
  readonly #recorders = new Map<Source, GroupedTrack>();
  #file: RecordedFile | null = null;
  /** Tracks that the file does not know. */
  readonly #waiting = new Map<Source, Waiting>();
  #waitingSince = 0;
  #begunAt = -Infinity;
  #files = 0;

  constructor(deps: FileGroupDeps) {
    this.#deps = deps;
  }

  add(recorder: GroupedTrack): void {
    this.#recorders.set(recorder.source, recorder);
  }

  frame(source: Source, frame: TimedFrame, now: number): void {
    const waiting = this.#waiting.get(source);
    if (waiting !== undefined && waiting.opened.codec === this.#recorders.get(source)?.codec?.name) {
      waiting.frames.push(frame);
      return;
    }
    // It came in another codec before any file began with it.
    this.#waiting.delete(source);
    const opened = this.#opened(source, frame);
    if (opened === 'same') {
      const begins = frame.keyFrame && this.#waiting.size > 0 && this.#file?.track(source)?.video != null;
      if (begins) this.#begin(now, source);
      this.#file?.add(source, frame);
    } else if (opened !== null) {
      if (this.#waiting.size === 0) this.#waitingSince = now;
      this.#waiting.set(source, { opened, frames: [frame] });
      for (const recorder of this.#continuing()) recorder.wantKeyFrame(now);
    }
  }

  tick(now: number): void {
    if (this.#waiting.size > 0 && this.#isReady(now)) this.#begin(now, null);
    const file = this.#file;
    if (file === null) return;
    file.write(now);
    // As soon as the disk takes frames again, there is one to go on with; a publisher is asked no more often than for others.
    if (file.isFull) return;
    for (const recorder of this.#recorders.values()) {
      if (recorder.isOpen && file.awaitsKeyFrame(recorder.source)) recorder.wantKeyFrame(now);
    }
  }

  end(now: number): void {
    if (this.#waiting.size > 0) this.#begin(now, null);
    this.#endFile();
  }

  /** `same`: the file has this track as it is. Null: nothing can begin with this frame. */
  #opened(source: Source, frame: TimedFrame): OpenedTrack | 'same' | null {
    const recorder = this.#recorders.get(source);
    const codec = recorder?.codec;
    if (recorder === undefined || codec == null) return null;
    const known = this.#file?.track(source) ?? null;
    const isKnown = known?.codec === codec.name;
    if (isKnown && (known.video?.codecPrivate == null || !frame.keyFrame)) return 'same';
    if (!frame.keyFrame || this.#files >= maxFiles) return null;
    const opened = openTrack(source, codec.name, recorder.forwarded, frame.data);
    return isKnown && isSame(opened?.video?.codecPrivate, known.video?.codecPrivate) ? 'same' : opened;
  }

  /** Videos of this file that go on, and must begin the next one with a key frame. */
  #continuing(): GroupedTrack[] {
    return [...this.#recorders.values()].filter(
      ({ source, isOpen }) => isOpen && !this.#waiting.has(source) && this.#file?.track(source)?.video != null,
    );
  }

  #isReady(now: number): boolean {
    const waited = now - this.#waitingSince;
    if (now - this.#begunAt < minFileMs) return false;
    if (this.#file !== null) return this.#continuing().length === 0 || waited >= keyFramePatienceMs;
    if (waited >= companionsMs) return true;
    return [...this.#recorders.values()].every(({ source, isOpen }) => !isOpen || this.#waiting.has(source));
  }

  /** Begins the next file, with `keyed`, whose next frame is a key frame, and all that needs none. */
  #begin(now: number, keyed: Source | null): void {
    const before = this.#file;
    const tracks: OpenedTrack[] = [];
    let startMs = Infinity;
    for (const [source, recorder] of this.#recorders) {
      const waiting = this.#waiting.get(source);
      const known = before?.track(source) ?? null;
      if (waiting !== undefined) {
        tracks.push(waiting.opened);
        startMs = Math.min(startMs, waiting.frames[0]?.atMs ?? now);
      } else if (known !== null && recorder.isOpen && (known.video === null || source === keyed)) {
        tracks.push({ source, codec: known.codec, video: known.video });
      }
    }
    this.#endFile();
    const file = this.#deps.begin(tracks, startMs);
    this.#file = file;
    this.#begunAt = now;
    this.#files++;
    for (const [source, { frames }] of this.#waiting) for (const frame of frames) file.add(source, frame);
    this.#waiting.clear();
  }

  #endFile(): void {
    const file = this.#file;
    this.#file = null;
    if (file === null) return;
    file.end();
    this.#deps.ended(file);
  }
}

function isSame(a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): boolean {
  if (a == null || b == null) return a == b;
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
