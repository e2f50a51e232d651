/** One RTP stream that the page sends: a microphone, or one layer of a camera or screen. */
import {
  ExtensionWriter,
  encodeRtpHeaderInto,
  flowLimits,
  lane,
  ntpFromUnixMs,
  rtpHeaderBytes,
} from '../../tunnel-protocol/index.ts';
import type { MediaKind, ReportBlock, Rid, SendMeta, SenderInfo, Source } from '../../tunnel-protocol/index.ts';
import { Vp8Packetizer } from '../media/vp8-packetizer.ts';
import { extensionIds, payloadTypes } from './sdp.ts';

export interface OutgoingRtpOptions {
  readonly source: Source;
  readonly kind: MediaKind;
  readonly mid: string;
  /** Null for a stream that is its section's only one. */
  readonly rid: Rid | null;
  readonly ssrc: number;
  /** 32 bits. */
  readonly random: () => number;
  /** Numbers the frames of all streams, because they share a path; never 0. */
  readonly nextFrameId: () => number;
  readonly send: (packet: Uint8Array, meta: SendMeta) => void;
}

const utf8 = new TextEncoder();
/** Two seconds of video: older frames are not waiting anywhere any more. */
const keptFrameIds = 64;
const maxExtensionBytes = 16;

export class OutgoingRtp {
  readonly source: Source;
  readonly mid: string;
  readonly rid: Rid | null;
  readonly ssrc: number;
  readonly kind: MediaKind;
  readonly #options: OutgoingRtpOptions;
  readonly #ticksPerMs: number;
  readonly #mid: Uint8Array;
  readonly #rid: Uint8Array | null;
  readonly #writer = new ExtensionWriter();
  readonly #packetizer: Vp8Packetizer;
  readonly #level = new Uint8Array(1);
  readonly #frameIds: number[] = [];
  #sequence: number;
  /** RTP time minus source time, in ticks; null until the next packet sets it. */
  #offset: number | null = null;
  #lastTimestamp: number;
  #lastAtMs: number | null = null;
  #halted = false;
  #packets = 0;
  #octets = 0;
  #bytes = 0;
  #frames = 0;
  #lost = 0;
  #jitterTicks = 0;

  constructor(options: OutgoingRtpOptions) {
    const { source, kind, mid, rid, ssrc, random } = options;
    this.source = source;
    this.mid = mid;
    this.rid = rid;
    this.ssrc = ssrc;
    this.kind = kind;
    this.#options = options;
    this.#ticksPerMs = kind === 'audio' ? 48 : 90;
    this.#mid = utf8.encode(mid);
    this.#rid = rid === null ? null : utf8.encode(rid);
    // In the lower half: RFC 3711 section 3.3.1 advises room before the first wrap.
    this.#sequence = random() & 0x7fff;
    this.#lastTimestamp = random() >>> 0;
    this.#packetizer = new Vp8Packetizer(random());
  }

  get packets(): number {
    return this.#packets;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get frames(): number {
    return this.#frames;
  }

  get lost(): number {
    return this.#lost;
  }

  get jitterMs(): number {
    return this.#jitterTicks / this.#ticksPerMs;
  }

  /** Another track feeds the stream from now on: numbers and times go on from where they are. */
  restart(): void {
    this.#offset = null;
  }

  /** `level`: 0–127, in −dBov (RFC 6464). */
  sendAudio(payload: Uint8Array, sourceMs: number, level: number, nowMs: number): void {
    this.#level[0] = level;
    const meta = {
      lane: lane.audio,
      frameId: 0,
      keyFrame: false,
      discardable: true,
      deadlineMs: flowLimits.audioDeadlineMs,
    };
    this.#send(payload, this.#timestampOf(sourceMs, nowMs), true, meta);
  }

  /** False when the frame builds on what was dropped: the encoder must be asked for a key frame. */
  sendFrame(frame: Uint8Array, keyFrame: boolean, sourceMs: number, nowMs: number): boolean {
    if (this.#halted && !keyFrame) return false;
    this.#halted = false;
    const frameId = this.#options.nextFrameId();
    if (this.#frameIds.push(frameId) > keptFrameIds) this.#frameIds.shift();
    const meta = { lane: lane.video, frameId, keyFrame, discardable: false, deadlineMs: flowLimits.videoDeadlineMs };
    const timestamp = this.#timestampOf(sourceMs, nowMs);
    const payloads = this.#packetizer.packetize(frame);
    payloads.forEach((payload, index) => {
      this.#send(payload, timestamp, index === payloads.length - 1, meta);
    });
    this.#frames += 1;
    return true;
  }

  /** The path dropped a packet. True when it was of this stream, which then goes on with a key frame. */
  dropped({ discardable, frameId }: SendMeta): boolean {
    if (discardable || this.#halted || !this.#frameIds.includes(frameId)) return false;
    this.#halted = true;
    this.#frameIds.length = 0;
    return true;
  }

  /** Null before the first packet. */
  senderInfo(nowMs: number, unixMs: number): SenderInfo | null {
    if (this.#lastAtMs === null) return null;
    const elapsed = Math.round((nowMs - this.#lastAtMs) * this.#ticksPerMs);
    return {
      ssrc: this.ssrc,
      ntp: ntpFromUnixMs(unixMs),
      rtpTimestamp: (this.#lastTimestamp + elapsed) >>> 0,
      packetCount: this.#packets >>> 0,
      octetCount: this.#octets >>> 0,
    };
  }

  reported({ cumulativeLost, jitter }: ReportBlock): void {
    this.#lost = Math.max(0, cumulativeLost);
    this.#jitterTicks = jitter;
  }

  /** Frames are spaced by their source's clock; a new source begins where this machine's clock is. */
  #timestampOf(sourceMs: number, nowMs: number): number {
    const ticks = Math.round(sourceMs * this.#ticksPerMs);
    if (this.#offset === null) {
      const elapsed =
        this.#lastAtMs === null ? 0 : Math.max(1, Math.round((nowMs - this.#lastAtMs) * this.#ticksPerMs));
      this.#offset = this.#lastTimestamp + elapsed - ticks;
    }
    this.#lastTimestamp = (ticks + this.#offset) >>> 0;
    this.#lastAtMs = nowMs;
    return this.#lastTimestamp;
  }

  #send(payload: Uint8Array, timestamp: number, marker: boolean, meta: SendMeta): void {
    const packet = new Uint8Array(rtpHeaderBytes + maxExtensionBytes + payload.length);
    const fields = {
      // Of audio it would say that a talk spurt begins (RFC 3551 section 4.1).
      marker: marker && this.kind === 'video',
      payloadType: payloadTypes[this.kind],
      sequenceNumber: this.#sequence,
      timestamp,
      ssrc: this.ssrc,
    };
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const writer = this.#writer;
    writer.begin(packet, encodeRtpHeaderInto(packet, 0, fields, true), false);
    writer.add(extensionIds.mid, this.#mid, 0, this.#mid.length);
    if (this.#rid !== null) writer.add(extensionIds.rid, this.#rid, 0, this.#rid.length);
    if (this.kind === 'audio') writer.add(extensionIds.audioLevel, this.#level, 0, 1);
    const at = writer.end();
    packet.set(payload, at);
    const length = at + payload.length;
    this.#packets += 1;
    this.#octets += payload.length;
    this.#bytes += length;
    this.#options.send(packet.subarray(0, length), meta);
  }
}
