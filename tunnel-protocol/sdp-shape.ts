/**
 * The one fixed shape of every offer (RFC 8829): the client offers, the SFU answers, and nothing renegotiates.
 * Media sections stand in this order, the mid of each is its index, and the data channel's section comes last,
 * because browsers put it there.
 */

export type MediaKind = 'audio' | 'video';
export type Source = 'microphone' | 'camera' | 'screen';

export interface PublishSection {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly source: Source;
}

export const publishSections: readonly PublishSection[] = [
  { mid: '0', kind: 'audio', source: 'microphone' },
  { mid: '1', kind: 'video', source: 'camera' },
  { mid: '2', kind: 'video', source: 'screen' },
];

/** Slot 0 is main, 1–5 are thumbnails. */
export const videoSlotMids = ['3', '4', '5', '6', '7', '8'] as const;
/** Slot 0 always carries main's participant and shares its media stream id, so that lips stay in sync. */
export const audioSlotMids = ['9', '10', '11'] as const;
export const dataMid = '12';

/** Simulcast restriction identifiers of the camera (RFC 8851, RFC 8853), best first. */
export const rids = ['h', 'l'] as const;
export type Rid = (typeof rids)[number];

/** Header extension URIs that the SFU understands. */
export const extensionUri = {
  mid: 'urn:ietf:params:rtp-hdrext:sdes:mid',
  rid: 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
  repairedRid: 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id',
  audioLevel: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level',
  absSendTime: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  transportWideCc: 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
  videoOrientation: 'urn:3gpp:video-orientation',
  dependencyDescriptor: 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension',
} as const;
