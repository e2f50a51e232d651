/** Media as far as a tunnel sees it: what a small call sends, and what became of it at the other end. */
import { lane, type SendMeta } from '../../tunnel-protocol/index.ts';
import { percentile } from '../harness/statistics.ts';

/** 50 audio packets a second, and video of 1 Mbit/s: 25 frames of 5 packets, of which a key frame has three times as many. */
export const mediaShape = {
  audioIntervalMs: 20,
  audioBytes: 100,
  frameIntervalMs: 40,
  framePackets: 5,
  keyFramePackets: 15,
  videoPacketBytes: 1000,
} as const;

/** Until a key frame that was asked for comes: the request's way to the publisher, and its encoder. */
const keyFrameDelayMs = 100;
const tickMs = 5;

const offset = { sequence: 4, ssrc: 8, time: 12, frame: 20, index: 24, count: 25, key: 26 } as const;
const audioType = 111;
const videoType = 96;

/** Of one clock for all processes of a machine, in ms. */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** In ms; a number that survives JSON. */
export const never = 1e9;

export interface MediaSent {
  readonly audio: number;
  readonly frames: number;
  readonly droppedAudio: number;
  readonly droppedVideo: number;
  readonly keyFrames: number;
}

/** A sender of media that does what an SFU does when a path drops something: it goes on with a key frame. */
export class MediaSource {
  #audio = 0;
  #frames = 0;
  #droppedAudio = 0;
  #droppedVideo = 0;
  #keyFrames = 0;
  #timer: NodeJS.Timeout | null = null;
  readonly #send: (datagram: Uint8Array, meta: SendMeta) => void;
  readonly #deadlines: boolean;
  #audioAt: number;
  #frameAt: number;
  #keyFrameAt: number | null;
  #firstFrame = 0;
  #halted = false;

  /** `deadlines` false: nothing is ever too old. */
  constructor(deadlines: boolean, send: (datagram: Uint8Array, meta: SendMeta) => void) {
    this.#deadlines = deadlines;
    this.#send = send;
    this.#audioAt = this.#frameAt = this.#keyFrameAt = machineNow();
  }

