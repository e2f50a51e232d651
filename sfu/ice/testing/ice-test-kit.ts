/** What tests of the ICE-lite agent share: paths whose output is kept, and a peer's requests as bytes. */
import { createHmac, randomBytes } from 'node:crypto';
import {
  addFingerprint,
  addMessageIntegrity,
  decodeStun,
  NOMINATION,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
} from '../../../tunnel-protocol/index.ts';
import { createIceCounters } from '../counters.ts';
import { IceLite } from '../ice-lite.ts';
import type { IceCredentials, Path, StunMessage, TransportAddress } from '../../../tunnel-protocol/index.ts';
import type { IceCounters } from '../counters.ts';
import type { IceLiteAgent } from '../types.ts';

export const hmacSha1 = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  createHmac('sha1', key).update(data).digest();

/** A path without a network behind it. */
export class TestPath implements Path {
  readonly kind = 'udp';
  readonly reliable = false;
  readonly ordered = false;
  readonly mtu = 1200;
  readonly remote: TransportAddress;
  readonly sent: Uint8Array[] = [];
  owner: unknown = null;
  bound = false;

  constructor(port: number, address = '192.0.2.1') {
    this.remote = { address, port };
  }

  send(datagram: Uint8Array): boolean {
    this.sent.push(datagram);
    return true;
  }

  bind(): void {
    this.bound = true;
  }

  unbind(): void {
    this.bound = false;
  }

  close(): void {
    this.unbind();
  }

  /** The last thing sent, read as STUN; null when nothing was sent since the last call. */
  answer(): StunMessage | null {
    const datagram = this.sent.pop();
    this.sent.length = 0;
    if (datagram === undefined) return null;
    const message = decodeStun(datagram);
    if (typeof message === 'string') throw new Error(message);
    return message;
  }
}

export interface Check {
  readonly from: IceCredentials;
  readonly to: IceCredentials;
  readonly useCandidate?: boolean;
  readonly nomination?: number;
  /** Adds attributes of its own, before the integrity. */
  readonly extra?: (builder: StunBuilder) => void;
  readonly controlled?: boolean;
  readonly unsigned?: boolean;
}

export function check(options: Check): Uint8Array {
  const builder = new StunBuilder(stunClass.request, stunMethod.Binding, randomBytes(12));
  builder.text(stunAttribute.USERNAME, `${options.to.ufrag}:${options.from.ufrag}`);
  builder.u32(stunAttribute.PRIORITY, 0x6e7f1eff);
  const role = options.controlled === true ? stunAttribute.ICE_CONTROLLED : stunAttribute.ICE_CONTROLLING;
  builder.attribute(role, new Uint8Array(8));
  if (options.useCandidate === true) builder.flag(stunAttribute.USE_CANDIDATE);
  if (options.nomination !== undefined) builder.u32(NOMINATION, options.nomination);
  options.extra?.(builder);
  if (options.unsigned !== true) addMessageIntegrity(builder, new TextEncoder().encode(options.to.pwd), hmacSha1);
  addFingerprint(builder);
  return builder.take();
}

export const peer: IceCredentials = { ufrag: 'peer', pwd: 'password-of-the-peer-22+' };

export interface LiteUnderTest {
  readonly ice: IceLite;
  readonly agent: IceLiteAgent;
  readonly counters: IceCounters;
  readonly owner: object;
  /** Names of events, with ports of the paths: `validated 1`, `nominated 2 <- 1`, `consent-lost`. */
  readonly events: string[];
}

/** One agent whose peer is {@link peer}. */
export function liteUnderTest(): LiteUnderTest {
  const counters = createIceCounters();
  const ice = new IceLite({ random: randomBytes, hmacSha1 }, counters);
  const owner = {};
  const events: string[] = [];
  const agent = ice.createAgent(owner, {
    onValidated: (path) => events.push(`validated ${String(path.remote.port)}`),
    onNominated: (path, previous) =>
      events.push(
        `nominated ${String(path.remote.port)} <- ${previous === null ? 'none' : String(previous.remote.port)}`,
      ),
    onConsentLost: () => events.push('consent-lost'),
  });
  agent.setRemote(peer);
  return { ice, agent, counters, owner, events };
}
