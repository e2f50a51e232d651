/**
 * One slot of one subscriber: the continuous outgoing stream, and which layer feeds it. Long because it is a packet's whole way
 * out, and that is read in one piece; what is rewritten, kept and estimated on it stands in files of its own.
 */
import { flowLimits, lane, putU24, rtpHeaderBytes } from '../../tunnel-protocol/index.ts';
import type { MediaKind, Rid, SendMeta } from '../../tunnel-protocol/index.ts';
import type { SfuCounters } from '../counters.ts';
import type { SlotSsrcs } from '../sdp-answer.ts';
import type { OfferSection } from '../sdp-offer.ts';
import { FrameMeta } from './frame-meta.ts';
import type { Layer } from './layer.ts';
import { PacketHistory } from './packet-history.ts';
import type { PacketRoom } from './packet-room.ts';
import { SendStats } from './rtp-stats.ts';
import type { SendBudget } from './send-budget.ts';
import type { SentRate } from './sent-rate.ts';
import type { SourcePacket } from './source-packet.ts';
import { StreamRewriter } from './stream-rewriter.ts';
import type { ExtensionMapping } from './stream-rewriter.ts';
import type { Track } from './track.ts';

const { audioDeadlineMs, videoDeadlineMs } = flowLimits;
/** A key frame is late rather than useless, and what follows it at once waits behind it. */
export const keyFrameDeadlineMs = 600;
/** A slot that was halted asks for key frames no more often. */
export const haltAskMs = 500;
/** How long a slot keeps to the small layer, at first and at most: twice as long each time it was too early. */
export const narrowMs = 10_000;
const maxNarrowMs = 80_000;
/** How long a small layer that did not come is waited for, in ms: its publisher has to be told. */
const smallPatienceMs = 3000;
const audioMeta: SendMeta = {
  lane: lane.audio,
  frameId: 0,
  keyFrame: false,
  discardable: true,
  deadlineMs: audioDeadlineMs,
};

/** What fills a probe is worthless when it waits. */
const paddingMeta: SendMeta = { ...audioMeta, lane: lane.video };
/** A padding packet of these many bytes, where there is nothing to repeat. */
const paddingBytes = 255;

const repeatMeta: SendMeta = {
  lane: lane.video,
  frameId: 0,
  keyFrame: false,
  discardable: false,
  deadlineMs: videoDeadlineMs,
};
/** Packets kept of a video slot, in case they must be repeated: two seconds of a rich stream, a power of two. */
const historyPackets = 256;

/** Which layer a slot takes, best first, where it may have no more than the key says. */
const preferences = {
  h: ['h', null, 'l'],
  l: ['l', null, 'h'],
} as const satisfies Record<Rid, readonly (Rid | null)[]>;

/** Header extensions that mean the same to whoever sends and receives them. */
const passedExtensions = ['audioLevel', 'videoOrientation', 'dependencyDescriptor'] as const;

/** Where a slot's packets go: the subscriber's transport, as far as a slot needs it. */
export interface SlotOutput extends PacketRoom {
  /** True where packets are not lost on the way, so that none need be kept. */
  readonly reliable: boolean;
  /** Bits per second that the path delivers; null where that is not known to be less than what is sent. */
  readonly deliveryRate: number | null;
  /** Sends the packet that was written since `open`. False when it went nowhere. */
  commit(meta: SendMeta): boolean;
}

export interface SlotShared {
  readonly counters: SfuCounters;
  readonly random: (length: number) => Uint8Array;
  /** Numbers the video frames of all slots of a subscriber, because they share a path. Never 0. */
  readonly nextFrameId: () => number;
  /** What is sent to the subscriber, by all slots. */
  readonly rate: SentRate;
  /** What may be sent to it. */
  readonly budget: SendBudget;
  /** Sends the padding that is due. */
  readonly fill: (now: number) => void;
}

