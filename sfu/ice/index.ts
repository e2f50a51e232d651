export * from './counters.ts';
export * from './ice-lite.ts';
export type * from './types.ts';
export type { IceCredentials } from '../../tunnel-protocol/index.ts';
