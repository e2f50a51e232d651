export * from './data-association.ts';
export * from './data-counters.ts';
export type { DataChannelParameters, DataReliability } from './dcep.ts';
export { maxDataNameBytes } from './dcep.ts';
export { sctpEngineFrom, sctpMtu } from './sctp-engine.ts';
