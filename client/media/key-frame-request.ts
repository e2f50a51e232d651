/** Requests for a key frame in the form in which werift's tracks carry feedback (`onReceiveRtcp`). */
import { PictureLossIndication, RtcpPayloadSpecificFeedback } from 'werift';
import type { RtcpPacket } from 'werift';

/** RFC 4585 section 6.3.1. */
export function pictureLossIndication(senderSsrc: number, mediaSsrc: number): RtcpPacket {
  return new RtcpPayloadSpecificFeedback({ feedback: new PictureLossIndication({ senderSsrc, mediaSsrc }) });
}

export function asksForKeyFrame(packet: RtcpPacket): boolean {
  return packet instanceof RtcpPayloadSpecificFeedback && packet.feedback instanceof PictureLossIndication;
}
