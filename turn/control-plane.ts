/**
 * Requests and their answers. The order of the checks is in README.md; everything here runs for control messages only,
 * a few per client and minute.
 */
import {
  addErrorCode,
  addFingerprint,
  addMessageIntegrity,
  addUnknownAttributes,
  addXorAddress,
  decodeStun,
  notUnderstood,
  stunAttribute,
  stunClass,
  StunBuilder,
  stunError,
  stunMethod,
  verifyFingerprint,
  type StunErrorCode,
  type StunMessage,
  type TransportAddress,
} from '../tunnel-protocol/index.ts';
import type { Allocation } from './allocation.ts';
import type { AllocationPool } from './allocation-pool.ts';
import { authenticate, type Authenticated, type Authenticator } from './authenticate.ts';
import type { ClientLink } from './client-link.ts';
import { turnLifetime } from './config.ts';
import type { TurnCounterName, TurnCounters } from './counters.ts';
import { hmacSha1 } from './credentials.ts';
import type { TurnLogger } from './logger.ts';
import { NodeTurnDispatch, type DispatchedRequest, type FiveTuple } from './node-turn-adapter.ts';
import { peerVerdict } from './peer-policy.ts';
import type { ReplyLimiter } from './reply-limiter.ts';
import {
  encodeCanonical,
  familyOf,
  isTurnRequestMethod,
  readTurnRequest,
  understood,
  type RelayWish,
} from './request.ts';

export interface ControlPlaneOptions {
  readonly authenticator: Authenticator;
  readonly pool: AllocationPool;
  readonly limiter: ReplyLimiter;
  readonly counters: TurnCounters;
  readonly log: TurnLogger;
  readonly now: () => number;
  readonly wallClock: () => number;
  readonly sessionLives: (sessionId: string) => boolean;
}

/** One authenticated request on its way through node-turn's dispatch. */
interface Exchange {
  readonly link: ClientLink;
  readonly tuple: FiveTuple;
  readonly head: ReplyHead;
  readonly auth: Authenticated;
  readonly now: number;
  /** For Allocate. */
  readonly wish: RelayWish;
}

/** What an answer takes from its request: the request's bytes may be gone by the time it is made. */
interface ReplyHead {
  readonly method: number;
  readonly transactionId: Uint8Array;
  readonly fingerprint: boolean;
}

/** What became of a message, for the limits of a connection. */
export type Handled = 'answered' | 'refused' | 'dropped';

const noWish: RelayWish = { family: 'ipv4', evenPort: false };

const bindingAttributes: ReadonlySet<number> = new Set([
  stunAttribute.USERNAME,
  stunAttribute.MESSAGE_INTEGRITY,
  stunAttribute.PRIORITY,
  stunAttribute.USE_CANDIDATE,
]);

