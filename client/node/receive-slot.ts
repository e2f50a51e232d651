/** One receive slot: a track for life, and the reception statistics of its one SSRC. */
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import type { MediaKind, ReportBlock, RtpView, SenderInfo } from '../../tunnel-protocol/index.ts';
import type { TrackStats } from '../call.ts';
import { Reception } from '../media/reception.ts';

export class ReceiveSlot {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly ssrc: number;
  readonly track: MediaStreamTrack;
  /** Whether the application was told of the track. */
  announced = false;
  readonly #reception: Reception;

  /** `before`: the slot of an earlier session, whose track goes on. */
  constructor(mid: string, kind: MediaKind, ssrc: number, before?: ReceiveSlot) {
    this.mid = mid;
    this.kind = kind;
    this.ssrc = ssrc;
    this.#reception = new Reception(kind, ssrc);
    this.track = before?.track ?? new MediaStreamTrack({ kind, remote: true, ssrc, id: `slot-${mid}` });
    this.announced = before?.announced ?? false;
  }

  get stats(): TrackStats {
    const { mid, kind } = this;
    const { packets, bytes, lost, jitterMs } = this.#reception;
    return { mid, kind, direction: 'receive', packets, bytes, lost, jitterMs };
  }

  /** A packet of this SSRC, authenticated and parsed; its bytes belong to the track's listeners from now on. */
  receive(view: RtpView, nowMs: number): void {
    this.#reception.count(view, nowMs);
    const { packet, marker, payloadType, sequenceNumber, timestamp, ssrc } = view;
    // Padding and extensions are transport matters: the track's listeners get header and payload.
    const header = new RtpHeader({ marker, payloadType, sequenceNumber, timestamp, ssrc });
    const payload = Buffer.from(packet.buffer, packet.byteOffset + view.payloadOffset, view.payloadLength);
    this.track.onReceiveRtp.execute(new RtpPacket(header, payload));
  }

  senderReport(info: SenderInfo, nowMs: number): void {
    this.#reception.senderReport(info, nowMs);
  }

  /** For the next receiver report; null before the first packet. Begins a new interval. */
  takeReport(nowMs: number): ReportBlock | null {
    return this.#reception.takeReport(nowMs);
  }

  end(): void {
    this.track.stop();
  }
}
