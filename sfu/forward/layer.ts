/** One incoming stream: an SSRC that was recognised as a layer of a publisher's track. */
import { unixMsFromNtp } from '../../tunnel-protocol/index.ts';
import type { NtpTime, Rid } from '../../tunnel-protocol/index.ts';
import type { Codec, CodecName } from '../sdp-codecs.ts';
import type { HeaderExtensionIds } from '../sdp-offer.ts';
import { MissingPackets } from './missing-packets.ts';
import { ReceptionStats } from './rtp-stats.ts';
import { SentRate } from './sent-rate.ts';
import type { SlotStream } from './slot-stream.ts';
import type { ForwardedCodec, SourcePacket } from './source-packet.ts';
import type { Track } from './track.ts';

/** A layer without packets for so long is not counted on, in ms. */
export const layerIdleMs = 1000;
/** Key frames of one SSRC are not asked for more often, in ms; after `patientAfterAsks` in vain, only at the second pace. */
export const keyFrameAskMs = 300;
export const patientKeyFrameAskMs = 1000;
const patientAfterAsks = 5;

const forwardedCodec: Readonly<Record<CodecName, ForwardedCodec>> = {
  opus: 'audio',
  VP8: 'vp8',
  VP9: 'vp9',
  H264: 'h264',
  AV1: 'av1',
};

/** Before a layer's bitrate is known, in bit/s. */
const guessedBitrate: Readonly<Record<Rid, number>> = { h: 800_000, l: 150_000 };
/** How long a layer must have come for its average to be one, and a pause after which it begins anew, in ms. */
const averageMs = 1000;
const gapMs = 300;

/** What can be asked of the publisher. */
export interface LayerFeedback {
  /** Packets come on a path that loses none: what is missing was dropped by the publisher, and is not repeated. */
  readonly reliable: boolean;
  sendPli(ssrc: number): void;
  sendNack(ssrc: number, lost: readonly number[]): void;
}

export class Layer {
  readonly ssrc: number;
  readonly track: Track;
  /** Null for a track without simulcast. */
  readonly rid: Rid | null;
  readonly codec: Codec;
  readonly forwarded: ForwardedCodec;
  /** Ids in this stream's packets. */
  readonly extensions: HeaderExtensionIds;
  readonly stats: ReceptionStats;
  /** Slots that are fed from here, or wait here for a key frame. */
  readonly listeners: SlotStream[] = [];
  lastPacketAt: number;
  readonly #rate = new SentRate();
  readonly #guess: number;
  #bitrate = 0;
  #rateSince = 0;
  readonly #feedback: LayerFeedback;
  /** Null for streams whose sender repeats nothing. */
  readonly #missing: MissingPackets | null;
  #keyFrameWanted = false;
  #asks = 0;
  #lastAskAt = -Infinity;
  /** The publisher's clock and this stream's timestamp at one moment, from its last sender report; null before the first. */
  #report: { readonly publisherMs: number; readonly timestamp: number } | null = null;

  constructor(
    options: {
      readonly ssrc: number;
      readonly track: Track;
      readonly rid: Rid | null;
      readonly codec: Codec;
      readonly extensions: HeaderExtensionIds;
      readonly feedback: LayerFeedback;
    },
    now: number,
  ) {
    this.ssrc = options.ssrc;
    this.track = options.track;
    this.rid = options.rid;
    this.codec = options.codec;
    this.forwarded = forwardedCodec[options.codec.name];
    this.extensions = options.extensions;
    this.stats = new ReceptionStats(options.ssrc, options.codec.clockRate);
    this.lastPacketAt = now;
    this.#guess = guessedBitrate[options.rid ?? 'h'];
    this.#restartRate(now);
    this.#feedback = options.feedback;
    this.#missing = options.codec.feedback.includes('nack') ? new MissingPackets() : null;
  }

  /** One packet that was recognised as this layer's. */
  received(packet: SourcePacket, now: number): void {
    const { sequenceNumber, timestamp, payloadLength } = packet.rtp;
    this.stats.received(sequenceNumber, timestamp, payloadLength, now);
    if (now - this.lastPacketAt > gapMs) this.#restartRate(now);
    this.lastPacketAt = now;
    this.#rate.sent(packet.rtp.packet.length);
    if (packet.keyFrame) this.#keyFrameWanted = false;
    if (this.#missing === null) return;
    const gap = this.#missing.received(sequenceNumber);
    // What follows it went by already, so nobody can begin with it.
    if (gap === 'late') packet.keyFrame = false;
    // Nobody misses what nobody sees.
    if (gap === false || gap === 'late' || this.listeners.length === 0) return;
    if (gap === 'lost') this.wantKeyFrame(now);
    else if (!this.#feedback.reliable) this.#askForMissing(now);
    else if (!packet.keyFrame) this.wantKeyFrame(now);
  }

  /** A packet that the publisher repeated. False when it was not missing. */
  repaired(sequenceNumber: number): boolean {
    return this.#missing?.repaired(sequenceNumber) === true;
  }

  /** What the layer takes, in bit/s; while nothing comes, what it took before, or a guess. */
  get bitrate(): number {
    return this.#bitrate === 0 ? this.#guess : this.#bitrate;
  }

  flows(now: number): boolean {
    return now - this.lastPacketAt < layerIdleMs;
  }

  /** A subscriber cannot go on without a key frame. Asks now unless it has just been done, and again until one comes. */
  wantKeyFrame(now: number): void {
    if (this.forwarded === 'audio') return;
    if (!this.#keyFrameWanted) this.#asks = 0;
    this.#keyFrameWanted = true;
    this.tick(now);
  }

  /** Call every 100 ms or so. */
  measure(now: number): void {
    if (now - this.lastPacketAt > gapMs) return;
    this.#rate.tick(now);
    if (now - this.#rateSince >= averageMs) this.#bitrate = this.#rate.bitsPerSecond;
  }

  /** Repeats what was asked in vain. */
  tick(now: number): void {
    if (this.listeners.length > 0 && !this.#feedback.reliable) this.#askForMissing(now);
    if (!this.#keyFrameWanted || !this.flows(now)) return;
    const interval = this.#asks < patientAfterAsks ? keyFrameAskMs : patientKeyFrameAskMs;
    if (now - this.#lastAskAt < interval) return;
    this.#lastAskAt = now;
    this.#asks++;
    this.#feedback.sendPli(this.ssrc);
  }

  /** The publisher's sender report: `timestamp` of this stream was at `ntp` of the publisher's clock. Returns that in ms. */
  senderReported(ntp: NtpTime, timestamp: number, now: number): number {
    this.stats.senderReported(ntp, now);
    const publisherMs = unixMsFromNtp(ntp);
    this.#report = { publisherMs, timestamp };
    return publisherMs;
  }

  /**
   * This stream's timestamp at a moment of the publisher's clock; null before the first sender report. All streams of a
   * publisher are measured on its one clock, which is what keeps lips in sync.
   */
  timestampAt(publisherMs: number): number | null {
    if (this.#report === null) return null;
    const elapsed = Math.round(((publisherMs - this.#report.publisherMs) * this.codec.clockRate) / 1000);
    return (this.#report.timestamp + elapsed) >>> 0;
  }

  #restartRate(now: number): void {
    this.#rate.restart(now);
    this.#rateSince = now;
  }

  #askForMissing(now: number): void {
    if (this.#missing === null || this.#missing.size === 0) return;
    const due = this.#missing.due(now);
    if (due.length > 0) this.#feedback.sendNack(this.ssrc, due);
  }
}
