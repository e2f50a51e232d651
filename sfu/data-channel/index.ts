export { DataEndpoint } from './data-endpoint.ts';
export type { RemoteData } from './data-endpoint.ts';
export { sctpPort } from './sctp.ts';
