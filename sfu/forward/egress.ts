/** What goes to one participant: its nine slots, their sender reports, and what it asks of them. */
import {
  audioSlotMids,
  concatBytes,
  encodeSenderReport,
  encodeSourceDescription,
  ntpFromUnixMs,
  videoSlotMids,
} from '../../tunnel-protocol/index.ts';
import type { Rid, RtcpPacket, SendMeta } from '../../tunnel-protocol/index.ts';
import type { SfuCounters } from '../counters.ts';
import type { SlotSsrcs } from '../sdp-answer.ts';
import type { OfferSection } from '../sdp-offer.ts';
import { LayerAllocation } from '../congestion/layer-allocation.ts';
import { reportIntervalMs } from './ingress.ts';
import { FrameMeta } from './frame-meta.ts';
import { SendBudget } from './send-budget.ts';
import { SentRate } from './sent-rate.ts';
import { SlotStream } from './slot-stream.ts';
import type { SlotOutput } from './slot-stream.ts';
import type { Track } from './track.ts';

/** How many packets may be repeated for one subscriber between two ticks. */
export const repeatsPerTick = 100;
/** How many packets may fill a probe at once. */
const paddingsAtOnce = 50;
/** What audio and reports take beside video, in bit/s for each audio slot in use. */
const audioBitrate = 40_000;
/** A path that takes less than this part of what is sent is overloaded. */
const overloadRatio = 0.7;
/** So much more than the layers take is looked for, to leave room for their peaks. */
const probeHeadroom = 1.2;

export interface EgressOptions {
  readonly counters: SfuCounters;
  readonly random: (length: number) => Uint8Array;
  readonly cname: string;
  /** By mid, for each slot. */
  readonly ssrcs: ReadonlyMap<string, SlotSsrcs>;
}

export interface EgressOutput extends SlotOutput {
  /** Only read. */
  sendRtcp(compound: Uint8Array): boolean;
}

export class Egress {
  readonly video: readonly SlotStream[];
  readonly audio: readonly SlotStream[];
  readonly #options: EgressOptions;
  readonly #all: readonly SlotStream[];
  readonly #bySsrc: ReadonlyMap<number, SlotStream>;
  #output: EgressOutput | null = null;
  #lastReportAt = -Infinity;
  #frameId = 0;
  readonly #rate = new SentRate();
  #repeatBudget = repeatsPerTick;
  readonly #budget = new SendBudget();
  readonly #allocation = new LayerAllocation();
  #wasReliable = false;

