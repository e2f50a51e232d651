import {
  encodeRtpHeaderInto,
  ExtensionCursor,
  ExtensionWriter,
  needsTwoByteForm,
  putU16,
  rtpHeaderBytes,
  u16,
  u32,
  type MediaKind,
} from '../../tunnel-protocol/index.ts';
import { ContinuousCounter } from './continuous-counter.ts';
import type { PacketRoom } from './packet-room.ts';
import { SequenceMapper } from './sequence-mapper.ts';
import type { SourcePacket } from './source-packet.ts';

export interface StreamRewriterOptions {
  readonly kind: MediaKind;
  readonly ssrc: number;
  readonly payloadType: number;
  readonly clockRate: number;
  /** Written into every packet under this id, which is 1–255; without an id (0) it is not. */
  readonly mid: string;
  readonly midExtensionId: number;
  /** Under which ids room is left for the transport-wide sequence number and the absolute send time; 0: none. */
  readonly transportCcId?: number;
  readonly absSendTimeId?: number;
  /** {@link StreamRewriter.retransmit} needs it. */
  readonly rtxSsrc?: number;
  readonly random: (length: number) => Uint8Array;
}

/** A header extension that passes: under `from` in the source's packets, under `to` in ours. Ids are 1–255. */
export interface ExtensionMapping {
  readonly from: number;
  readonly to: number;
}

/** Who is the source: compared by identity, never null. */
export type SourceKey = string | number | object;

const noMapping = new Uint8Array(256);
const noStamp = new Uint8Array(3);

/**
 * One outgoing RTP stream (a slot's) that for life has one SSRC and one numbering, whoever its source is. Receivers see
 * one encoder that never restarts: sequence numbers, timestamps, VP8 picture ids and TL0PICIDX go on over switches.
 *
 * Every packet of the current and of the awaited source must be given to `rewrite`: what is withheld is a loss to the
 * receiver. To withhold for a while, `stop`, and `switchTo` later.
 */
export class StreamRewriter {
  readonly ssrc: number;
  readonly #options: StreamRewriterOptions;
  readonly #mid: Uint8Array;
  readonly #sequence: SequenceMapper;
  readonly #pictureId: ContinuousCounter;
  readonly #tl0PicIdx: ContinuousCounter;
  readonly #cursor = new ExtensionCursor();
  readonly #writer = new ExtensionWriter();
  readonly #fields = { marker: false, payloadType: 0, sequenceNumber: 0, timestamp: 0, ssrc: 0 };

  /** Room is left for what is known only when a packet is sent. */
  stamped = true;
  #midExtensionId: number;
  #transportCcId: number;
  #absSendTimeId: number;
  #current: SourceKey | null = null;
  #pending: SourceKey | null = null;
  /** Outgoing extension ids by the source's; 0 = dropped. */
  #mapping = noMapping;
  #pendingMapping = noMapping;
  #rtxSequenceNumber: number;
  /** Outgoing timestamp minus the current source's. */
  #timestampShift = 0;
  /** The newest packet's outgoing timestamp, and when the first packet that had it went out (-1: none did). */
  #timestamp: number;
  #timestampAt = -1;