const counterOf = new Map<number, TurnCounterName>([
  [stunError.badRequest.code, 'bad_request'],
  [stunError.unauthenticated.code, 'unauthenticated'],
  [stunError.forbidden.code, 'forbidden'],
  [stunError.unknownAttribute.code, 'unknown_attribute'],
  [stunError.allocationMismatch.code, 'allocation_mismatch'],
  [stunError.staleNonce.code, 'stale_nonce'],
  [stunError.wrongCredentials.code, 'wrong_credentials'],
  [stunError.allocationQuotaReached.code, 'quota'],
  [stunError.serverError.code, 'internal_error'],
  [stunError.insufficientCapacity.code, 'no_capacity'],
]);

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #dispatch: NodeTurnDispatch<Exchange>;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#dispatch = new NodeTurnDispatch<Exchange>(options.authenticator.realm, {
      allocate: (request, exchange) => {
        this.#allocate(request, exchange);
      },
      refresh: (request, exchange) => {
        this.#refresh(request, exchange);
      },
      create_permission: (request, exchange) => {
        this.#createPermission(request, exchange);
      },
      channel_bind: (request, exchange) => {
        this.#channelBind(request, exchange);
      },
    });
  }

  /** node-turn's records: as many as there are allocations. */
  get records(): number {
    return this.#dispatch.size;
  }

  forget(allocation: Allocation): void {
    this.#dispatch.forget(allocation.record);
  }

  /** Any STUN message but a Send indication; borrowed. Never throws. */
  handle(link: ClientLink, bytes: Uint8Array, now: number): Handled {
    const { counters, log } = this.#options;
    const message = decodeStun(bytes);
    if (typeof message === 'string') {
      counters.malformed++;
      return 'dropped';
    }
    if (message.fingerprintAt !== -1 && !verifyFingerprint(message)) {
      counters.fingerprint_mismatch++;
      return 'dropped';
    }
    if (message.messageClass !== stunClass.request) {
      counters.unexpected++;
      return 'dropped';
    }
    counters.requests++;
    try {
      if (message.method === stunMethod.Binding) return this.#binding(link, message, now);
      return this.#request(link, message, now);
    } catch (error) {
      counters.internal_error++;
      log.error({ err: error }, 'A TURN request could not be handled');
      return 'dropped';
    }
  }

  #binding(link: ClientLink, message: StunMessage, now: number): Handled {
    const { counters } = this.#options;
    if (!this.#mayAnswerStranger(link, now)) return 'dropped';
    counters.binding++;
    const unknown = notUnderstood(message, bindingAttributes);
    if (unknown.length > 0) {
      const reply = errorReply(headOf(message), { code: stunError.unknownAttribute.code, reason: '' });
      addUnknownAttributes(reply, unknown.slice(0, 16));
      link.sendMessage(reply.take());
      return 'refused';
    }
    const reply = new StunBuilder(stunClass.success, stunMethod.Binding, message.transactionId);
    addXorAddress(reply, stunAttribute.XOR_MAPPED_ADDRESS, link.remote);
    if (message.fingerprintAt !== -1) addFingerprint(reply);
    link.sendMessage(reply.take());
    // Answered, but it proves nothing about the client: a connection may do this as often as it may fail.
    return 'refused';
  }

  #request(link: ClientLink, message: StunMessage, now: number): Handled {
    const { authenticator, pool, wallClock, sessionLives } = this.#options;
    if (link.allocation?.expire(now) === true) pool.close(link.allocation);
    const { allocation } = link;
    const auth = authenticate(message, link.remote.address, now, allocation, authenticator);
    if ('code' in auth) return this.#refuseStranger(link, message, auth, now);
    // Only making an allocation needs credentials that have not expired; all else, a session that lives.
    const allocates = message.method === stunMethod.Allocate;
    if (!sessionLives(auth.user.sessionId) || (allocates && auth.user.expiresAt * 1000 <= wallClock())) {
      return this.#refuseStranger(link, message, stunError.unauthenticated, now);
    }
    const tuple = fiveTupleOf(link);
    const transactionId = Buffer.from(message.transactionId).toString('hex');
    const exchange: Exchange = { link, tuple, head: headOf(message), auth, now, wish: noWish };
    const unknown = notUnderstood(message, understood);
    if (unknown.length > 0) {
      this.#count(stunError.unknownAttribute);
      const reply = errorReply(exchange.head, stunError.unknownAttribute);
      addUnknownAttributes(reply, unknown.slice(0, 64));
      return this.#finish(exchange, reply);
    }
    if (!isTurnRequestMethod(message.method)) return this.#refuse(exchange, stunError.badRequest);
    if (allocates) {
      if (pool.pending(link)) return 'dropped';
      const record = this.#dispatch.find(tuple);
      if (record !== null || allocation !== null) {
        // A retransmission, whose answer was lost; or the five-tuple is taken (RFC 8656 section 7.2, item 2).
        if (record?.transactionID !== transactionId || allocation?.username !== auth.user.username) {
          return this.#refuse(exchange, stunError.allocationMismatch);
        }
        return this.#allocated(exchange, allocation);
      }
    } else {
      if (allocation === null) return this.#refuse(exchange, stunError.allocationMismatch);
      if (allocation.username !== auth.user.username) return this.#refuse(exchange, stunError.wrongCredentials);
    }
    const request = readTurnRequest(message);
    if ('code' in request) return this.#refuse(exchange, request);
    if (request.method === 'refresh' && request.family !== null && request.family !== allocation?.family) {
      return this.#refuse(exchange, stunError.peerAddressFamilyMismatch);
    }
    const canonical = encodeCanonical(request, message.transactionId);
    const wish = request.method === 'allocate' ? request : noWish;
    if (this.#dispatch.dispatch(tuple, canonical, { ...exchange, wish })) return 'answered';
    return this.#refuse(exchange, stunError.serverError);
  }

  /** RFC 8656 section 7.2. */
  #allocate(request: DispatchedRequest, exchange: Exchange): void {
    const { link, auth, now } = exchange;
    this.#options.pool.open({
      link,
      wish: exchange.wish,
      auth,
      expiresAt: now + grantedLifetime(request.lifetime) * 1000,
      now,
      register: (relayed) => request.register(relayed, grantedLifetime(request.lifetime), auth.user.username),
      onOpened: (allocation) => {
        this.#allocated(exchange, allocation);
      },
      onRefused: (error) => {
        this.#refuse(exchange, error);
      },
    });
  }

  #allocated(exchange: Exchange, allocation: Allocation): Handled {
    const reply = successReply(exchange.head);
    addXorAddress(reply, stunAttribute.XOR_RELAYED_ADDRESS, allocation.relayed);
    addXorAddress(reply, stunAttribute.XOR_MAPPED_ADDRESS, allocation.link.remote);
    const left = Math.max(0, Math.round((allocation.expiresAt - exchange.now) / 1000));
    return this.#finish(exchange, reply.u32(stunAttribute.LIFETIME, left));
  }

  /** RFC 8656 section 8.2. */
  #refresh(request: DispatchedRequest, exchange: Exchange): void {
    const allocation = exchange.link.allocation;
    if (allocation === null) return;
    const lifetime = request.lifetime === 0 ? 0 : grantedLifetime(request.lifetime);
    if (lifetime === 0) this.#options.pool.close(allocation);
    else allocation.expiresAt = exchange.now + lifetime * 1000;
    this.#finish(exchange, successReply(exchange.head).u32(stunAttribute.LIFETIME, lifetime));
  }

  /** RFC 8656 section 10.2: all of the peers, or none. */
  #createPermission(request: DispatchedRequest, exchange: Exchange): void {
    const allocation = exchange.link.allocation;
    if (allocation === null) return;
    const addresses = request.peers.map(({ address }) => address);
    for (const address of addresses) {
      if (familyOf(address) !== allocation.family) {
        this.#refuse(exchange, stunError.peerAddressFamilyMismatch);
        return;
      }
      if (!allocation.rules.mayPermit(address)) {
        this.#refuse(exchange, stunError.forbidden);
        return;
      }
    }
    if (!hasRoom(allocation, 'permissions', allocation.missingPermissions(addresses))) {
      this.#refuse(exchange, stunError.insufficientCapacity);
      return;
    }
    for (const address of addresses) allocation.permit(address, exchange.now);
    this.#finish(exchange, successReply(exchange.head));
  }

  /** RFC 8656 section 12.2. */
  #channelBind(request: DispatchedRequest, exchange: Exchange): void {
    const allocation = exchange.link.allocation;
    const peer = request.peers[0];
    const channel = request.channelNumber;
    if (allocation === null || peer === undefined || channel === null) return;
    const error = this.#channelError(allocation, channel, peer);
    if (error !== null) {
      this.#refuse(exchange, error);
      return;
    }
    allocation.bindChannel(channel, peer.address, peer.port, exchange.now);
    this.#finish(exchange, successReply(exchange.head));
  }

  #channelError(allocation: Allocation, channel: number, { address, port }: TransportAddress): StunErrorCode | null {
    if (familyOf(address) !== allocation.family) return stunError.peerAddressFamilyMismatch;
    if (allocation.rules.verdict(address, port) === peerVerdict.refused) return stunError.forbidden;
    const fit = allocation.channelFits(channel, { address, port });
    if (fit === 'conflict') return stunError.badRequest;
    const room =
      hasRoom(allocation, 'channels', fit === 'new' ? 1 : 0) &&
      hasRoom(allocation, 'permissions', allocation.missingPermissions([address]));
    return room ? null : stunError.insufficientCapacity;
  }

  /** To somebody who has authenticated. */
  #refuse(exchange: Exchange, error: StunErrorCode): Handled {
    this.#count(error);
    return this.#finish(exchange, errorReply(exchange.head, error));
  }

  #finish(exchange: Exchange, reply: StunBuilder): Handled {
    addMessageIntegrity(reply, exchange.auth.key, hmacSha1);
    if (exchange.head.fingerprint) addFingerprint(reply);
    exchange.link.sendMessage(reply.take());
    return 'answered';
  }

  /** Short answers, few of them: whoever sent this may be somebody else than the address says. */
  #refuseStranger(link: ClientLink, message: StunMessage, error: StunErrorCode, now: number): Handled {
    if (!this.#mayAnswerStranger(link, now)) return 'dropped';
    this.#count(error);
    const { authenticator } = this.#options;
    const reply = errorReply(headOf(message), { code: error.code, reason: '' });
    if (error.code !== stunError.badRequest.code) {
      reply.text(stunAttribute.REALM, authenticator.realm);
      reply.text(stunAttribute.NONCE, authenticator.nonces.mint(link.remote.address, now));
    }
    link.sendMessage(reply.take());
    return 'refused';
  }

  #mayAnswerStranger(link: ClientLink, now: number): boolean {
    if (link.kind !== 'turn-udp' || this.#options.limiter.take(link.remote.address, now)) return true;
    this.#options.counters.rate_limited++;
    return false;
  }

  #count(error: StunErrorCode): void {
    this.#options.counters[counterOf.get(error.code) ?? 'refused_otherwise']++;
  }
}