  constructor(options: EgressOptions) {
    this.#options = options;
    const { counters, random, ssrcs } = options;
    const nextFrameId = (): number => (this.#frameId = (this.#frameId % 0xffff_ffff) + 1);
    const fill = (now: number): void => {
      this.#fill(now);
    };
    const shared = { counters, random, nextFrameId, rate: this.#rate, budget: this.#budget, fill };
    const stream = (kind: 'audio' | 'video') => (mid: string, slot: number) =>
      new SlotStream(shared, mid, kind, slot === 0, ssrcs.get(mid) ?? { media: 0, rtx: 0 });
    this.video = videoSlotMids.map(stream('video'));
    this.audio = audioSlotMids.map(stream('audio'));
    this.#all = [...this.video, ...this.audio];
    this.#bySsrc = new Map(this.#all.map((slot) => [slot.ssrc, slot]));
  }

  /** An offer was accepted. */
  negotiate(sections: readonly OfferSection[], now: number): void {
    for (const slot of this.#all) {
      const section = sections.find((candidate) => candidate.slot === slot.mid);
      if (section !== undefined) slot.negotiate(section, now);
    }
  }

  /** Packets go here from now on; to nowhere when null. */
  connect(output: EgressOutput | null, now: number): void {
    if (output !== this.#output) this.#budget.reset();
    this.#output = output;
    for (const slot of this.#all) slot.connect(output, now);
  }

  /** The subscriber shows its video slots at these sizes, by slot index. */
  setCeilings(ceilings: readonly (Rid | null)[], now: number): void {
    this.video.forEach((slot, at) => {
      slot.setCeiling(ceilings[at] ?? null, now);
    });
  }

  /** Shows these tracks, by slot index. */
  assign(video: readonly (Track | null)[], audio: readonly (Track | null)[], now: number): void {
    this.video.forEach((slot, at) => {
      slot.assign(video[at] ?? null, now);
    });
    this.audio.forEach((slot, at) => {
      slot.assign(audio[at] ?? null, now);
    });
  }

  /** Requests for key frames and for missed packets; other packets are not for this side of a participant. */
  receiveRtcp(packet: RtcpPacket, now: number): void {
    if (packet.type === 'pli') {
      this.#keyFrameRequested(packet.mediaSsrc, now);
    } else if (packet.type === 'fir') {
      for (const { ssrc } of packet.requests) this.#keyFrameRequested(ssrc, now);
    } else if (packet.type === 'transport-cc') {
      this.#options.counters.congestion_reports_in++;
      if (!this.#budget.feedback(packet.bytes, now)) this.#options.counters.rtcp_malformed++;
    } else if (packet.type === 'remb') {
      this.#budget.remb(packet.bitrate, now);
    } else if (packet.type === 'nack') {
      this.#options.counters.repeat_requests_in += packet.lost.length;
      const slot = this.#bySsrc.get(packet.mediaSsrc);
      if (slot !== undefined) this.#repeatBudget -= slot.repeat(packet.lost, this.#repeatBudget, now);
    }
  }

  /** The path dropped a packet that it took before. */
  dropped(meta: SendMeta, now: number): void {
    this.#options.counters.rtp_dropped++;
    if (meta instanceof FrameMeta) meta.slot.dropped(meta, now);
  }

  tick(now: number): void {
    this.#repeatBudget = repeatsPerTick;
    this.#rate.tick(now);
    if (this.#output === null) return;
    this.#allocate(this.#output, now);
    for (const slot of this.video) slot.select(now);
    const all = now - this.#lastReportAt >= reportIntervalMs;
    if (all) this.#lastReportAt = now;
    this.#report(this.#output, all, now);
  }

  /** Divides what the path takes among the video slots, main first, and looks for more where they would take more. */
  #allocate(output: EgressOutput, now: number): void {
    const budget = this.#budget;
    if (output.reliable !== this.#wasReliable) {
      this.#wasReliable = output.reliable;
      budget.reset();
    }
    budget.tick(now);
    if (budget.filling) this.#fill(now);
    const known = output.reliable ? output.deliveryRate : budget.bitrate(now);
    const demands = this.video.map((slot) => ({ layers: slot.demand(now) }));
    const audio = this.audio.reduce((sum, { current }) => sum + (current === null ? 0 : audioBitrate), 0);
    const levels = this.#allocation.allocate(demands, known === null ? Infinity : Math.max(0, known - audio), now);
    const overloaded = known !== null && known < this.#rate.bitsPerSecond * overloadRatio;
    levels.forEach((level, at) => this.video[at]?.allow(level, now, overloaded));
    if (known === null || output.reliable) return;
    const wanted = demands.reduce((sum, { layers }) => sum + (layers.at(-1) ?? 0), audio) * probeHeadroom;
    if (wanted > known) budget.want(wanted, now);
  }

  #fill(now: number): void {
    let due = this.#budget.padding(now);
    for (let count = 0; due > 0 && count < paddingsAtOnce; count++) {
      let sent = 0;
      for (const slot of this.video) {
        sent = slot.pad(now);
        if (sent > 0) break;
      }
      if (sent === 0) return;
      due -= sent;
    }
  }

  #keyFrameRequested(ssrc: number, now: number): void {
    this.#options.counters.key_frame_requests_in++;
    this.#bySsrc.get(ssrc)?.keyFrameRequested(now);
  }

  /**
   * Sender reports of all slots that can give one, or only of those whose source is new. Timestamps are translated to the
   * moment of sending, so that receivers can line up audio and video of one participant (RFC 3550 section 6.4.1).
   */
  #report(output: EgressOutput, all: boolean, now: number): void {
    const ntp = ntpFromUnixMs(now);
    const parts: Uint8Array[] = [];
    for (const slot of this.#all) {
      if (!all && !slot.reportDue) continue;
      const timestamp = slot.timestampAt(now);
      if (timestamp === null || slot.stats.packets === 0) continue;
      slot.reportDue = false;
      parts.push(encodeSenderReport(slot.stats.senderInfo(ntp, timestamp), []));
      parts.push(encodeSourceDescription(slot.ssrc, this.#options.cname));
    }
    if (parts.length > 0) output.sendRtcp(concatBytes(parts));
  }
}
