/** What a connection that does not keep up may still be given. */
import { classifyDatagram, datagramClass, isRtcp } from '../../tunnel-protocol/index.ts';

/** Above this, media is dropped rather than queued behind what is late already: half a second at 2 Mbit/s. */
const maxBufferedForMedia = 131_072;
/** Above this, other datagrams are dropped as well; those who sent them send them again. */
const maxBufferedBytes = 1_048_576;

/** False when the datagram is to be dropped, for so many bytes wait to leave already. */
export function fitsBacklog(datagram: Uint8Array, bufferedBytes: number): boolean {
  if (bufferedBytes <= maxBufferedForMedia) return true;
  const isMedia = classifyDatagram(datagram) === datagramClass.rtp && !isRtcp(datagram);
  return !isMedia && bufferedBytes <= maxBufferedBytes;
}
