/** Every network that the lab can be, in the order in which it is run and shown. */
import type { Profile } from '../profile.ts';
import { connectBasic, connectDigest, connectSquid, connectTinyproxy } from './connect-proxy.ts';
import { dpiStun } from './dpi-stun.ts';
import { lossy2 } from './lossy-2.ts';
import { lossy5 } from './lossy-5.ts';
import { only443And80 } from './only-443-80.ts';
import { open } from './open.ts';
import { symmetricNat } from './symmetric-nat.ts';
import { buffering, captive, idleKill, noUpgrade, textOnly, tlsInspect } from './tls-inspect.ts';
import { udpBlocked } from './udp-blocked.ts';
import { udpFades } from './udp-fades.ts';
import { udpRejected } from './udp-rejected.ts';
import { udpReturns } from './udp-returns.ts';

export const profiles: readonly Profile[] = [
  open,
  symmetricNat,
  lossy2,
  lossy5,
  udpBlocked,
  udpRejected,
  udpFades,
  udpReturns,
  only443And80,
  dpiStun,
  connectSquid,
  connectTinyproxy,
  connectBasic,
  connectDigest,
  tlsInspect,
  noUpgrade,
  buffering,
  textOnly,
  idleKill,
  captive,
];
