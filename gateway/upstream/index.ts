export { EmbeddedUpstream } from './embedded-upstream.ts';
export { FixedLocator } from './fixed-locator.ts';
export { ufragPrefixOf, type NodeAddress, type NodeLocator } from './node-locator.ts';
export { TrunkUpstream } from './trunk-upstream.ts';
export { UpstreamUnavailable, type OpenedSession, type Upstream, type UpstreamEvents } from './upstream.ts';