  readonly dropped = (meta: SendMeta): void => {
    if (meta.lane === lane.audio) {
      this.#droppedAudio++;
      return;
    }
    this.#droppedVideo++;
    if (this.#halted || meta.frameId < this.#firstFrame) return;
    this.#halted = true;
    this.#keyFrameAt ??= machineNow() + keyFrameDelayMs;
  };

  start(): void {
    this.#timer = setInterval(() => {
      this.#tick();
    }, tickMs);
  }

  stop(): MediaSent {
    if (this.#timer !== null) clearInterval(this.#timer);
    return {
      audio: this.#audio,
      frames: this.#frames,
      droppedAudio: this.#droppedAudio,
      droppedVideo: this.#droppedVideo,
      keyFrames: this.#keyFrames,
    };
  }

  #tick(): void {
    const now = machineNow();
    for (; this.#audioAt <= now; this.#audioAt += mediaShape.audioIntervalMs) this.#sendAudio(now);
    for (; this.#frameAt <= now; this.#frameAt += mediaShape.frameIntervalMs) this.#sendFrame(now);
  }

  #sendAudio(now: number): void {
    const datagram = packet(audioType, mediaShape.audioBytes, this.#audio++, now);
    const deadlineMs = this.#deadlines ? 200 : Number.MAX_SAFE_INTEGER;
    this.#send(datagram, { lane: lane.audio, frameId: 0, keyFrame: false, discardable: true, deadlineMs });
  }

  #sendFrame(now: number): void {
    const keyFrame = this.#keyFrameAt !== null && now >= this.#keyFrameAt;
    const frameId = ++this.#frames;
    if (keyFrame) {
      this.#keyFrameAt = null;
      this.#halted = false;
      this.#firstFrame = frameId;
      this.#keyFrames++;
    }
    if (this.#halted) return;
    const count = keyFrame ? mediaShape.keyFramePackets : mediaShape.framePackets;
    const deadlineMs = this.#deadlines ? 300 : Number.MAX_SAFE_INTEGER;
    const meta: SendMeta = { lane: lane.video, frameId, keyFrame, discardable: false, deadlineMs };
    for (let index = 0; index < count; index++) {
      const datagram = packet(videoType, mediaShape.videoPacketBytes, frameId, now);
      datagram[offset.index] = index;
      datagram[offset.count] = count;
      datagram[offset.key] = keyFrame ? 1 : 0;
      this.#send(datagram, meta);
    }
  }
}

function packet(type: number, bytes: number, sequence: number, now: number): Uint8Array {
  const datagram = new Uint8Array(bytes);
  const view = new DataView(datagram.buffer);
  datagram[0] = 0x80;
  datagram[1] = type;
  view.setUint32(offset.sequence, sequence);
  view.setUint32(offset.ssrc, type);
  view.setFloat64(offset.time, now);
  view.setUint32(offset.frame, sequence);
  return datagram;
}

export interface MediaReading {
  readonly audioReceived: number;
  readonly audioP50Ms: number;
  readonly audioP99Ms: number;
  readonly audioMaxMs: number;
  readonly videoP99Ms: number;
  /** Frames that came whole, those whose predecessors up to a key frame did too, and those of which only a part came. */
  readonly wholeFrames: number;
  readonly decodableFrames: number;
  readonly brokenFrames: number;
  /** Longest time without a decodable frame. */
  readonly longestFreezeMs: number;
}

interface Frame {
  readonly id: number;
  readonly key: boolean;
  readonly count: number;
  readonly sentAt: number;
  packets: number;
  wholeAt: number;
}

/** What came, and how old it was. */
export class MediaSink {
  #audio: { readonly sentAt: number; readonly age: number }[] = [];
  #frames = new Map<number, Frame>();

  take(datagram: Uint8Array): void {
    const now = machineNow();
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    const sentAt = view.getFloat64(offset.time);
    if (datagram[1] === audioType) {
      this.#audio.push({ sentAt, age: now - sentAt });
      return;
    }
    const id = view.getUint32(offset.frame);
    let frame = this.#frames.get(id);
    if (frame === undefined) {
      frame = {
        id,
        key: datagram[offset.key] === 1,
        count: datagram[offset.count] ?? 0,
        sentAt,
        packets: 0,
        wholeAt: 0,
      };
      this.#frames.set(id, frame);
    }
    if (++frame.packets === frame.count) frame.wholeAt = now;
  }

  /** Of what was sent from `from` to `until`. */
  reading(from: number, until: number): MediaReading {
    const ages = this.#audio.filter(({ sentAt }) => sentAt >= from && sentAt < until).map(({ age }) => age);
    ages.sort((a, b) => a - b);
    const decodable = this.#decodable();
    const frames = [...this.#frames.values()].filter(({ sentAt }) => sentAt >= from && sentAt < until);
    const whole = frames.filter(({ wholeAt }) => wholeAt > 0);
    const videoAges = whole.map(({ wholeAt, sentAt }) => wholeAt - sentAt).sort((a, b) => a - b);
    const shownAt = decodable.filter((frame) => frames.includes(frame)).map(({ wholeAt }) => wholeAt);
    let freeze = 0;
    let before = from;
    for (const at of [...shownAt, until]) {
      freeze = Math.max(freeze, at - before);
      before = at;
    }
    return {
      audioReceived: ages.length,
      audioP50Ms: share(ages, 0.5),
      audioP99Ms: share(ages, 0.99),
      audioMaxMs: ages.at(-1) ?? NaN,
      videoP99Ms: share(videoAges, 0.99),
      wholeFrames: whole.length,
      decodableFrames: shownAt.length,
      brokenFrames: frames.length - whole.length,
      longestFreezeMs: freeze,
    };
  }

  /** From `at` on: ms until frames are decodable and on time (300 ms) again and stay so for a second; {@link never} for never. */
  recoveryMs(at: number): number {
    const shown = this.#decodable().filter(({ wholeAt }) => wholeAt >= at);
    for (const [index, frame] of shown.entries()) {
      const run = shown.slice(index).filter(({ wholeAt }) => wholeAt < frame.wholeAt + 1000);
      if (run.length >= 22 && run.every(({ wholeAt, sentAt }) => wholeAt - sentAt <= 300)) return frame.wholeAt - at;
    }
    return never;
  }

  #decodable(): Frame[] {
    const decodable: Frame[] = [];
    let previous = -1;
    for (const frame of [...this.#frames.values()].sort((a, b) => a.id - b.id)) {
      if (frame.wholeAt === 0 || !(frame.key || frame.id === previous + 1)) continue;
      decodable.push(frame);
      previous = frame.id;
    }
    return decodable;
  }
}

/** NaN where nothing came. */
function share(sorted: readonly number[], part: number): number {
  return sorted.length === 0 ? NaN : percentile(sorted, part);
}
