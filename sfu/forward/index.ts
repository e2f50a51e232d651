export { Egress } from './egress.ts';
export { Ingress } from './ingress.ts';
export { ReceptionStats, SendStats } from './rtp-stats.ts';
export { SendBudget } from './send-budget.ts';
export { SentRate } from './sent-rate.ts';
export { SlotStream, type SlotOutput } from './slot-stream.ts';
export { SourcePacket, type ForwardedCodec } from './source-packet.ts';
export {
  StreamRewriter,
  type ExtensionMapping,
  type SourceKey,
  type StreamRewriterOptions,
} from './stream-rewriter.ts';
export type { Track } from './track.ts';
