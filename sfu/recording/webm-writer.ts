/**
 * One WebM or Matroska file, written from front to back (RFC 9559). Segment and clusters have no size, so that what was
 * written is a playable file at every moment; a file that ends in peace gets its duration and an index, which is the only thing
 * that is written anywhere but at the end. Elements are werift's; see docs/decisions/0009-recording.md.
 */
import { build, bytes, element, ID, number, string, unknownSizeElement, WEBMContainer } from 'werift/nonstandard';
import type { CodecName } from '../sdp-codecs.ts';
import type { VideoDetails } from './codec-details.ts';

/** A cluster holds no more, in ms, so that little has to be read to get to a moment: times in it are 16-bit. */
export const maxClusterMs = 5000;
/** With a key frame it may end sooner. */
const minClusterMs = 1000;
const timestampScaleNs = 1_000_000;
const opusPreRollNs = 80_000_000;

export interface FileTrack {
  /** From 1. */
  readonly number: number;
  readonly codec: CodecName;
  /** Null for audio. */
  readonly video: VideoDetails | null;
  readonly name: string;
}

/** Where in the file bytes go: at the end, or over what is there. */
export interface FileChange {
  readonly bytes: Uint8Array;
  /** Null: at the end. */
  readonly at: number | null;
}

const codecIds: Readonly<Record<CodecName, string>> = {
  opus: 'A_OPUS',
  VP8: 'V_VP8',
  VP9: 'V_VP9',
  AV1: 'V_AV1',
  H264: 'V_MPEG4/ISO/AVC',
};

/** What WebM does not know goes into Matroska. */
export function isWebm(tracks: readonly { readonly codec: CodecName }[]): boolean {
  return tracks.every(({ codec }) => codec !== 'H264');
}

interface CuePoint {
  readonly timeMs: number;
  readonly track: number;
  /** Of the cluster, from the segment's first byte on. */
  readonly position: number;
}

export class WebmWriter {
  /** Bytes so far. */
  length = 0;
  readonly #container = new WEBMContainer([]);
  readonly #tracks: readonly FileTrack[];
  readonly #cues: CuePoint[] = [];
  #segmentAt = 0;
  #seekAt = 0;
  #durationAt = 0;
  #clusterMs = -Infinity;
  #lastMs = 0;
  /** Of each track, by its number. */
  readonly #lastOf: number[] = [];
  readonly #indexed: number;

  constructor(tracks: readonly FileTrack[]) {
    this.#tracks = tracks;
    this.#indexed = (tracks.find(({ video }) => video !== null) ?? tracks[0])?.number ?? 1;
  }

