/** What a WHIP publisher or a WHEP player offers, as small as it may be. */
export function whipOffer(direction: 'sendonly' | 'recvonly', ufrag = 'abcd'): string {
  const fingerprint = Array<string>(32).fill('0A').join(':');
  const section = (media: string, mid: string, rtpmap: string): string[] => [
    `m=${media}`,
    'c=IN IP4 0.0.0.0',
    `a=mid:${mid}`,
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${'x'.repeat(24)}`,
    `a=fingerprint:sha-256 ${fingerprint}`,
    'a=setup:actpass',
    'a=rtcp-mux',
    `a=${direction}`,
    `a=rtpmap:${rtpmap}`,
  ];
  return [
    'v=0',
    'o=- 1 1 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    'a=group:BUNDLE v a',
    ...section('video 9 UDP/TLS/RTP/SAVPF 96', 'v', '96 VP8/90000'),
    ...section('audio 9 UDP/TLS/RTP/SAVPF 111', 'a', '111 opus/48000/2'),
    '',
  ].join('\r\n');
}

/** RFC 8840: one candidate, of the ICE session with this ufrag. */
export function iceFragment(ufrag: string): string {
  return [
    'a=group:BUNDLE v a',
    'm=video 9 UDP/TLS/RTP/SAVPF 96',
    'a=mid:v',
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${'y'.repeat(24)}`,
    'a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host generation 0',
    'a=end-of-candidates',
    '',
  ].join('\r\n');
}
