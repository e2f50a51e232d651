/** Every network that the lab can be, in the order in which it is run and shown. */
import type { Profile } from '../profile.ts';
import { connectBasic, connectDigest, connectSquid, connectTinyproxy } from './connect-proxy.ts';
import { lossy2 } from './lossy-2.ts';
import { lossy5 } from './lossy-5.ts';
import { only443And80 } from './only-443-80.ts';
import { open } from './open.ts';
import { buffering, captive, idleKill, noUpgrade, textOnly, tlsInspect } from './tls-inspect.ts';
import { udpBlocked } from './udp-blocked.ts';

export const profiles: readonly Profile[] = [
  open,
  udpBlocked,
  only443And80,
  lossy2,
  lossy5,
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
