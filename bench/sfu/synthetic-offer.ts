/** The offer of a synthetic peer: the one shape, with what Chromium offers of VP8, Opus, simulcast, RTX and feedback. */
import {
  audioSlotMids,
  dataMid,
  extensionUri,
  publishSections,
  rids,
  videoSlotMids,
  type DtlsIdentity,
  type IceCredentials,
  type MediaKind,
} from '../../tunnel-protocol/index.ts';

export const payloadTypes = { audio: 111, video: 96, rtx: 97 } as const;
export const extensionIds = { mid: 1, audioLevel: 2, rid: 3, transportWideCc: 4 } as const;

const codecs: Readonly<Record<MediaKind, readonly string[]>> = {
  audio: [
    'a=rtpmap:111 opus/48000/2',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    `a=extmap:${String(extensionIds.audioLevel)} ${extensionUri.audioLevel}`,
  ],
  video: [
    'a=rtpmap:96 VP8/90000',
    ...['transport-cc', 'ccm fir', 'nack', 'nack pli'].map((kind) => `a=rtcp-fb:96 ${kind}`),
    'a=rtpmap:97 rtx/90000',
    'a=fmtp:97 apt=96',
    `a=extmap:${String(extensionIds.rid)} ${extensionUri.rid}`,
    `a=extmap:${String(extensionIds.transportWideCc)} ${extensionUri.transportWideCc}`,
  ],
};

export function syntheticOffer({ ufrag, pwd }: IceCredentials, { fingerprint }: DtlsIdentity): string {
  const sections = [
    ...publishSections.map(({ kind, source }) => ({ kind, direction: 'sendonly', simulcast: source === 'camera' })),
    ...videoSlotMids.map(() => ({ kind: 'video' as const, direction: 'recvonly', simulcast: false })),
    ...audioSlotMids.map(() => ({ kind: 'audio' as const, direction: 'recvonly', simulcast: false })),
  ];
  const media = sections.flatMap(({ kind, direction, simulcast }, mid) => [
    `m=${kind} 9 UDP/TLS/RTP/SAVPF ${kind === 'audio' ? '111' : '96 97'}`,
    `a=mid:${String(mid)}`,
    `a=extmap:${String(extensionIds.mid)} ${extensionUri.mid}`,
    `a=${direction}`,
    'a=rtcp-mux',
    'a=rtcp-rsize',
    ...codecs[kind],
    ...(simulcast ? [...rids.map((rid) => `a=rid:${rid} send`), `a=simulcast:send ${rids.join(';')}`] : []),
  ]);
  return [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0'],
    `a=group:BUNDLE ${[...sections.keys(), dataMid].join(' ')}`,
    ...[`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, 'a=setup:actpass', `a=fingerprint:sha-256 ${fingerprint}`],
    ...media,
    ...['m=application 9 UDP/DTLS/SCTP webrtc-datachannel', `a=mid:${dataMid}`, 'a=sctp-port:5000', ''],
  ].join('\r\n');
}
