export { LoadClient, LoadCounter, type LoadCredentials } from './load-client.ts';
export { relayedPacketUs } from './relayed-packet.ts';
export type { TurnServerPorts } from './server.ts';
