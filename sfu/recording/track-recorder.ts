/** One track of a participant as a recording takes it: a subscriber's slot without a wire, and the frames that come of it. */
import { extensionUri, RtpView, type Publication } from '../../tunnel-protocol/index.ts';
import type { SfuCounters } from '../counters.ts';
import { SendBudget, SentRate, SlotStream, type ForwardedCodec, type Track } from '../forward/index.ts';
import type { Codec } from '../sdp-codecs.ts';
import type { HeaderExtensionIds, OfferSection } from '../sdp-offer.ts';
import { FrameAssembler, type EncodedFrame } from './frames.ts';
import { MediaClock } from './media-clock.ts';
import { PacketOrder } from './packet-order.ts';
import { Tap } from './tap.ts';

const tapBytes = { audio: 2 * 1024, video: 32 * 1024 } as const;
const noExtensions = Object.fromEntries(Object.keys(extensionUri).map((name) => [name, 0])) as HeaderExtensionIds;
/** While a key frame is missed it is asked for so often, in ms. */
const keyFrameAskMs = 500;
/** A recording has a key frame at least so often, in ms, so that players can go to a moment. */
export const keyFrameIntervalMs = 20_000;

export interface TimedFrame {
  /** On the SFU's clock, in ms; never before the frame before. */
  readonly atMs: number;
  readonly keyFrame: boolean;
  readonly data: Uint8Array;
}

export interface TrackRecorderDeps {
  readonly counters: SfuCounters;
  readonly random: (length: number) => Uint8Array;
}

export class TrackRecorder {
  readonly track: Track;
  readonly #slot: SlotStream;
  readonly #tap: Tap;
  readonly #view = new RtpView();
  readonly #rate = new SentRate();
  /** Called with each frame; the codec is {@link codec}. */
  readonly #give: (frame: TimedFrame, now: number) => void;
  #codec: Codec | null = null;
  #frames: FrameAssembler | null = null;
  #clock: MediaClock | null = null;
  #order: PacketOrder | null = null;
  #batch: EncodedFrame[] = [];
  #lastMs = -Infinity;
  #overflows = 0;
  #askedAt = -Infinity;
  #keyFrameAt = -Infinity;
  forwarded: ForwardedCodec = 'audio';
  /** Packets that never came. */
  lost = 0;

  constructor({ counters, random }: TrackRecorderDeps, track: Track, give: (frame: TimedFrame, now: number) => void) {
    this.track = track;
    this.#give = give;
    this.#tap = new Tap(tapBytes[track.kind]);
    let frameId = 0;
    const shared = {
      counters,
      random,
      nextFrameId: () => (frameId = (frameId % 0xffff_ffff) + 1),
      rate: this.#rate,
      budget: new SendBudget(),
      fill: () => undefined,
    };
    // As for main: the large layer.
    this.#slot = new SlotStream(shared, track.source, track.kind, true, { media: 1, rtx: 2 });
  }

  get source(): Publication['source'] {
    return this.track.source;
  }

  /** Null before anything came. */
  get codec(): Codec | null {
    return this.#codec;
  }

  /** A file can begin with the next key frame. */
  wantKeyFrame(now: number): void {
    this.#slot.keyFrameRequested(now);
  }

  /** Takes what is published from now on. */
  open(now: number): void {
    this.#slot.connect(this.#tap, now);
    this.#slot.assign(this.track, now);
  }

  /** Whether packets are taken: not while the track is muted. */
  get isOpen(): boolean {
    return this.#slot.track !== null;
  }

  /** Nothing is taken any more; what came goes out. */
  close(now: number): void {
    this.#drain(now);
    this.#order?.flush();
    this.#deliver(now);
    this.#slot.assign(null, now);
    this.#slot.connect(null, now);
  }

  tick(now: number): void {
    this.#rate.tick(now);
    this.#followCodec(now);
    this.#slot.select(now);
    this.#drain(now);
    this.#order?.tick(now);
    this.#deliver(now);
    if (this.track.kind === 'video') this.#askForKeyFrame(now);
  }

  /** A publisher has one codec at a time; after it moved to another transport, maybe another one. */
  #followCodec(now: number): void {
    const codec = this.track.layers[0]?.codec ?? null;
    if (codec === null || codec.key === this.#codec?.key) return;
    this.#drain(now);
    this.#order?.flush();
    this.#deliver(now);
    this.#codec = codec;
    const forwarded = this.track.layers[0]?.forwarded ?? 'audio';
    this.forwarded = forwarded;
    this.#clock = new MediaClock(codec.clockRate);
    const frames = new FrameAssembler(forwarded, (frame) => {
      this.#batch.push(frame);
    });
    this.#frames = frames;
    this.#order = new PacketOrder({
      packet: (bytes, payloadOffset) => {
        frames.packet(bytes, payloadOffset);
      },
      lost: (count) => {
        this.lost += count;
        frames.lost();
      },
    });
    this.#slot.negotiate(sectionOf(codec, this.track.kind), now);
  }

  #drain(now: number): void {
    const view = this.#view;
    this.#tap.drain((packet) => {
      if (view.parse(packet) !== null) return;
      const { payloadOffset, payloadLength } = view;
      this.#order?.receive(view.sequenceNumber, packet.subarray(0, payloadOffset + payloadLength), payloadOffset, now);
    });
    if (this.#tap.overflows === this.#overflows) return;
    this.#overflows = this.#tap.overflows;
    this.#frames?.lost();
  }

  #deliver(now: number): void {
    const clock = this.#clock;
    if (clock === null) return;
    const newest = this.#batch.at(-1);
    if (newest !== undefined) clock.heard(newest.timestamp, now);
    const reported = this.#slot.timestampAt(now);
    if (reported !== null) clock.reported(reported, now);
    for (const { timestamp, keyFrame, data } of this.#batch) {
      // Nothing was taken after it came here: a timestamp that says so would hold up all that follows.
      this.#lastMs = Math.min(now, Math.max(this.#lastMs, clock.timeOf(timestamp)));
      if (keyFrame) this.#keyFrameAt = now;
      this.#give({ atMs: this.#lastMs, keyFrame, data }, now);
    }
    if (this.#batch.length > 0) this.#batch = [];
  }

  #askForKeyFrame(now: number): void {
    if (!this.isOpen) return;
    const due = this.#frames?.awaitsKeyFrame === true || now - this.#keyFrameAt >= keyFrameIntervalMs;
    if (!due || now - this.#askedAt < keyFrameAskMs) return;
    this.#askedAt = now;
    this.#slot.keyFrameRequested(now);
  }
}

/** What a subscriber would have to offer to get this codec, and nothing else, with no header extension. */
function sectionOf(codec: Codec, kind: OfferSection['kind']): OfferSection {
  const plain: Codec = { ...codec, feedback: [], rtxPayloadType: 0, redPayloadType: 0, prefersRed: false };
  return {
    mid: '',
    kind,
    source: null,
    slot: null,
    active: true,
    codecs: [plain],
    extensions: noExtensions,
    rids: [],
    ssrcs: [],
    ownPayloadTypes: false,
    reducedSizeRtcp: false,
  };
}
