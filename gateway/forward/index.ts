export { Forwarder, type ForwarderOptions, type ForwarderSockets } from './forwarder.ts';
export { withForwardedClient } from './forwarded-client.ts';
export type { ForwardTarget } from './upstream-head.ts';
