/** A file of one participant: what may lie in it side by side, in the order of time, as it comes. */
import type { Source } from '../../tunnel-protocol/index.ts';
import type { CodecName } from '../sdp-codecs.ts';
import type { ForwardedCodec } from '../forward/index.ts';
import { videoDetails, type VideoDetails } from './codec-details.ts';
import type { RecordingFile } from './recording-store.ts';
import type { TimedFrame } from './track-recorder.ts';
import { WebmWriter, type FileTrack } from './webm-writer.ts';

/** A frame is written when it is so old, in ms: until then one of another track may come that belongs before it. */
export const interleaveMs = 450;

/** What is known of a track when its file begins. */
export interface OpenedTrack {
  readonly source: Source;
  readonly codec: CodecName;
  readonly video: VideoDetails | null;
}

interface Queued {
  readonly track: number;
  readonly frame: TimedFrame;
}

export class RecordedFile {
  readonly tracks: readonly FileTrack[];
  /** On the SFU's clock, in ms. */
  readonly startMs: number;
  endMs: number;
  readonly #sources: ReadonlyMap<Source, number>;
  readonly #writer: WebmWriter;
  readonly #file: RecordingFile;
  #queue: Queued[] = [];
  readonly #dropped = new Map<number, number>();
  /** By track: after a frame was dropped, what builds on it is of no use. */
  readonly #awaitsKey = new Set<number>();

  /** `startMs`: when the first frame was taken. */
  constructor(file: RecordingFile, tracks: readonly OpenedTrack[], startMs: number) {
    this.startMs = startMs;
    this.endMs = startMs;
    this.tracks = tracks.map(({ source, codec, video }, at) => ({ number: at + 1, codec, video, name: source }));
    this.#sources = new Map(tracks.map(({ source }, at) => [source, at + 1]));
    this.#file = file;
    this.#writer = new WebmWriter(this.tracks);
    file.append(this.#writer.header());
  }

  /** The disk does not keep up. */
  get isFull(): boolean {
    return this.#file.isFull;
  }

  get bytes(): number {
    return this.#writer.length;
  }

  track(source: Source): FileTrack | null {
    return this.tracks[(this.#sources.get(source) ?? 0) - 1] ?? null;
  }

  add(source: Source, frame: TimedFrame): void {
    const track = this.#sources.get(source);
    if (track === undefined) return;
    // Mostly it belongs at the end.
    let at = this.#queue.length;
    while (at > 0 && (this.#queue[at - 1] as Queued).frame.atMs > frame.atMs) at--;
    this.#queue.splice(at, 0, { track, frame });
  }

  /** Frames of this track are left out until a key frame comes. */
  awaitsKeyFrame(source: Source): boolean {
    return this.#awaitsKey.has(this.#sources.get(source) ?? 0);
  }

  /** Frames that the disk was too slow for, since this was asked last. */
  takeDropped(): [Source, number][] {
    if (this.#dropped.size === 0) return [];
    const dropped = [...this.#sources].map(([source, at]): [Source, number] => [source, this.#dropped.get(at) ?? 0]);
    this.#dropped.clear();
    return dropped;
  }

  /** Writes what no frame can come before any more. */
  write(now: number): void {
    const due = this.#queue.findIndex(({ frame }) => frame.atMs > now - interleaveMs);
    this.#append(due < 0 ? this.#queue.splice(0) : this.#queue.splice(0, due));
  }

  end(): void {
    this.#append(this.#queue.splice(0));
    for (const { bytes, at } of this.#writer.finish()) {
      if (at === null) this.#file.append(bytes);
      else this.#file.overwrite(bytes, at);
    }
    this.#file.end();
  }

  #append(frames: readonly Queued[]): void {
    for (const { track, frame } of frames) {
      if (this.#file.isFull || (this.#awaitsKey.has(track) && !frame.keyFrame)) {
        this.#dropped.set(track, (this.#dropped.get(track) ?? 0) + 1);
        this.#awaitsKey.add(track);
        continue;
      }
      const parts = this.#writer.frame(track, frame.atMs - this.startMs, frame.keyFrame, frame.data);
      for (const part of parts) this.#file.append(part);
      this.#awaitsKey.delete(track);
      this.endMs = Math.max(this.endMs, frame.atMs);
    }
  }
}

/** What a file has to know of a track, from its first frame; null when a key frame says nothing that can be read. */
export function openTrack(
  source: Source,
  codec: CodecName,
  forwarded: ForwardedCodec,
  first: Uint8Array,
): OpenedTrack | null {
  if (forwarded === 'audio') return { source, codec, video: null };
  const video = videoDetails(forwarded, first);
  return video === null ? null : { source, codec, video };
}
