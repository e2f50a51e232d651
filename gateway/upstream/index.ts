export { EmbeddedUpstream } from './embedded-upstream.ts';
export { FixedLocator } from './fixed-locator.ts';
export { ufragPrefixOf, type NodeAddress, type NodeLocator } from './node-locator.ts';
export { TrunkUpstream } from './trunk-upstream.ts';
export { UdpUpstream, udpUpstreamCounts } from './udp-upstream.ts';
export { UpstreamNotAllowed, UpstreamUnavailable } from './upstream.ts';
export type { OpenedSession, OpenedWhip, Upstream, UpstreamEvents, UpstreamRequest } from './upstream.ts';
