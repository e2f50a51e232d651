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
  putU16,
  putU32,
  u16,
  u32,
} from '../../tunnel-protocol/index.ts';
import type { ReportBlock, Rid, RtcpPacket, Source } from '../../tunnel-protocol/index.ts';
import { ArrivalLog } from '../congestion/arrival-log.ts';
import type { SfuCounters } from '../counters.ts';
import type { Codec } from '../sdp-codecs.ts';
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
/** Ticks come every 100 ms; with so many between two of them this process was held up. */
const heldUpMs = 140;
/** Feedback packets on arrivals in one go: more than one only where a publisher's packets were held up for seconds. */
const maxArrivalReports = 4;
/** SSRCs that are remembered beyond their streams: senders stop naming section and layer once they were reported on. */
const maxRemembered = 32;

/** Which stream an SSRC is. */
interface StreamName {
  readonly source: Source;
  readonly rid: Rid | null;
}

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
  readonly #names = new Map<number, StreamName>();
  /** SSRCs of retransmissions, and of which stream they are. */
  readonly #repairs = new Map<number, StreamName>();
  /** Made with the first packet that is numbered for it. */
  #arrivals: ArrivalLog | null = null;
  #sections: readonly OfferSection[] = [];
  /** Usually one for all sections. */
  #midIds: readonly number[] = [];
  /** Of the transport-wide sequence number, which is one for the whole transport; 0 without. */
  #transportCcId = 0;
  #output: IngressOutput | null = null;
  readonly #feedback: LayerFeedback;
  #lastReportAt = -Infinity;
  #tickedAt = Infinity;
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
    const wide = this.#sections.find(({ codecs }) => codecs[0]?.feedback.includes('transport-cc'));
    this.#transportCcId = wide?.extensions.transportWideCc ?? 0;
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
    this.#names.clear();
    this.#repairs.clear();
    this.#arrivals = null;
  }

  /** One authenticated RTP packet, borrowed. The hot path. */
  receiveRtp(bytes: Uint8Array, now: number): void {
    const { counters } = this.#options;
    const known = this.#layers.get(u32(bytes, 8));
    const layer = known ?? this.#recognise(bytes, now);
    if (layer === null) return;
    const packet = this.#packet;
    if (packet.read(bytes, layer.forwarded) !== null) {
      counters.rtp_malformed++;
      return;
    }
    const { rtp } = packet;
    if (known !== undefined && this.#transportCcId !== 0) this.#noteArrival(now);
    const { payloadType, redPayloadType } = layer.codec;
    if (rtp.payloadType !== payloadType && (redPayloadType === 0 || !this.#isRed(redPayloadType))) {
      counters.rtp_unroutable++;
      return;
    }
    layer.received(packet, now);
    if (packet.keyFrame && layer.forwarded !== 'audio') counters.key_frames_in++;
    if (layer.extensions.audioLevel !== 0) this.#hear(layer, packet, now);
    if (!layer.track.live) counters.rtp_unpublished++;
    this.#forward(layer, now);
  }

  #forward(layer: Layer, now: number): void {
    const { listeners } = layer;
    // Backwards, because a slot may take itself out.
    for (let i = listeners.length - 1; i >= 0; i--) listeners[i]?.forward(this.#packet, layer, now);
  }

  #isRed(redPayloadType: number): boolean {
    return this.#packet.rtp.payloadType === redPayloadType && this.#packet.readRed();
  }

  /** Of the packet that the view holds. */
  #noteArrival(now: number): void {
    const { rtp } = this.#packet;
    if (this.#cursor.find(rtp, this.#transportCcId) && this.#cursor.length === 2) {
      (this.#arrivals ??= new ArrivalLog()).received(u16(rtp.packet, this.#cursor.offset), rtp.ssrc, now);
    }
  }

  /** A packet of no stream that is known: a retransmission, which is dealt with here, or a new one's, which is returned. */
  #recognise(bytes: Uint8Array, now: number): Layer | null {
    const { counters } = this.#options;
    const { rtp } = this.#packet;
    if (rtp.parse(bytes) !== null) {
      counters.rtp_malformed++;
      return null;
    }
    if (this.#transportCcId !== 0) this.#noteArrival(now);
    const repaired = this.#repairs.get(rtp.ssrc);
    if (repaired === undefined) return this.#latch(bytes, now);
    const layer = this.tracks[repaired.source].layer(repaired.rid);
    if (layer !== null) this.#repair(layer, bytes, now);
    return null;
  }

  /** RFC 4588 section 4: the payload begins with the number that the packet had. It becomes that packet again, in place. */
  #repair(layer: Layer, bytes: Uint8Array, now: number): void {
    const { counters } = this.#options;
    const { rtp } = this.#packet;
    const number = rtp.payloadLength < 2 ? -1 : u16(bytes, rtp.payloadOffset);
    if (rtp.payloadType !== layer.codec.rtxPayloadType || number < 0 || !layer.repaired(number)) {
      counters.rtp_repaired_in_vain++;
      return;
    }
    bytes.copyWithin(2, 0, rtp.payloadOffset);
    const original = bytes.subarray(2);
    original[1] = ((original[1] as number) & 0x80) | layer.codec.payloadType;
    putU16(original, 2, number);
    putU32(original, 8, layer.ssrc);
    if (this.#packet.read(original, layer.forwarded) !== null) {
      counters.rtp_malformed++;
      return;
    }
    counters.rtp_repaired++;
    // What follows it went by already, so nobody can begin with it.
    this.#packet.keyFrame = false;
    this.#forward(layer, now);
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
    for (const layer of this.#layers.values()) {
      layer.measure(now);
      layer.tick(now);
    }
    if (now - this.#tickedAt > heldUpMs) this.#arrivals?.spread(this.#tickedAt, now);
    this.#tickedAt = now;
    this.#reportArrivals();
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
    const section = this.#sectionOf(bytes);
    const codec = section?.active === true ? section.codecs[0] : undefined;
    if (section === null || section.source === null || codec === undefined) {
      counters.rtp_unroutable++;
      return null;
    }
    const isRepair = codec.rtxPayloadType !== 0 && rtp.payloadType === codec.rtxPayloadType;
    let rid: Rid | null = null;
    if (section.rids.length > 0) {
      rid = this.#ridOf(section, bytes, isRepair) ?? this.#names.get(rtp.ssrc)?.rid ?? null;
      if (rid === null) {
        counters.rtp_unroutable++;
        return null;
      }
    }
    remember(isRepair ? this.#repairs : this.#names, rtp.ssrc, { source: section.source, rid });
    if (isRepair) {
      const repaired = this.tracks[section.source].layer(rid);
      if (repaired !== null) this.#repair(repaired, bytes, now);
      return null;
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

  /** By the MID extension, else by the SSRCs that the offer announced, else by payload type (RFC 8843 section 9.2). */
  #sectionOf(bytes: Uint8Array): OfferSection | null {
    const { rtp } = this.#packet;
    for (const id of this.#midIds) {
      if (this.#cursor.find(rtp, id)) return this.#sections.find(({ mid }) => this.#elementIs(bytes, mid)) ?? null;
    }
    const source = this.#names.get(rtp.ssrc)?.source ?? null;
    if (source !== null) return this.#sections.find((section) => section.source === source) ?? null;
    return (
      this.#sections.find(({ ssrcs }) => ssrcs.includes(rtp.ssrc)) ??
      this.#sections.find(
        ({ ownPayloadTypes, codecs }) => ownPayloadTypes && codecs.some((codec) => uses(codec, rtp.payloadType)),
      ) ??
      null
    );
  }

  #ridOf(section: OfferSection, bytes: Uint8Array, isRepair: boolean): Rid | null {
    const { rid: ridId, repairedRid } = section.extensions;
    const id = isRepair ? repairedRid : ridId;
    if (id === 0 || !this.#cursor.find(this.#packet.rtp, id)) return null;
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

  #reportArrivals(): void {
    for (let bounded = 0; bounded < maxArrivalReports; bounded++) {
      const feedback = this.#arrivals?.feedback(this.#options.ssrc) ?? null;
      if (feedback === null) return;
      if (this.#sendFeedback(feedback)) this.#options.counters.congestion_reports_out++;
    }
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

function uses({ payloadType, rtxPayloadType, redPayloadType }: Codec, type: number): boolean {
  return type === payloadType || type === rtxPayloadType || type === redPayloadType;
}

/** Keeps the latest ones. */
function remember(names: Map<number, StreamName>, ssrc: number, name: StreamName): void {
  names.delete(ssrc);
  names.set(ssrc, name);
  const [oldest] = names.keys();
  if (names.size > maxRemembered && oldest !== undefined) names.delete(oldest);
}
