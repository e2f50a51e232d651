/**
 * The lane of a datagram whose sender says nothing of it, on its way to or from somebody who knows no lanes: a third party's
 * SFU, or a TURN client. Dropped by age alone, for nothing is known of frames.
 */
import { u32 } from '../bytes.ts';
import { classifyDatagram, datagramClass, isRtcp } from '../classify.ts';
import { dataMeta, lane, transportMeta, type SendMeta } from '../path.ts';

export const mediaLaneLimits = {
  /** Sound of 20 ms stays below, at any bit rate that is used for speech; pictures have packets above it soon. */
  maxAudioBytes: 400,
  /** Streams known to be pictures; the oldest is forgotten. */
  maxStreams: 64,
} as const;

const audioMeta: SendMeta = { ...transportMeta, lane: lane.audio, discardable: true };
const videoMeta: SendMeta = { ...transportMeta, lane: lane.video, discardable: true };
const rtpHeaderBytes = 12;
const ssrcOffset = 8;
/** RFC 6347 section 4.1: what is no handshake may be lost, and SCTP sends it again. */
const dtlsApplicationData = 23;

export class MediaLanes {
  /** SSRCs of pictures: told by their size once, they stay in order from then on. */
  readonly #pictures = new Set<number>();

  metaOf(datagram: Uint8Array): SendMeta {
    switch (classifyDatagram(datagram)) {
      case datagramClass.stun:
        return transportMeta;
      case datagramClass.dtls:
        return datagram[0] === dtlsApplicationData ? dataMeta : transportMeta;
      case datagramClass.rtp:
        if (isRtcp(datagram)) return transportMeta;
        return datagram.length >= rtpHeaderBytes && !this.#isPicture(datagram) ? audioMeta : videoMeta;
      default:
        return dataMeta;
    }
  }

  #isPicture(datagram: Uint8Array): boolean {
    const ssrc = u32(datagram, ssrcOffset);
    if (this.#pictures.has(ssrc)) return true;
    if (datagram.length <= mediaLaneLimits.maxAudioBytes) return false;
    if (this.#pictures.size >= mediaLaneLimits.maxStreams) {
      for (const oldest of this.#pictures) {
        this.#pictures.delete(oldest);
        break;
      }
    }
    this.#pictures.add(ssrc);
    return true;
  }
}
