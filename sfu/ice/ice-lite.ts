import {
  decodeStun,
  stunAttribute,
  stunClass,
  stunMethod,
  verifyFingerprint,
  verifyMessageIntegrity,
} from '../../tunnel-protocol/index.ts';
import { Generations, namesRemote } from './generations.ts';
import { LiteAgent } from './lite-agent.ts';
import type { Path } from '../../tunnel-protocol/index.ts';
import type { IceCounters } from './counters.ts';
import type { IceAgentEvents, IceLiteAgent, IceLiteDeps } from './types.ts';

/**
 * The ICE-lite side of every transport of an SFU, on any number of paths: finds the agent that a connectivity check
 * names, authenticates the check and hands it over. Sans-I/O: answers leave by `path.send`, times are monotonic
 * milliseconds from outside.
 *
 * What is not authenticated is counted and dropped without an answer. RFC 8489 section 9.1.3 would answer 400 or 401,
 * but a signed answer is impossible, an unsigned one helps no ICE peer (it retransmits anyway), and a server that
 * answers strangers reflects traffic to spoofed addresses and tells scanners what it is.
 */
export class IceLite {
  readonly #deps: IceLiteDeps;
  readonly #counters: IceCounters;
  readonly #generations: Generations<LiteAgent>;
  readonly #agents = new Set<LiteAgent>();

  constructor(deps: IceLiteDeps, counters: IceCounters) {
    this.#deps = deps;
    this.#counters = counters;
    this.#generations = new Generations(deps.random, deps.ufragPrefix);
  }

  /** `owner` becomes the `owner` of every path that the agent validates. */
  createAgent(owner: object, events: IceAgentEvents): IceLiteAgent {
    const agent = new LiteAgent(owner, events, {
      hmacSha1: this.#deps.hmacSha1,
      counters: this.#counters,
      generations: this.#generations,
      onClose: () => this.#agents.delete(agent),
    });
    this.#agents.add(agent);
    return agent;
  }

  /** A datagram of class STUN, borrowed until the call returns. Never throws, whatever the bytes. */
  receive(path: Path, datagram: Uint8Array, now: number): void {
    const counters = this.#counters;
    const message = decodeStun(datagram);
    if (typeof message === 'string') {
      counters.malformed++;
      return;
    }
    if (message.messageClass !== stunClass.request || message.method !== stunMethod.Binding) {
      counters.ignored++;
      return;
    }
    // ICE peers must send FINGERPRINT (RFC 8445 section 7.1), but its absence hurts nobody. It is checked first
    // because it is cheaper than the HMAC.
    if (message.fingerprintAt !== -1 && !verifyFingerprint(message)) {
      counters.badFingerprint++;
      return;
    }
    const username = message.value(stunAttribute.USERNAME);
    if (username === null) {
      counters.missingUsername++;
      return;
    }
    if (message.integrityAt === -1) {
      counters.missingIntegrity++;
      return;
    }
    const generation = this.#generations.find(username);
    if (generation === null) {
      counters.unknownUfrag++;
      return;
    }
    if (!namesRemote(username, generation)) {
      counters.wrongRemoteUfrag++;
      return;
    }
    if (!verifyMessageIntegrity(message, generation.key, this.#deps.hmacSha1)) {
      counters.badIntegrity++;
      return;
    }
    generation.agent.handleRequest(generation, path, message, now);
  }

  /** Expires consent (RFC 7675). Call about once a second. */
  tick(now: number): void {
    for (const agent of this.#agents) agent.expire(now);
  }
}
