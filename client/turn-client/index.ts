export type { TurnClientCounters } from './counters.ts';
export { TurnClient } from './turn-client.ts';
export { TurnStreamSplitter } from './stream-splitter.ts';
export { parseTurnUri } from './turn-uri.ts';
export type { TurnUri } from './turn-uri.ts';
export type { TurnClientEvent, TurnClientOptions, TurnFailure } from './types.ts';