/** RFC 8656 section 7.2: at least the default, at most the maximum. */
function grantedLifetime(requested: number | null): number {
  return Math.min(Math.max(requested ?? 0, turnLifetime.default), turnLifetime.max);
}

function hasRoom(allocation: Allocation, what: 'permissions' | 'channels', more: number): boolean {
  const { user, address } = allocation;
  return more === 0 || (user[what] + more <= user.limits[what] && address[what] + more <= address.limits[what]);
}

function headOf({ method, transactionId, fingerprintAt }: StunMessage): ReplyHead {
  // A copy by the constructor: `slice` of a Node Buffer would be a view.
  return { method, transactionId: new Uint8Array(transactionId), fingerprint: fingerprintAt !== -1 };
}

function successReply({ method, transactionId }: ReplyHead): StunBuilder {
  return new StunBuilder(stunClass.success, method, transactionId);
}

function errorReply({ method, transactionId }: ReplyHead, error: StunErrorCode): StunBuilder {
  const reply = new StunBuilder(stunClass.error, method, transactionId);
  addErrorCode(reply, error);
  return reply;
}

function fiveTupleOf({ kind, remote, local }: ClientLink): FiveTuple {
  return { transport: kind === 'turn-udp' ? 'udp' : kind === 'turn-tcp' ? 'tcp' : 'tls', remote, local };
}