export class SlotStream {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly ssrc: number;
  readonly #rtxSsrc: number;
  readonly stats: SendStats;
  /** Its source changed since the last sender report, so receivers need a new one soon. */
  reportDue = false;
  readonly #shared: SlotShared;
  /** The largest layer that the subscriber shows here; null where it shows none. */
  #ceiling: Rid | null;
  /** The largest layer that the path takes beside the others; null for none. */
  #allowed: Rid | null = 'h';
  #transportCcId = 0;
  #absSendTimeId = 0;
  #section: OfferSection | null = null;
  #rewriter: StreamRewriter | null = null;
  #output: SlotOutput | null = null;
  #track: Track | null = null;
  #current: Layer | null = null;
  #pending: Layer | null = null;
  #payloadType = 0;
  #pendingPayloadType = 0;
  #history: PacketHistory | null = null;
  #frameTimestamp = -1;
  #frameMeta: FrameMeta | null = null;
  /** Of the frame that the stream began with, or went on with, last; drops before it are past. */
  #firstFrameId = 0;
  #keyFrameAt = -Infinity;
  #askedAt = -Infinity;
  /** A key frame is to be asked for, but not yet. */
  #askDue = false;
  /** When the path was first found too slow for the large layer. */
  #smallSince = -Infinity;
  #narrowUntil = -Infinity;
  #narrowForMs = narrowMs;

  constructor(shared: SlotShared, mid: string, kind: MediaKind, main: boolean, ssrcs: SlotSsrcs) {
    this.mid = mid;
    this.kind = kind;
    this.ssrc = ssrcs.media;
    this.#rtxSsrc = ssrcs.rtx;
    this.stats = new SendStats(ssrcs.media);
    this.#shared = shared;
    this.#ceiling = main ? 'h' : 'l';
  }

  /** What feeds the slot now; null when nothing does. */
  get current(): Layer | null {
    return this.#current;
  }

  get track(): Track | null {
    return this.#track;
  }

  get ceiling(): Rid | null {
    return this.#ceiling;
  }

  /** The largest layer that it may be sent now; null for none. */
  get wanted(): Rid | null {
    return this.#ceiling === null || this.#allowed === null ? null : this.#allowed === 'l' ? 'l' : this.#ceiling;
  }

