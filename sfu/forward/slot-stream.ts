/** One slot of one subscriber: the continuous outgoing stream, and which layer feeds it. */
import { lane } from '../../tunnel-protocol/index.ts';
import type { MediaKind, PacketSlab, Rid, SendMeta } from '../../tunnel-protocol/index.ts';
import type { SfuCounters } from '../counters.ts';
import type { SlotSsrcs } from '../sdp-answer.ts';
import type { OfferSection } from '../sdp-offer.ts';
import type { Layer } from './layer.ts';
import { PacketHistory } from './packet-history.ts';
import { SendStats } from './rtp-stats.ts';
import type { SourcePacket } from './source-packet.ts';
import { StreamRewriter } from './stream-rewriter.ts';
import type { ExtensionMapping } from './stream-rewriter.ts';
import type { Track } from './track.ts';

export const audioDeadlineMs = 200;
export const videoDeadlineMs = 300;
const audioMeta: SendMeta = {
  lane: lane.audio,
  frameId: 0,
  keyFrame: false,
  discardable: true,
  deadlineMs: audioDeadlineMs,
};

const repeatMeta: SendMeta = {
  lane: lane.video,
  frameId: 0,
  keyFrame: false,
  discardable: false,
  deadlineMs: videoDeadlineMs,
};
/** Packets kept of a video slot, in case they must be repeated: two seconds of a rich stream, a power of two. */
const historyPackets = 256;

/** Which layer a slot wants, best first: main the large one, thumbnails the small one. */
const preferences = {
  main: ['h', null, 'l'],
  thumbnail: ['l', null, 'h'],
} as const satisfies Record<string, readonly (Rid | null)[]>;

/** Where a slot's packets go: the subscriber's transport, as far as a slot needs it. */
export interface SlotOutput {
  /** True where packets are not lost on the way, so that none need be kept. */
  readonly reliable: boolean;
  /** Only read. False when it went nowhere. */
  sendRtp(packet: Uint8Array, meta: SendMeta): boolean;
}

export interface SlotShared {
  readonly counters: SfuCounters;
  readonly slab: PacketSlab;
  readonly random: (length: number) => Uint8Array;
  /** Numbers the video frames of all slots of a subscriber, because they share a path. Never 0. */
  readonly nextFrameId: () => number;
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
  readonly #preference: readonly (Rid | null)[];
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
  #frameMeta: SendMeta = audioMeta;

  constructor(shared: SlotShared, mid: string, kind: MediaKind, main: boolean, ssrcs: SlotSsrcs) {
    this.mid = mid;
    this.kind = kind;
    this.ssrc = ssrcs.media;
    this.#rtxSsrc = ssrcs.rtx;
    this.stats = new SendStats(ssrcs.media);
    this.#shared = shared;
    this.#preference = main ? preferences.main : preferences.thumbnail;
  }

  /** What feeds the slot now; null when nothing does. */
  get current(): Layer | null {
    return this.#current;
  }

  get track(): Track | null {
    return this.#track;
  }

  /** The subscriber's offer was accepted. The stream goes on unless the MID extension has another id than before. */
  negotiate(section: OfferSection, now: number): void {
    const before = this.#section;
    this.#section = section;
    if (before === null || !sameNumbers(before, section)) this.#release();
    if (this.#rewriter === null || before?.extensions.mid !== section.extensions.mid) {
      this.#rewriter = new StreamRewriter({
        kind: this.kind,
        ssrc: this.ssrc,
        rtxSsrc: this.#rtxSsrc,
        // Both are put in afterwards: they depend on the codec of whoever is shown.
        payloadType: 0,
        rtxPayloadType: 0,
        clockRate: this.kind === 'audio' ? 48_000 : 90_000,
        mid: this.mid,
        midExtensionId: section.extensions.mid,
        random: this.#shared.random,
        slab: this.#shared.slab,
      });
    }
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
    const best = this.#track.bestLayer(this.#preference, now);
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
      if (packet === null || !this.#repeat(packet, output)) gone = true;
      else repeated++;
    }
    if (gone) this.keyFrameRequested(now);
    return repeated;
  }

  /** Forgets packets that are too old to be repeated. Call about once a second: each keeps more memory alive than its own. */
  prune(now: number): void {
    this.#history?.prune(now);
  }

  /** One packet of a layer that this slot listens to. */
  forward(packet: SourcePacket, layer: Layer, now: number): void {
    const rewriter = this.#rewriter;
    const output = this.#output;
    if (rewriter === null || output === null) return;
    const rewritten = rewriter.rewrite(packet, layer, now);
    if (layer === this.#pending && rewriter.current === layer) this.#switched(layer);
    if (rewritten === null) return;
    rewritten[1] = ((rewritten[1] as number) & 0x80) | this.#payloadType;
    const meta = this.kind === 'audio' ? audioMeta : this.#metaOf(packet);
    if (!output.sendRtp(rewritten, meta)) {
      this.#shared.counters.rtp_unsent++;
      return;
    }
    this.stats.sent(packet.rtp.payloadLength);
    if (this.kind === 'video' && !output.reliable)
      (this.#history ??= new PacketHistory(historyPackets)).put(rewritten, now);
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

  #switched(layer: Layer): void {
    if (this.#current !== null) unlisten(this.#current, this);
    this.#current = layer;
    this.#pending = null;
    this.#payloadType = this.#pendingPayloadType;
    this.#frameTimestamp = -1;
    this.reportDue = true;
    this.#shared.counters.slot_switches++;
  }

  #repeat(packet: Uint8Array, output: SlotOutput): boolean {
    const payloadType = (packet[1] as number) & 0x7f;
    const codec = this.#section?.codecs.find((candidate) => candidate.payloadType === payloadType);
    if (codec === undefined || codec.rtxPayloadType === 0) return false;
    const repeated = this.#rewriter?.retransmit(packet) ?? null;
    if (repeated === null) return false;
    repeated[1] = ((repeated[1] as number) & 0x80) | codec.rtxPayloadType;
    if (!output.sendRtp(repeated, repeatMeta)) return false;
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
    const from = layer.extensions.audioLevel;
    const to = this.#section?.extensions.audioLevel ?? 0;
    return from === 0 || to === 0 ? [] : [{ from, to }];
  }

  /** One object for all packets of a frame: a path may keep it as long as it keeps the packet. */
  #metaOf(packet: SourcePacket): SendMeta {
    const { timestamp } = packet.rtp;
    if (timestamp === this.#frameTimestamp && !packet.keyFrame) return this.#frameMeta;
    this.#frameTimestamp = timestamp;
    this.#frameMeta = {
      lane: lane.video,
      frameId: this.#shared.nextFrameId(),
      keyFrame: packet.keyFrame,
      discardable: packet.codec === 'vp8' && packet.rtp.payloadLength > 0 && packet.vp8.nonReference,
      deadlineMs: videoDeadlineMs,
    };
    return this.#frameMeta;
  }
}

/** Whether packets for the one section fit the other as they are. */
function sameNumbers(a: OfferSection, b: OfferSection): boolean {
  return (
    a.active === b.active &&
    a.extensions.mid === b.extensions.mid &&
    a.extensions.audioLevel === b.extensions.audioLevel &&
    a.codecs.length === b.codecs.length &&
    a.codecs.every(({ key, payloadType }, at) => key === b.codecs[at]?.key && payloadType === b.codecs[at].payloadType)
  );
}

function unlisten(layer: Layer, slot: SlotStream): void {
  const at = layer.listeners.indexOf(slot);
  if (at !== -1) layer.listeners.splice(at, 1);
}