  /** Throws RangeError for a MID or an id that no header extension can carry. */
  constructor(options: StreamRewriterOptions) {
    this.ssrc = options.ssrc;
    this.#options = options;
    this.#mid = new TextEncoder().encode(options.mid);
    if (this.#mid.length > 255) throw new RangeError('a MID has at most 255 bytes');
    this.#midExtensionId = checkedId(options.midExtensionId);
    this.#transportCcId = checkedId(options.transportCcId ?? 0);
    this.#absSendTimeId = checkedId(options.absSendTimeId ?? 0);
    const seed = options.random(12);
    // Below 2^15, so that a loss at the start cannot make receivers misjudge the SRTP rollover (RFC 3711 section 3.3.1).
    this.#sequence = new SequenceMapper(u16(seed, 0) & 0x7fff);
    this.#rtxSequenceNumber = u16(seed, 2) & 0x7fff;
    this.#timestamp = u32(seed, 4);
    this.#pictureId = new ContinuousCounter(u16(seed, 8) & 0x7fff);
    this.#tl0PicIdx = new ContinuousCounter(seed[10] as number);
  }

  /** A new negotiation gave the MID extension another id. Throws RangeError above 255. */
  set midExtensionId(id: number) {
    this.#midExtensionId = checkedId(id);
  }

  /** Likewise of the extensions that are stamped. */
  setStampIds(transportCcId: number, absSendTimeId: number): void {
    this.#transportCcId = checkedId(transportCcId);
    this.#absSendTimeId = checkedId(absSendTimeId);
  }

  /** Whose packets go out now; null before the first, and after `stop`. */
  get current(): SourceKey | null {
    return this.#current;
  }

  /** Who is waited for; null when nobody is. */
  get pending(): SourceKey | null {
    return this.#pending;
  }

  /** A key frame of {@link pending} is needed: ask its sender for one, and again until this is false. */
  get needsKeyFrame(): boolean {
    return this.#pending !== null && this.#options.kind === 'video';
  }

  /**
   * From its next key frame on (audio: its next packet) this source is the stream's. Until then the current one goes on.
   * Naming the current source takes an earlier call back.
   */
  switchTo(source: SourceKey, extensions: readonly ExtensionMapping[] = []): void {
    if (source === this.#current) {
      this.#pending = null;
      return;
    }
    this.#pending = source;
    this.#pendingMapping = extensions.length === 0 ? noMapping : new Uint8Array(256);
    for (const { from, to } of extensions) this.#pendingMapping[from] = to;
  }

  /** Nothing goes out any more until `switchTo`. */
  stop(): void {
    this.#current = null;
    this.#pending = null;
  }

  /**
   * Writes into `room` the packet of this stream that carries what `packet` carries, without its padding, CSRCs and unmapped
   * extensions. Returns its length; 0 when nothing is to be sent (not the stream's source, padding only, came already, or
   * too old), -1 when there was no room. `now` in ms.
   */
  rewrite(packet: SourcePacket, source: SourceKey, now: number, room: PacketRoom): number {
    const { sequenceNumber, timestamp, payloadLength } = packet.rtp;
    if (source === this.#pending && packet.keyFrame && payloadLength > 0) this.#begin(source, packet, now);
    else if (source !== this.#current) return 0;

    const newest = this.#sequence.highest;
    if (payloadLength === 0) {
      const hole = this.#sequence.swallow(sequenceNumber);
      // An empty packet: receivers note that it came, and decode nothing.
      return hole < 0 ? 0 : this.#write(packet, hole, room);
    }
    const number = this.#sequence.map(sequenceNumber);
    if (number < 0) return 0;
    if (number > newest) {
      const mapped = (timestamp + this.#timestampShift) >>> 0;
      if (mapped !== this.#timestamp || this.#timestampAt < 0) {
        this.#timestamp = mapped;
        this.#timestampAt = now;
      }
    }
    return this.#write(packet, number, room);
  }

  /** A timestamp of the current source in this stream's terms, for its sender reports; null without a source. */
  mapTimestamp(sourceTimestamp: number): number | null {
    return this.#current === null ? null : (sourceTimestamp + this.#timestampShift) >>> 0;
  }

  /**
   * Repeats a packet that `rewrite` made, on the RTX stream (RFC 4588 section 4), under this payload type. False when there
   * is no such stream or no room.
   */
  retransmit(packet: Uint8Array, payloadType: number, room: PacketRoom): boolean {
    const { rtxSsrc } = this.#options;
    if (rtxSsrc === undefined || !room.open(packet.length + 2)) return false;
    // Ours have no CSRCs and no padding.
    const hasExtension = ((packet[0] as number) & 0x10) !== 0;
    const headerBytes = rtpHeaderBytes + (hasExtension ? 4 + u16(packet, rtpHeaderBytes + 2) * 4 : 0);
    const { bytes, at } = room;
    bytes.set(packet.subarray(0, headerBytes), at);
    const fields = this.#fields;
    fields.marker = ((packet[1] as number) & 0x80) !== 0;
    fields.payloadType = payloadType;
    fields.sequenceNumber = this.#rtxSequenceNumber++;
    fields.timestamp = u32(packet, 4);
    fields.ssrc = rtxSsrc;
    encodeRtpHeaderInto(bytes, at, fields, hasExtension);
    putU16(bytes, at + headerBytes, u16(packet, 2));
    bytes.set(packet.subarray(headerBytes), at + headerBytes + 2);
    return true;
  }

  /**
   * Writes a packet of the RTX stream that carries `padding` bytes (1–255) of nothing, to fill what a path takes. False when
   * there is no such stream or no room.
   */
  pad(padding: number, payloadType: number, room: PacketRoom): boolean {
    const { rtxSsrc } = this.#options;
    if (rtxSsrc === undefined) return false;
    const twoByte = this.#midExtensionId > 14 || this.#transportCcId > 14 || this.#absSendTimeId > 14;
    const perElement = twoByte ? 2 : 1;
    let elements = this.#stampBytes(perElement);
    if (this.#midExtensionId > 0) elements += perElement + this.#mid.length;
    const extensionBytes = elements === 0 ? 0 : 4 + ((elements + 3) & ~3);
    const length = rtpHeaderBytes + extensionBytes + padding;
    if (!room.open(length)) return false;
    const { bytes, at } = room;
    const fields = this.#fields;
    fields.marker = false;
    fields.payloadType = payloadType;
    fields.sequenceNumber = this.#rtxSequenceNumber++;
    fields.timestamp = this.#timestamp;
    fields.ssrc = rtxSsrc;
    encodeRtpHeaderInto(bytes, at, fields, extensionBytes > 0);
    // RFC 3550 section 5.1: the last byte counts the padding.
    bytes[at] = (bytes[at] as number) | 0x20;
    if (extensionBytes > 0) {
      const writer = this.#writer;
      writer.begin(bytes, at + rtpHeaderBytes, twoByte);
      this.#leaveRoom(writer);
      if (this.#midExtensionId > 0) writer.add(this.#midExtensionId, this.#mid, 0, this.#mid.length);
      writer.end();
    }
    bytes.fill(0, at + length - padding, at + length - 1);
    bytes[at + length - 1] = padding;
    return true;
  }

  #begin(source: SourceKey, packet: SourcePacket, now: number): void {
    this.#current = source;
    this.#pending = null;
    this.#mapping = this.#pendingMapping;
    this.#sequence.restart(packet.rtp.sequenceNumber);
    this.#pictureId.restart();
    this.#tl0PicIdx.restart();
    let timestamp = this.#timestamp;
    if (this.#timestampAt >= 0) {
      const elapsed = Math.round(((now - this.#timestampAt) * this.#options.clockRate) / 1000);
      timestamp += Math.max(1, elapsed);
    }
    this.#timestampShift = timestamp - packet.rtp.timestamp;
  }

  #write(packet: SourcePacket, number: number, room: PacketRoom): number {
    const rtp = packet.rtp;
    const isVp8 = packet.codec === 'vp8' && rtp.payloadLength > 0;
    // Picture ids always go out with 15 bits: with 7, a switch could not go on from a source with 15.
    const widened = isVp8 && packet.vp8.pictureIdBits === 7 ? 1 : 0;

    const twoByte = this.#needsTwoByteForm(packet);
    const extensionBytes = this.#extensionBytes(packet, twoByte);
    const length = rtpHeaderBytes + extensionBytes + rtp.payloadLength + widened;
    if (!room.open(length)) return -1;
    const { bytes, at } = room;
    const fields = this.#fields;
    fields.marker = rtp.marker;
    fields.payloadType = this.#options.payloadType;
    fields.sequenceNumber = number & 0xffff;
    fields.timestamp = (rtp.timestamp + this.#timestampShift) >>> 0;
    fields.ssrc = this.ssrc;
    encodeRtpHeaderInto(bytes, at, fields, extensionBytes > 0);
    if (extensionBytes > 0) this.#writeExtensions(packet, bytes, at + rtpHeaderBytes, twoByte);
    if (isVp8) this.#writeVp8Numbers(packet, bytes, at + rtpHeaderBytes + extensionBytes);
    const { tail } = packet;
    bytes.set(tail, at + length - tail.length);
    return length;
  }

  /** The part of the VP8 descriptor before the packet's tail. */
  #writeVp8Numbers(packet: SourcePacket, bytes: Uint8Array, at: number): void {
    const { rtp, vp8, tailOffset } = packet;
    let to = at;
    for (let from = rtp.payloadOffset; from < tailOffset; from++) {
      if (from === vp8.pictureIdOffset) {
        putU16(bytes, to, 0x8000 | (this.#pictureId.map(vp8.pictureId, vp8.pictureIdBits) & 0x7fff));
        to += 2;
        if (vp8.pictureIdBits === 15) from++;
      } else if (from === vp8.tl0PicIdxOffset) {
        bytes[to++] = this.#tl0PicIdx.map(vp8.tl0PicIdx, 8);
      } else {
        bytes[to++] = rtp.packet[from] as number;
      }
    }
  }

  #stampBytes(perElement: number): number {
    if (!this.stamped) return 0;
    return (this.#transportCcId > 0 ? perElement + 2 : 0) + (this.#absSendTimeId > 0 ? perElement + 3 : 0);
  }

  /** First of all, so that {@link stampOffset} finds them. */
  #leaveRoom(writer: ExtensionWriter): void {
    if (!this.stamped) return;
    if (this.#transportCcId > 0) writer.add(this.#transportCcId, noStamp, 0, 2);
    if (this.#absSendTimeId > 0) writer.add(this.#absSendTimeId, noStamp, 0, 3);
  }

  #needsTwoByteForm(packet: SourcePacket): boolean {
    if (this.stamped && (this.#transportCcId > 14 || this.#absSendTimeId > 14)) return true;
    if (this.#midExtensionId > 0 && needsTwoByteForm(this.#midExtensionId, this.#mid.length)) return true;
    if (this.#mapping === noMapping) return false;
    const cursor = this.#cursor;
    cursor.start(packet.rtp);
    while (cursor.next()) {
      const to = this.#mapping[cursor.id] as number;
      if (to > 0 && needsTwoByteForm(to, cursor.length)) return true;
    }
    return false;
  }

  /** Bytes of the whole header extension; 0 when there is none. */
  #extensionBytes(packet: SourcePacket, twoByte: boolean): number {
    const perElement = twoByte ? 2 : 1;
    let bytes = this.#stampBytes(perElement);
    if (this.#midExtensionId > 0) bytes += perElement + this.#mid.length;
    if (this.#mapping !== noMapping) {
      const cursor = this.#cursor;
      cursor.start(packet.rtp);
      while (cursor.next()) if ((this.#mapping[cursor.id] as number) > 0) bytes += perElement + cursor.length;
    }
    return bytes === 0 ? 0 : 4 + ((bytes + 3) & ~3);
  }

  #writeExtensions(packet: SourcePacket, bytes: Uint8Array, at: number, twoByte: boolean): void {
    const writer = this.#writer;
    writer.begin(bytes, at, twoByte);
    this.#leaveRoom(writer);
    if (this.#midExtensionId > 0) writer.add(this.#midExtensionId, this.#mid, 0, this.#mid.length);
    if (this.#mapping !== noMapping) {
      const cursor = this.#cursor;
      cursor.start(packet.rtp);
      while (cursor.next()) {
        const to = this.#mapping[cursor.id] as number;
        if (to > 0) writer.add(to, packet.rtp.packet, cursor.offset, cursor.length);
      }
    }
    writer.end();
  }
}

function checkedId(id: number): number {
  if (id > 255) throw new RangeError('a header extension id is at most 255');
  return id;
}