  /** The subscriber shows the slot at this size now. */
  setCeiling(ceiling: Rid | null, now: number): void {
    if (ceiling === this.#ceiling) return;
    this.#ceiling = ceiling;
    if (ceiling === null) this.#release();
    this.select(now);
  }

  /** What each layer takes that the slot could have, in bit/s, the smallest first. */
  demand(now: number): readonly number[] {
    const track = this.#track;
    if (track === null || this.#ceiling === null || this.#section?.active !== true) return [];
    const [small, large] = this.#choices(track, now);
    if (small === undefined) return [];
    return large === undefined ? [small.bitrate] : [small.bitrate, Math.max(small.bitrate, large.bitrate)];
  }

  /**
   * The path takes so many of the layers of {@link demand}; -1: none. `overloaded`: it takes so much less than is sent that
   * what still goes out would only stand in the way of the key frame that is waited for.
   */
  allow(level: number, now: number, overloaded: boolean): void {
    const allowed = level < 0 ? null : level === 0 && this.#isChoice(now) ? 'l' : 'h';
    if (allowed === this.#allowed) return;
    if (allowed === 'l') this.#smallSince = now;
    const { counters } = this.#shared;
    if (allowed === null) counters.slots_paused++;
    else if (allowed === 'l') counters.slots_narrowed++;
    this.#allowed = allowed;
    if (allowed === null || overloaded) this.#release();
    this.select(now);
  }

  /** Whether the slot may be sent a layer of the large or the small kind. */
  #isChoice(now: number): boolean {
    if (this.#ceiling !== 'h' || this.#track?.layer('h') == null) return false;
    const small = this.#track.layer('l');
    if (small === null) return false;
    // It may not have come because nobody was sent it; but then it comes as soon as somebody is to be.
    return this.#allowed !== 'l' || small.flows(now) || now - this.#smallSince < smallPatienceMs;
  }

  /** The layers that come and may be shown here, the smallest first. */
  #choices(track: Track, now: number): Layer[] {
    if (!this.#isChoice(now)) {
      const only = track.bestLayer(preferences[this.#ceiling ?? 'l'], now);
      return only === null ? [] : [only];
    }
    return (['l', 'h'] as const).flatMap((rid) => track.layer(rid) ?? []);
  }

  /** The subscriber's offer was accepted. The stream goes on unless it is to be named otherwise than before. */
  negotiate(section: OfferSection, now: number): void {
    const before = this.#section;
    this.#section = section;
    if (before === null || !sameNumbers(before, section)) this.#release();
    if (this.#rewriter === null || before?.mid !== section.mid || before.extensions.mid !== section.extensions.mid) {
      this.#rewriter = new StreamRewriter({
        kind: this.kind,
        ssrc: this.ssrc,
        rtxSsrc: this.#rtxSsrc,
        // It is put in afterwards: it depends on the codec of whoever is shown.
        payloadType: 0,
        clockRate: this.kind === 'audio' ? 48_000 : 90_000,
        mid: section.mid,
        midExtensionId: section.extensions.mid,
        random: this.#shared.random,
      });
    }
    const { transportWideCc, absSendTime } = section.extensions;
    this.#transportCcId = section.codecs.some(({ feedback }) => feedback.includes('transport-cc'))
      ? transportWideCc
      : 0;
    this.#absSendTimeId = this.#transportCcId === 0 ? absSendTime : 0;
    this.#rewriter.setStampIds(this.#transportCcId, this.#absSendTimeId);
    this.select(now);
  }

  /** Packets go here from now on; to nowhere when null, and then the next output begins with a key frame. */
  connect(output: SlotOutput | null, now: number): void {
    if (output === this.#output) return;
    this.#output = output;
    if (output === null) this.#release();
    else this.select(now);
  }

  /** Shows this track from now on. What was shown before ends at once: it is no longer announced for this slot. */
  assign(track: Track | null, now: number): void {
    if (track === this.#track) return;
    this.#release();
    this.#track?.viewers.delete(this);
    track?.viewers.add(this);
    this.#track = track;
    this.select(now);
  }

  /** Looks for the best layer there is and, if it is another one, waits for its next key frame. */
  select(now: number): void {
    if (this.#track === null || this.#output === null || this.#section?.active !== true) return;
    if (this.#askDue) this.#ask(now);
    const { wanted } = this;
    if (wanted === null) return;
    const ceiling = now < this.#narrowUntil ? 'l' : wanted;
    // The large layer is no help where the path is too slow for it.
    const small = this.#allowed === 'l' && this.#isChoice(now) ? this.#track.layer('l') : null;
    const best = small ?? this.#track.bestLayer(preferences[ceiling], now);
    if (best === null || best === this.#pending) return;
    if (best === this.#current) {
      if (this.#pending !== null) this.#await(best);
      return;
    }
    const codec = this.#section.codecs.find(({ key }) => key === best.codec.key);
    if (codec === undefined) {
      this.#shared.counters.layers_unmappable++;
      return;
    }
    this.#pendingPayloadType = codec.payloadType;
    this.#await(best);
    best.wantKeyFrame(now);
  }

  /** The layer does not come any more. */
  layerGone(layer: Layer, now: number): void {
    // Of a pending layer too: the rewriter may not wait for it any longer.
    if (layer === this.#current || layer === this.#pending) this.#release();
    this.select(now);
  }

  /** The subscriber lost something that only a key frame can mend. */
  keyFrameRequested(now: number): void {
    this.#current?.wantKeyFrame(now);
  }

  /** The subscriber misses these packets. `budget` is how many may be repeated; returns how many were. */
  repeat(lost: readonly number[], budget: number, now: number): number {
    const output = this.#output;
    if (output === null || this.kind === 'audio') return 0;
    let repeated = 0;
    let gone = false;
    for (const sequenceNumber of lost) {
      const packet = repeated < budget ? (this.#history?.take(sequenceNumber, now) ?? null) : null;
      if (packet === 'recent') continue;
      if (packet === null || !this.#repeat(packet, output, now)) gone = true;
      else repeated++;
    }
    // On a reliable path only what was dropped on purpose is missing, and that was seen to.
    if (gone && !output.reliable) this.keyFrameRequested(now);
    return repeated;
  }

  /**
   * The path was too slow for this frame, or for a part of it. What builds on it is of no use, so nothing goes out before
   * the next key frame, which is asked for: of a smaller layer, where the path is too slow for this one.
   */
  dropped(meta: FrameMeta, now: number): void {
    const layer = this.#current;
    if (meta.discardable || meta.frameId < this.#firstFrameId || layer === null) return;
    const { counters, rate } = this.#shared;
    counters.slots_halted++;
    const limit = this.#output?.deliveryRate ?? null;
    this.#current = null;
    this.#rewriter?.stop();
    const awaited = this.#pending;
    if (awaited === null) {
      this.#pending = layer;
      this.#pendingPayloadType = this.#payloadType;
      this.#rewriter?.switchTo(layer, this.#mappingOf(layer));
    } else {
      unlisten(layer, this);
      this.#rewriter?.switchTo(awaited, this.#mappingOf(awaited));
    }
    if (limit !== null && limit < rate.bitsPerSecond && layer.rid === 'h') this.#narrow(now);
    this.#askDue = true;
    this.select(now);
  }

  /** One packet of a layer that this slot listens to. */
  forward(packet: SourcePacket, layer: Layer, now: number): void {
    const rewriter = this.#rewriter;
    const output = this.#output;
    if (rewriter === null || output === null) return;
    rewriter.stamped = !output.reliable;
    const isRed = packet.primaryOffset > 0;
    const redPayloadType = isRed ? (this.#section?.codecs[0]?.redPayloadType ?? 0) : 0;
    const stripped = isRed && redPayloadType === 0;
    if (stripped) packet.showPrimary(true);
    const length = rewriter.rewrite(packet, layer, now, output);
    const tailBytes = packet.tail.length;
    if (stripped) packet.showPrimary(false);
    if (layer === this.#pending && rewriter.current === layer) this.#switched(layer);
    if (length === 0) return;
    if (length < 0) {
      this.#shared.counters.rtp_unsent++;
      return;
    }
    const { bytes, at } = output;
    const payloadType = redPayloadType === 0 ? this.#payloadType : redPayloadType;
    bytes[at + 1] = ((bytes[at + 1] as number) & 0x80) | payloadType;
    if (redPayloadType !== 0) renameBlocks(bytes, at + length - tailBytes, this.#payloadType);
    if (this.kind === 'video' && !output.reliable) {
      this.#history ??= new PacketHistory(historyPackets);
      this.#history.put(bytes, at, length - packet.tail.length, packet.tail, now);
    }
    this.#stamp(output, length, now);
    if (!output.commit(this.kind === 'audio' ? audioMeta : this.#metaOf(packet, now))) {
      this.#shared.counters.rtp_unsent++;
      return;
    }
    this.stats.sent(packet.rtp.payloadLength);
    this.#shared.rate.sent(length);
    if (this.#shared.budget.filling) this.#shared.fill(now);
  }

  /** One packet that fills what the path takes: a repeated one where there is any. Returns its bytes; 0 when there is none. */
  pad(now: number): number {
    const output = this.#output;
    const rewriter = this.#rewriter;
    if (output === null || output.reliable || rewriter === null || this.kind === 'audio') return 0;
    const rtx = this.#section?.codecs.find(({ rtxPayloadType }) => rtxPayloadType !== 0)?.rtxPayloadType ?? 0;
    if (rtx === 0) return 0;
    rewriter.stamped = true;
    const packet = this.#history?.latest(now) ?? null;
    const codec = packet === null ? undefined : this.#codecOf(packet);
    let length = rtpHeaderBytes + paddingBytes;
    if (packet !== null && codec !== undefined && codec.rtxPayloadType !== 0) {
      if (!rewriter.retransmit(packet, codec.rtxPayloadType, output)) return 0;
      length = packet.length + 2;
    } else if (!rewriter.pad(paddingBytes, rtx, output)) {
      return 0;
    }
    this.#stamp(output, length, now);
    if (!output.commit(paddingMeta)) return 0;
    this.#shared.counters.rtp_padding++;
    return length;
  }

  /** Writes what is known only now into the first elements of the header extension. */
  #stamp(output: SlotOutput, length: number, now: number): void {
    if (output.reliable || this.#transportCcId + this.#absSendTimeId === 0) return;
    const { bytes, at } = output;
    const extensionAt = at + rtpHeaderBytes;
    const elementAt = extensionAt + (bytes[extensionAt] === 0xbe ? 5 : 6);
    if (this.#transportCcId > 0) this.#shared.budget.mark(bytes, elementAt, length, now);
    // In seconds, 6.18 bits, modulo 64.
    else putU24(bytes, elementAt, Math.floor((now * 0x4_0000) / 1000) & 0xff_ffff);
  }

  #codecOf(packet: Uint8Array): OfferSection['codecs'][number] | undefined {
    const payloadType = (packet[1] as number) & 0x7f;
    return this.#section?.codecs.find((candidate) => candidate.payloadType === payloadType);
  }

  /** This stream's timestamp at the moment `now`; null while nobody can tell. */
  timestampAt(now: number): number | null {
    const publisherMs = this.#track?.publisherTime(now) ?? null;
    const timestamp = publisherMs === null ? null : (this.#current?.timestampAt(publisherMs) ?? null);
    return timestamp === null ? null : (this.#rewriter?.mapTimestamp(timestamp) ?? null);
  }

  /** Waits for a key frame of this layer; of the current one: waits no longer. */
  #await(layer: Layer): void {
    if (this.#pending !== null) unlisten(this.#pending, this);
    const isCurrent = layer === this.#current;
    this.#pending = isCurrent ? null : layer;
    if (!isCurrent) layer.listeners.push(this);
    this.#rewriter?.switchTo(layer, this.#mappingOf(layer));
  }

  #narrow(now: number): void {
    // The last time was not long enough, if it is not long ago.
    const again = now - this.#narrowUntil < narrowMs;
    this.#narrowForMs = again ? Math.min(maxNarrowMs, this.#narrowForMs * 2) : narrowMs;
    this.#narrowUntil = now + this.#narrowForMs;
    this.#shared.counters.slots_narrowed++;
  }

  #ask(now: number): void {
    if (now - this.#askedAt < haltAskMs) return;
    this.#askedAt = now;
    this.#askDue = false;
    this.#pending?.wantKeyFrame(now);
  }

  #switched(layer: Layer): void {
    this.#askDue = false;
    if (this.#current !== null) unlisten(this.#current, this);
    this.#current = layer;
    this.#pending = null;
    this.#payloadType = this.#pendingPayloadType;
    this.#frameTimestamp = -1;
    this.#frameMeta = null;
    this.#firstFrameId = Infinity;
    this.reportDue = true;
    this.#shared.counters.slot_switches++;
  }

  #repeat(packet: Uint8Array, output: SlotOutput, now: number): boolean {
    const codec = this.#codecOf(packet);
    if (codec === undefined || codec.rtxPayloadType === 0) return false;
    if (this.#rewriter?.retransmit(packet, codec.rtxPayloadType, output) !== true) return false;
    this.#stamp(output, packet.length + 2, now);
    if (!output.commit(repeatMeta)) return false;
    this.#shared.counters.rtp_repeated++;
    return true;
  }

  #release(): void {
    this.#history = null;
    if (this.#current !== null) unlisten(this.#current, this);
    if (this.#pending !== null) unlisten(this.#pending, this);
    this.#current = null;
    this.#pending = null;
    this.#rewriter?.stop();
  }

  #mappingOf(layer: Layer): readonly ExtensionMapping[] {
    const section = this.#section;
    if (section === null) return [];
    return passedExtensions
      .map((name) => ({ from: layer.extensions[name], to: section.extensions[name] }))
      .filter(({ from, to }) => from !== 0 && to !== 0);
  }

  /** One object for all packets of a frame: a path may keep it as long as it keeps the packet. */
  #metaOf(packet: SourcePacket, now: number): FrameMeta {
    const { timestamp, payloadLength } = packet.rtp;
    const before = timestamp === this.#frameTimestamp ? this.#frameMeta : null;
    if (before !== null && (before.keyFrame || !packet.keyFrame)) return before;
    const frameId = before?.frameId ?? this.#shared.nextFrameId();
    if (packet.keyFrame) this.#keyFrameAt = now;
    if (this.#firstFrameId === Infinity) this.#firstFrameId = frameId;
    const discardable = packet.codec === 'vp8' && payloadLength > 0 && packet.vp8.nonReference;
    const deadlineMs = now - this.#keyFrameAt < keyFrameDeadlineMs ? keyFrameDeadlineMs : videoDeadlineMs;
    this.#frameTimestamp = timestamp;
    this.#frameMeta = new FrameMeta(this, frameId, packet.keyFrame, discardable, deadlineMs);
    return this.#frameMeta;
  }
}

/** The blocks of redundant audio, which was found whole, are of this payload type (RFC 2198 section 3). */
function renameBlocks(bytes: Uint8Array, from: number, payloadType: number): void {
  let at = from;
  for (; (bytes[at] as number) >= 0x80; at += 4) bytes[at] = 0x80 | payloadType;
  bytes[at] = payloadType;
}

/** Whether packets for the one section fit the other as they are. */
function sameNumbers(a: OfferSection, b: OfferSection): boolean {
  return (
    a.active === b.active &&
    [...passedExtensions, 'mid' as const].every((name) => a.extensions[name] === b.extensions[name]) &&
    a.codecs.length === b.codecs.length &&
    a.codecs.every(({ key, payloadType }, at) => key === b.codecs[at]?.key && payloadType === b.codecs[at].payloadType)
  );
}

function unlisten(layer: Layer, slot: SlotStream): void {
  const at = layer.listeners.indexOf(slot);
  if (at !== -1) layer.listeners.splice(at, 1);
}
