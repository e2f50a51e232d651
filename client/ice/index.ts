export type { IceClientCounters } from './counters.ts';
export * from './ice-client.ts';
export * from './path-proof.ts';
export type * from './types.ts';
export type { IceCredentials } from '../../tunnel-protocol/index.ts';
