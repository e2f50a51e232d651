/** What comes from one participant: recognises its streams, fans their packets out to slots, and reports back to it. */
import {
  concatBytes,
  encodeNack,
  encodePli,
  encodeReceiverReport,
  encodeRemb,
  encodeSourceDescription,
  ExtensionCursor,
  publishSections,
  u32,
} from '../../tunnel-protocol/index.ts';
import type { ReportBlock, Rid, RtcpPacket, Source } from '../../tunnel-protocol/index.ts';
import type { SfuCounters } from '../counters.ts';
import type { OfferSection } from '../sdp-offer.ts';
import { Layer } from './layer.ts';
import type { LayerFeedback } from './layer.ts';
import { SourcePacket } from './source-packet.ts';
import { Track } from './track.ts';

export const reportIntervalMs = 1000;
/** What a publisher is told it may send, in bit/s: enough for a large and a small camera layer and audio. */
export const publisherBitrate = 2_500_000;
/** An SSRC takes the place of another one of the same layer only after so many ms without packets of that. */
export const ssrcHoldMs = 250;
const maxReportBlocks = 31;

export interface IngressOutput {
  /** True where media comes on a path that loses nothing but what it drops on purpose. */
  readonly reliable: boolean;
  /** Only read. */
  sendRtcp(compound: Uint8Array): boolean;
}

export interface IngressOptions {
  readonly counters: SfuCounters;
  /** Sender of this side's reports. */
  readonly ssrc: number;
  readonly cname: string;
}

export class Ingress {
  readonly tracks: Readonly<Record<Source, Track>>;
  readonly #options: IngressOptions;
  readonly #layers = new Map<number, Layer>();
  /** One for all packets: they are handled one by one. */
  readonly #packet = new SourcePacket();
  readonly #cursor = new ExtensionCursor();
  #sections: readonly OfferSection[] = [];
  /** Usually one for all sections. */
  #midIds: readonly number[] = [];
  #output: IngressOutput | null = null;
  readonly #feedback: LayerFeedback;
  #lastReportAt = -Infinity;
  /** Publisher's clock minus ours, in ms; null before its first sender report. */
  #clockOffset: number | null = null;

