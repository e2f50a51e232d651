/** What is said of a datagram whose sender says nothing. */
import { classifyDatagram, datagramClass, isRtcp, lane, transportMeta } from '../../tunnel-protocol/index.ts';
import type { SendMeta } from '../../tunnel-protocol/index.ts';

/** Media of which the sender tells nothing: dropped by its age alone. */
const unknownMediaMeta: SendMeta = { ...transportMeta, lane: lane.video, discardable: true };

export function defaultMetaOf(datagram: Uint8Array): SendMeta {
  return classifyDatagram(datagram) === datagramClass.rtp && !isRtcp(datagram) ? unknownMediaMeta : transportMeta;
}
