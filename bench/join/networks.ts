/** The networks that joins are measured in, and how long the first picture of somebody else may take there. */
import { connectSquid } from '../lab/profiles/connect-proxy.ts';
import { buffering, noUpgrade } from '../lab/profiles/tls-inspect.ts';
import { open } from '../lab/profiles/open.ts';
import { udpBlocked } from '../lab/profiles/udp-blocked.ts';
import type { Profile } from '../lab/profile.ts';

export interface JoinNetwork {
  /** As figures name it. */
  readonly name: string;
  readonly profile: Profile;
  /** Of 95 in 100 joins. */
  readonly targetMs: number;
}

export const joinNetworks: readonly JoinNetwork[] = [
  { name: 'open', profile: open, targetMs: 1_000 },
  { name: 'udp-blocked', profile: udpBlocked, targetMs: 1_500 },
  { name: 'connect-proxy', profile: connectSquid, targetMs: 2_000 },
  { name: 'no-upgrade', profile: noUpgrade, targetMs: 2_500 },
  { name: 'buffering', profile: buffering, targetMs: 4_000 },
];