  constructor(options: IngressOptions) {
    this.#options = options;
    this.#feedback = this.#createFeedback();
    const publisherTime = (now: number): number | null => (this.#clockOffset === null ? null : now + this.#clockOffset);
    const entries = publishSections.map(({ source, kind }) => [source, new Track(source, kind, publisherTime)]);
    this.tracks = Object.fromEntries(entries) as Record<Source, Track>;
  }

  /** An offer was accepted. Streams that are known already stay. */
  negotiate(sections: readonly OfferSection[]): void {
    this.#sections = sections.filter(({ source }) => source !== null);
    this.#midIds = [...new Set(this.#sections.map(({ extensions }) => extensions.mid))].filter((id) => id !== 0);
  }

  /** Whether the accepted offer can carry this source; true while there is none. */
  carries(source: Source): boolean {
    return this.#sections.length === 0 || this.#sections.some((section) => section.source === source && section.active);
  }

  /** The layers that the accepted offer announced for a source: RIDs, or one without. */
  layersOf(source: Source): readonly (Rid | null)[] {
    const section = this.#sections.find((candidate) => candidate.source === source);
    if (section?.active !== true) return [];
    return section.rids.length > 0 ? section.rids : [null];
  }

  /** A new transport: the streams of the one before are gone. */
  connect(output: IngressOutput | null, now: number): void {
    this.#output = output;
    this.#clockOffset = null;
    this.#lastReportAt = -Infinity;
    for (const layer of [...this.#layers.values()]) this.#remove(layer, now);
  }

  /** One authenticated RTP packet, borrowed. The hot path. */
  receiveRtp(bytes: Uint8Array, now: number): void {
    const { counters } = this.#options;
    const layer = this.#layers.get(u32(bytes, 8)) ?? this.#latch(bytes, now);
    if (layer === null) return;
    const packet = this.#packet;
    if (packet.read(bytes, layer.forwarded) !== null) {
      counters.rtp_malformed++;
      return;
    }
    const { rtp } = packet;
    if (rtp.payloadType !== layer.codec.payloadType) {
      counters.rtp_unroutable++;
      return;
    }
    layer.received(packet, now);
    if (packet.keyFrame && layer.forwarded !== 'audio') counters.key_frames_in++;
    if (layer.extensions.audioLevel !== 0) this.#hear(layer, packet, now);
    if (!layer.track.live) counters.rtp_unpublished++;
    const { listeners } = layer;
    // Backwards, because a slot may take itself out.
    for (let i = listeners.length - 1; i >= 0; i--) listeners[i]?.forward(packet, layer, now);
  }

  /** Sender reports and goodbyes; other packets are not for this side of a participant. */
  receiveRtcp(packet: RtcpPacket, now: number): void {
    if (packet.type === 'sender-report') {
      const layer = this.#layers.get(packet.ssrc);
      if (layer === undefined) return;
      const sample = layer.senderReported(packet.ntp, packet.rtpTimestamp, now) - now;
      const before = this.#clockOffset;
      // Follows drift slowly, for all streams alike; a clock that was set is followed at once.
      const steady = before !== null && Math.abs(sample - before) < 1000;
      this.#clockOffset = steady ? before + (sample - before) / 16 : sample;
    } else if (packet.type === 'goodbye') {
      for (const ssrc of packet.ssrcs) {
        const layer = this.#layers.get(ssrc);
        if (layer !== undefined) this.#remove(layer, now);
      }
    }
  }

  tick(now: number): void {
    for (const layer of this.#layers.values()) layer.tick(now);
    if (this.#layers.size === 0 || now - this.#lastReportAt < reportIntervalMs) return;
    this.#lastReportAt = now;
    this.#report(now);
  }

  #createFeedback(): LayerFeedback {
    const { ssrc: ownSsrc, counters } = this.#options;
    const isReliable = (): boolean => this.#output?.reliable !== false;
    return {
      get reliable() {
        return isReliable();
      },
      sendPli: (ssrc) => {
        if (this.#sendFeedback(encodePli(ownSsrc, ssrc))) counters.key_frames_requested++;
      },
      sendNack: (ssrc, lost) => {
        if (this.#sendFeedback(encodeNack(ownSsrc, ssrc, lost))) counters.repeats_requested += lost.length;
      },
    };
  }

  #latch(bytes: Uint8Array, now: number): Layer | null {
    const { counters } = this.#options;
    const { rtp } = this.#packet;
    if (rtp.parse(bytes) !== null) {
      counters.rtp_malformed++;
      return null;
    }
    const section = this.#sectionOf(bytes);
    const codec = section?.active === true ? section.codecs[0] : undefined;
    if (section === null || section.source === null || codec === undefined) {
      counters.rtp_unroutable++;
      return null;
    }
    let rid: Rid | null = null;
    if (section.rids.length > 0) {
      rid = this.#ridOf(section, bytes);
      if (rid === null) {
        counters.rtp_unroutable++;
        return null;
      }
    }
    const track = this.tracks[section.source];
    const before = track.layer(rid);
    if (before !== null) {
      if (now - before.lastPacketAt < ssrcHoldMs) {
        counters.streams_refused++;
        return null;
      }
      counters.streams_replaced++;
    }
    const { extensions } = section;
    const layer = new Layer({ ssrc: rtp.ssrc, track, rid, codec, extensions, feedback: this.#feedback }, now);
    counters.streams_latched++;
    this.#layers.set(layer.ssrc, layer);
    track.layers.push(layer);
    if (before === null) track.layerCame(now);
    else this.#remove(before, now);
    return layer;
  }

  /** By the MID extension (RFC 8843 section 9.2), else by the SSRCs that the offer announced. */
  #sectionOf(bytes: Uint8Array): OfferSection | null {
    const { rtp } = this.#packet;
    for (const id of this.#midIds) {
      if (this.#cursor.find(rtp, id)) return this.#sections.find(({ mid }) => this.#elementIs(bytes, mid)) ?? null;
    }
    return this.#sections.find(({ ssrcs }) => ssrcs.includes(rtp.ssrc)) ?? null;
  }

  #ridOf(section: OfferSection, bytes: Uint8Array): Rid | null {
    if (!this.#cursor.find(this.#packet.rtp, section.extensions.rid)) return null;
    return section.rids.find((rid) => this.#elementIs(bytes, rid)) ?? null;
  }

  /** Whether the element that the cursor stands on is this ASCII text. */
  #elementIs(bytes: Uint8Array, text: string): boolean {
    const { offset, length } = this.#cursor;
    if (length !== text.length) return false;
    for (let i = 0; i < length; i++) if (bytes[offset + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  #hear(layer: Layer, packet: SourcePacket, now: number): void {
    const cursor = this.#cursor;
    if (!cursor.find(packet.rtp, layer.extensions.audioLevel)) return;
    layer.track.voice.heard((packet.rtp.packet[cursor.offset] as number) & 0x7f, now);
  }

  #remove(layer: Layer, now: number): void {
    this.#layers.delete(layer.ssrc);
    layer.track.removeLayer(layer, now);
  }

  /** Compound, because not everybody reads reduced-size RTCP (RFC 5506). */
  #sendFeedback(packet: Uint8Array): boolean {
    const { ssrc, cname } = this.#options;
    const compound = concatBytes([encodeReceiverReport(ssrc, []), encodeSourceDescription(ssrc, cname), packet]);
    return this.#output?.sendRtcp(compound) === true;
  }

  /** Receiver report, description and REMB in one compound packet. */
  #report(now: number): void {
    const { ssrc, cname } = this.#options;
    const blocks: ReportBlock[] = [];
    const videos: number[] = [];
    for (const layer of this.#layers.values()) {
      const block = blocks.length < maxReportBlocks ? layer.stats.report(now) : null;
      if (block !== null) blocks.push(block);
      if (layer.codec.feedback.includes('goog-remb')) videos.push(layer.ssrc);
    }
    const parts = [encodeReceiverReport(ssrc, blocks), encodeSourceDescription(ssrc, cname)];
    if (videos.length > 0) parts.push(encodeRemb(ssrc, publisherBitrate, videos));
    this.#output?.sendRtcp(concatBytes(parts));
  }
}
