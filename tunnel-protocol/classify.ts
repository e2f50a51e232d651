/** What a datagram is, told by its first byte: RFC 7983, RFC 9443, and Sallyport's own control frames. */

export const datagramClass = {
  stun: 0,
  dtls: 1,
  channelData: 2,
  rtp: 3,
  control: 4,
  unknown: 5,
} as const;
export type DatagramClass = (typeof datagramClass)[keyof typeof datagramClass];

const classOfFirstByte = new Uint8Array(256).fill(datagramClass.unknown);
classOfFirstByte.fill(datagramClass.stun, 0, 4);
classOfFirstByte.fill(datagramClass.dtls, 20, 64);
classOfFirstByte.fill(datagramClass.channelData, 64, 80);
classOfFirstByte.fill(datagramClass.rtp, 128, 192);
classOfFirstByte.fill(datagramClass.control, 0xf0, 0x100);

/** An empty datagram is `unknown`. `rtp` covers SRTP and SRTCP; see {@link isRtcp}. */
export function classifyDatagram(datagram: Uint8Array): DatagramClass {
  return (classOfFirstByte[datagram[0] ?? 0xe0] ?? datagramClass.unknown) as DatagramClass;
}

/** Tells RTCP from RTP by the payload type's range (RFC 5761 section 4). The datagram must be of class `rtp`. */
export function isRtcp(datagram: Uint8Array): boolean {
  const second = datagram[1] ?? 0;
  return second >= 192 && second <= 223;
}
