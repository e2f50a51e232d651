export {
  ExtensionCursor,
  ExtensionWriter,
  needsTwoByteForm,
  oneByteProfile,
  twoByteProfile,
} from './header-extensions.ts';
export {
  isAv1KeyFrame,
  isH264KeyFrame,
  isKeyFrame,
  isVp8KeyFrame,
  isVp9KeyFrame,
  type VideoCodec,
} from './key-frame.ts';
export { middleOfNtp, ntpFromUnixMs, unixMsFromNtp, type NtpTime } from './ntp.ts';
export { RtcpCursor } from './rtcp-cursor.ts';
export { decodeRtcp } from './rtcp-decode.ts';
export {
  encodeFir,
  encodeGoodbye,
  encodeNack,
  encodePli,
  encodeReceiverReport,
  encodeRemb,
  encodeSenderReport,
  encodeSourceDescription,
} from './rtcp-encode.ts';
export {
  payloadFormat,
  rtcpType,
  transportFormat,
  type ReportBlock,
  type RtcpError,
  type RtcpPacket,
  type SenderInfo,
} from './rtcp-types.ts';
export { encodeRtpHeaderInto, type RtpHeaderFields } from './rtp-header.ts';
export { rtpHeaderBytes, RtpView, type RtpError } from './rtp-view.ts';
export { deltaTickMs, encodeTransportFeedback, maxFeedbackPackets, TransportFeedback } from './transport-cc.ts';
export { putVp8PictureId, putVp8Tl0PicIdx, Vp8Descriptor } from './vp8.ts';
