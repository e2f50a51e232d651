export { creditFlag, creditFrameBytes, creditType } from './credit.ts';
export { DeliveryMeter } from './delivery-meter.ts';
export { flowLimits } from './flow-limits.ts';
export type { FlowLimits } from './flow-limits.ts';
export { mediaLaneLimits, MediaLanes } from './media-lanes.ts';
export { queueDropReasons, SendQueue } from './send-queue.ts';
export type { OnDrop, QueueDropReason, SendQueueOptions } from './send-queue.ts';
export { TunnelFlow } from './tunnel-flow.ts';
export type { TunnelFlowOptions } from './tunnel-flow.ts';