  /** What the file begins with. */
  header(): Uint8Array {
    const docType = isWebm(this.#tracks) ? 'webm' : 'matroska';
    const ebml = build(
      element(ID.EBML, [
        element(ID.EBMLVersion, number(1)),
        element(ID.EBMLReadVersion, number(1)),
        element(ID.EBMLMaxIDLength, number(4)),
        element(ID.EBMLMaxSizeLength, number(8)),
        element(ID.DocType, string(docType)),
        element(ID.DocTypeVersion, number(4)),
        element(ID.DocTypeReadVersion, number(2)),
      ]),
    );
    const info = element(ID.Info, [
      element(ID.TimecodeScale, number(timestampScaleNs)),
      element(ID.MuxingApp, string('Sallyport')),
      element(ID.WritingApp, string('Sallyport')),
      element(ID.Void, bytes(new Uint8Array(durationBytes - 2))),
    ]);
    const seek = element(ID.Void, bytes(new Uint8Array(seekBytes - 2)));
    const tracks = element(ID.Tracks, this.#tracks.map(trackEntry));
    const segment = build(unknownSizeElement(ID.Segment, [seek, info, tracks]));
    this.#segmentAt = ebml.length + segment.length - seek.countSize() - info.countSize() - tracks.countSize();
    this.#seekAt = this.#segmentAt;
    this.#durationAt = this.#segmentAt + seek.countSize() + info.countSize() - durationBytes;
    const header = new Uint8Array(ebml.length + segment.length);
    header.set(ebml);
    header.set(segment, ebml.length);
    this.length = header.length;
    return header;
  }

  /**
   * One frame, `timeMs` after the file's beginning; no earlier than the one before it, of whatever track, and later than the one
   * before it of its own: players and editors take two pictures of one moment for a fault.
   */
  frame(track: number, timeMs: number, keyFrame: boolean, data: Uint8Array): readonly Uint8Array[] {
    const time = Math.max(this.#lastMs, (this.#lastOf[track] ?? -1) + 1, Math.round(timeMs));
    this.#lastMs = time;
    this.#lastOf[track] = time;
    const parts: Uint8Array[] = [];
    const age = time - this.#clusterMs;
    if (age >= maxClusterMs || (age >= minClusterMs && keyFrame && track === this.#indexed)) {
      this.#clusterMs = time;
      this.#cues.push({ timeMs: time, track, position: this.length - this.#segmentAt });
      parts.push(this.#counted(this.#container.createCluster(time)));
    }
    const frame = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    parts.push(this.#counted(this.#container.createSimpleBlock(frame, keyFrame, track, time - this.#clusterMs)));
    return parts;
  }

  /** The index, and where it and the duration are to be written into the header. */
  finish(): readonly FileChange[] {
    if (this.#cues.length === 0) return [];
    const cuesAt = this.length - this.#segmentAt;
    const cues = build(
      element(
        ID.Cues,
        this.#cues.map(({ timeMs, track, position }) =>
          element(ID.CuePoint, [
            element(ID.CueTime, number(timeMs)),
            element(ID.CueTrackPositions, [
              element(ID.CueTrack, number(track)),
              element(ID.CueClusterPosition, number(position)),
            ]),
          ]),
        ),
      ),
    );
    this.#counted(cues);
    const seek = build(
      element(ID.SeekHead, [
        element(ID.Seek, [element(ID.SeekID, bytes(ID.Cues)), element(ID.SeekPosition, bytes(u64(cuesAt)))]),
      ]),
    );
    const duration = build(element(ID.Duration, bytes(double(this.#lastMs))));
    return [
      { bytes: cues, at: null },
      { bytes: padded(seek, seekBytes), at: this.#seekAt },
      { bytes: duration, at: this.#durationAt },
    ];
  }

  #counted(part: Uint8Array): Uint8Array {
    this.length += part.length;
    return part;
  }
}

/** Duration is an element with 8 bytes: 2 of id, 1 of size. */
const durationBytes = 11;
/** One seek entry, and something to spare. */
const seekBytes = 40;

function trackEntry({ number: at, codec, video, name }: FileTrack): ReturnType<typeof element> {
  const kind =
    video === null
      ? [
          element(ID.Audio, [element(ID.SamplingFrequency, bytes(double(48_000))), element(ID.Channels, number(2))]),
          element(ID.CodecPrivate, bytes(opusHead())),
          element(ID.SeekPreRoll, number(opusPreRollNs)),
        ]
      : [
          element(ID.Video, [
            element(ID.PixelWidth, number(video.width)),
            element(ID.PixelHeight, number(video.height)),
          ]),
          ...(video.codecPrivate === null ? [] : [element(ID.CodecPrivate, bytes(video.codecPrivate))]),
        ];
  return element(ID.TrackEntry, [
    element(ID.TrackNumber, number(at)),
    element(ID.TrackUID, number(at)),
    element(ID.TrackType, number(video === null ? 2 : 1)),
    element(ID.FlagLacing, number(0)),
    element(ID.Name, string(name)),
    element(ID.CodecID, string(codecIds[codec])),
    ...kind,
  ]);
}

/** RFC 7845 section 5.1: version, channels, nothing to skip (a call has no beginning), rate, gain, mapping. */
function opusHead(): Uint8Array {
  return Uint8Array.of(...new TextEncoder().encode('OpusHead'), 1, 2, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0);
}

function double(value: number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setFloat64(0, value);
  return out;
}

function u64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/** Filled up with an element that says nothing. */
function padded(part: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set(part);
  const left = length - part.length;
  out.set(build(element(ID.Void, bytes(new Uint8Array(left - 2)))), part.length);
  return out;
}
