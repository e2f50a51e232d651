export type { TrunkCredentials } from './trunk-auth.ts';
export { TrunkClient } from './trunk-client.ts';
export { TrunkServer } from './trunk-server.ts';
