/** ChannelData messages, RFC 8656 section 12.4: channel number, length, datagram; padded to four bytes on streams. */
import { putU16, u16 } from '../../tunnel-protocol/index.ts';

export const channelDataHeaderBytes = 4;

export function encodeChannelData(channel: number, datagram: Uint8Array, padded: boolean): Uint8Array {
  const end = channelDataHeaderBytes + datagram.length;
  const message = new Uint8Array(padded ? (end + 3) & ~3 : end);
  putU16(message, 0, channel);
  putU16(message, 2, datagram.length);
  message.set(datagram, channelDataHeaderBytes);
  return message;
}

/** The datagram in a message of this channel, borrowed; null when it is another channel's or cut off. */
export function readChannelData(message: Uint8Array, channel: number): Uint8Array | null {
  if (message.length < channelDataHeaderBytes || u16(message, 0) !== channel) return null;
  const end = channelDataHeaderBytes + u16(message, 2);
  return end > message.length ? null : message.subarray(channelDataHeaderBytes, end);
}
