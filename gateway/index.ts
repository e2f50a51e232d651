export { TokenAuthority, type JoinGrant } from './auth.ts';
export { ConfigError, loadConfig, type Config, type ConfigSources } from './config.ts';
export { createEdge, type Edge, type EdgeDeps, type EdgeInfo, type EdgeLimits } from './edge.ts';
export { createUdpReceiver, createUdpSender, loadLibc, loadOpenssl, UdpAddress, type UdpSender } from './libc/index.ts';
export { createSfuNode, type SfuNode, type SfuNodeDeps, type SfuNodeInfo } from './sfu-node.ts';
export { StartError } from './listeners.ts';
export { makeCertificate } from './tls-certificate.ts';
export { TrunkClient, TrunkServer, type TrunkCredentials } from './trunk/index.ts';
export {
  MemoryDirectory,
  RedisDirectory,
  type Directory,
  type EdgeRecord,
  type NodeRecord,
  type RoomRecord,
} from './directory/index.ts';
export { Secret } from './secret.ts';
