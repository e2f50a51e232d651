/** What the page and its media worker say to each other. Both are of one build. */
import type { ControlRung, MediaKind, Rid, SendMeta, Source } from '../../../tunnel-protocol/index.ts';
import type { ClientErrorCode } from '../../errors.ts';

/** Of a track: a stream of its frames, or a port that brings them one by one where the browser has no such stream. */
export type FrameSource = ReadableStream<VideoFrame | AudioData> | MessagePort;
/** Likewise, for what is received. A port is sent `VideoFrame`, or for sound {@link SoundBlock}. */
export type FrameSink = WritableStream<VideoFrame | AudioData> | MessagePort;

/** Mono, 48 kHz. */
export interface SoundBlock {
  readonly samples: Float32Array<ArrayBuffer>;
}

export type ToWorker =
  /** Once; `offer` answers. */
  | { readonly type: 'start' }
  | { readonly type: 'answer'; readonly sdp: string }
  /** What the tunnel runs on now: another path to the server each time. */
  | { readonly type: 'path'; readonly rung: ControlRung | null }
  | { readonly type: 'datagrams'; readonly batch: Uint8Array<ArrayBuffer> }
  /** The tunnel dropped what it took. */
  | { readonly type: 'dropped'; readonly meta: SendMeta }
  /** Bits per second, where the tunnel delivers less than what was to be sent; else null. */
  | { readonly type: 'rate'; readonly bitsPerSecond: number | null }
  /** Null ends it. */
  | { readonly type: 'send'; readonly source: Source; readonly frames: FrameSource | null }
  | { readonly type: 'sink'; readonly mid: string; readonly sink: FrameSink }
  | {
      readonly type: 'slots';
      readonly slots: readonly { readonly mid: string; readonly participant: string | null }[];
    }
  /** The layers of the camera that somebody watches. */
  | { readonly type: 'watched'; readonly rids: readonly Rid[] }
  /** Asks each publisher in view for a key frame. */
  | { readonly type: 'refresh' }
  | { readonly type: 'close' };

export interface WorkerTrackStats {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly direction: 'send' | 'receive';
  readonly packets: number;
  readonly bytes: number;
  readonly lost: number;
  readonly jitterMs: number;
  readonly frames: number;
  readonly framesPerSecond: number;
  readonly width: number;
  readonly height: number;
  readonly audioEnergy: number;
  readonly audioSamples: number;
  /** Samples made up or missing in interruptions, which are among `audioSamples`. */
  readonly concealedSamples: number;
  /** Of sound: how long it waits to be played. 0 otherwise. */
  readonly playoutDelayMs: number;
  /** Of received pictures, as webrtc-stats counts freezes. */
  readonly freezes: number;
  readonly freezeMs: number;
}

export type FromWorker =
  | { readonly type: 'offer'; readonly sdp: string; readonly fingerprint: string }
  | { readonly type: 'datagrams'; readonly batch: Uint8Array<ArrayBuffer> }
  /** DTLS is through. */
  | { readonly type: 'connected' }
  /** The server sends to the present path. */
  | { readonly type: 'nominated' }
  | { readonly type: 'round-trip'; readonly ms: number }
  /** The first picture of a slot was decoded, or its first sound. */
  | { readonly type: 'alive'; readonly mid: string }
  | {
      readonly type: 'stats';
      readonly tracks: readonly WorkerTrackStats[];
      readonly levels: readonly [string, number][];
    }
  | { readonly type: 'closed'; readonly code: ClientErrorCode; readonly detail: string };
