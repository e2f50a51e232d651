export { ClientCounts, clientOf } from './client-counts.ts';
export { createDemultiplexer, type Demultiplexer } from './demultiplexer.ts';
export { NetworkSet } from './networks.ts';
export { TlsStream } from './tls-stream.ts';
export {
  defaultDemuxConfig,
  type ConnectionKind,
  type DemuxConfig,
  type DemuxCounters,
  type DemuxDeps,
  type DemuxHandlers,
  type RefusalReason,
  type UwsHandler,
} from './types.ts';
