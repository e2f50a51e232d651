import {
  addXorAddress,
  decodeStun,
  errorCode,
  parseIpAddress,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunError,
  stunFamily,
  stunMethod,
  verifyFingerprint,
  xorAddress,
} from '../../tunnel-protocol/index.ts';
import { failureOf, isCapacity, isUnderstood, readLifetimeMs } from './answers.ts';
import { encodeChannelData, readChannelData } from './channel-data.ts';
import { createTurnClientCounters } from './counters.ts';
import { LongTermCredentials } from './long-term-credentials.ts';
import { TurnTransaction } from './transaction.ts';
import type { StunMessage, TransportAddress } from '../../tunnel-protocol/index.ts';
import type { TurnClientCounters } from './counters.ts';
import type { FillRequest } from './long-term-credentials.ts';
import type { TurnPurpose } from './transaction.ts';
import type { TurnClientEvent, TurnClientOptions, TurnFailure } from './types.ts';

/** The only channel of an allocation that has one peer; each further address of that peer gets the next number. */
const firstChannel = 0x4000;
const protocolUdp = 17;
/** Permissions last 300 s (RFC 8656 section 9), channels 600 s (section 12); binding a channel again renews both. */
const rebindMs = 240_000;
/** RFC 8656 section 7.4 advises to refresh a minute before the end. */
const refreshAheadMs = 60_000;
/** Whatever a server says. */
const minRefreshMs = 10_000;
/** How often one request is made again with the nonce that its refusal brought. */
const maxChallenges = 3;

/**
 * A sans-I/O TURN client (RFC 8656) with one allocation for one peer. The caller owns the socket or connection: it sends
 * what `nextOutput` gives and reads `nextEvent` until both are null after every other call, and calls `handleTimeout` at
 * `nextTimeout`. All times are monotonic milliseconds.
 *
 * The channel is asked for in the same breath as the allocation is told of, and until it is bound datagrams go as Send
 * indications behind the request: one round trip less until the peer is reached.
 */
export class TurnClient {
  readonly counters: TurnClientCounters = createTurnClientCounters();
  readonly #options: TurnClientOptions;
  readonly #credentials: LongTermCredentials;
  readonly #transactions: TurnTransaction[] = [];
  readonly #outputs: Uint8Array[] = [];
  readonly #events: TurnClientEvent[] = [];
  #state: 'idle' | 'allocating' | 'allocated' | 'closed' = 'idle';
  #peerIndex = 0;
  #channelBound = false;
  /** The server has no channels for us: permissions and Send indications have to do. */
  #withoutChannel = false;
  #refreshAt = Infinity;
  #rebindAt = Infinity;

  /** Throws RangeError when there is no peer, TypeError when its address is no IP address. */
  constructor(options: TurnClientOptions) {
    const [first] = options.peers;
    if (first === undefined) throw new RangeError('a TURN client needs a peer');
    if (options.peers.some(({ address }) => parseIpAddress(address) === null)) throw new TypeError('not an IP address');
    this.#options = options;
    this.#credentials = new LongTermCredentials(options);
  }

  /** Whether datagrams can be sent. */
  get allocated(): boolean {
    return this.#state === 'allocated';
  }

  /** The address of the peer that datagrams go to. */
  get peer(): TransportAddress {
    return this.#options.peers[this.#peerIndex] as TransportAddress;
  }

  /** Asks for the allocation. */
  start(now: number): void {
    if (this.#state !== 'idle') return;
    this.#state = 'allocating';
    const ipv6 = parseIpAddress(this.peer.address)?.length === 16;
    this.#request('allocate', stunMethod.Allocate, now, (builder) => {
      builder.u32(stunAttribute.REQUESTED_TRANSPORT, protocolUdp << 24);
      // IPv4 is what one gets without asking, from servers older than RFC 6156 too.
      if (ipv6) builder.u32(stunAttribute.REQUESTED_ADDRESS_FAMILY, stunFamily.ipv6 << 24);
    });
  }

  /** The message that carries the datagram to the peer, in fresh memory; null when there is no allocation. */
  wrap(datagram: Uint8Array): Uint8Array | null {
    if (this.#state !== 'allocated') return null;
    if (this.#channelBound) return encodeChannelData(this.#channel, datagram, this.#options.reliable);
    const builder = new StunBuilder(stunClass.indication, stunMethod.Send, this.#options.random(12));
    addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, this.peer);
    builder.attribute(stunAttribute.DATA, datagram);
    return builder.take();
  }

  /**
   * One whole message from the server, borrowed until the call returns. Returns the datagram of the peer that it carries,
   * borrowed as well, otherwise null. Never throws on any bytes.
   */
  receive(message: Uint8Array, now: number): Uint8Array | null {
    if (this.#state === 'idle' || this.#state === 'closed') return null;
    const first = message[0] ?? 0xff;
    if (first < 0x40) return this.#receiveStun(message, now);
    const expected = this.#state === 'allocated' && !this.#withoutChannel && first < 0x80;
    const datagram = expected ? readChannelData(message, this.#channel) : null;
    if (datagram === null) this.counters.strangers++;
    return datagram;
  }

  nextOutput(): Uint8Array | null {
    return this.#outputs.shift() ?? null;
  }

  nextEvent(): TurnClientEvent | null {
    return this.#events.shift() ?? null;
  }

  /** When to call `handleTimeout`; possibly in the past; null when there is nothing to wait for. */
  nextTimeout(): number | null {
    let due = Math.min(this.#refreshAt, this.#rebindAt);
    for (const transaction of this.#transactions) due = Math.min(due, transaction.dueAt);
    return due === Infinity ? null : due;
  }

  handleTimeout(now: number): void {
    for (const transaction of this.#transactions.slice()) {
      if (now < transaction.dueAt) continue;
      const message = transaction.repeat(now);
      if (message === null) {
        this.#fail('unanswered', null);
        return;
      }
      this.#outputs.push(message);
    }
    if (now >= this.#refreshAt) {
      this.#refreshAt = Infinity;
      this.#request('refresh', stunMethod.Refresh, now, () => undefined);
    }
    if (now >= this.#rebindAt) this.#reachPeer(now);
  }

  /** Gives the allocation back: the last output is to be sent before the socket closes. No event follows. Idempotent. */
  close(): void {
    if (this.#state !== 'closed') this.#end();
  }

  get #channel(): number {
    return firstChannel + this.#peerIndex;
  }

  #receiveStun(bytes: Uint8Array, now: number): Uint8Array | null {
    const message = decodeStun(bytes);
    if (typeof message === 'string' || (message.fingerprintAt !== -1 && !verifyFingerprint(message))) {
      this.counters.malformed++;
      return null;
    }
    if (message.messageClass === stunClass.indication && message.method === stunMethod.Data) {
      return this.#receiveData(message);
    }
    if (message.messageClass !== stunClass.success && message.messageClass !== stunClass.error) {
      this.counters.ignored++;
      return null;
    }
    const transaction = this.#transactions.find((known) => known.isAnsweredBy(message.method, message.transactionId));
    if (transaction === undefined) this.counters.unknownTransaction++;
    // RFC 8489 sections 6.3.3 and 6.3.4: such a response is discarded, as though it had not come.
    else if (!isUnderstood(message)) this.counters.malformed++;
    else if (message.messageClass === stunClass.success) this.#handleSuccess(transaction, message, now);
    else this.#handleError(transaction, message, now);
    return null;
  }

  /** RFC 8656 section 11.4: only the peer that has our permission is believed in. */
  #receiveData(message: StunMessage): Uint8Array | null {
    const peer = xorAddress(message, stunAttribute.XOR_PEER_ADDRESS);
    const datagram = message.value(stunAttribute.DATA);
    if (peer?.address !== this.peer.address || peer.port !== this.peer.port || this.#state !== 'allocated') {
      this.counters.strangers++;
      return null;
    }
    return datagram;
  }

  #handleSuccess(transaction: TurnTransaction, message: StunMessage, now: number): void {
    if (!this.#credentials.verify(message)) {
      this.counters.badIntegrity++;
      return;
    }
    this.counters.answers++;
    this.#drop(transaction);
    switch (transaction.purpose) {
      case 'allocate':
        this.#allocated(message, now);
        return;
      case 'refresh':
        this.#scheduleRefresh(readLifetimeMs(message), now);
        return;
      case 'bind':
        this.#rebindAt = now + rebindMs;
        if (this.#channelBound) return;
        this.#channelBound = true;
        this.#events.push({ type: 'bound', peer: this.peer });
        return;
      case 'permit':
        this.#rebindAt = now + rebindMs;
        return;
    }
  }

  #allocated(message: StunMessage, now: number): void {
    const relayed = xorAddress(message, stunAttribute.XOR_RELAYED_ADDRESS);
    if (relayed === null) {
      this.#fail('bad-answer', null);
      return;
    }
    const mapped = xorAddress(message, stunAttribute.XOR_MAPPED_ADDRESS);
    const lifetimeMs = readLifetimeMs(message);
    this.#state = 'allocated';
    this.#scheduleRefresh(lifetimeMs, now);
    this.#reachPeer(now);
    this.#events.push({ type: 'allocated', relayed, mapped, lifetimeMs });
  }

  #scheduleRefresh(lifetimeMs: number, now: number): void {
    this.#refreshAt = now + Math.max(minRefreshMs, lifetimeMs / 2, lifetimeMs - refreshAheadMs);
  }

  /** A channel is a permission as well (RFC 8656 section 12.2). */
  #reachPeer(now: number): void {
    this.#rebindAt = Infinity;
    const { peer } = this;
    if (this.#withoutChannel) {
      this.#request('permit', stunMethod.CreatePermission, now, (builder) => {
        addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, peer);
      });
      return;
    }
    const channel = this.#channel;
    this.#request('bind', stunMethod.ChannelBind, now, (builder) => {
      builder.u32(stunAttribute.CHANNEL_NUMBER, channel * 65_536);
      addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, peer);
    });
  }

  #handleError(transaction: TurnTransaction, message: StunMessage, now: number): void {
    const code = errorCode(message)?.code ?? 0;
    const { unauthenticated, staleNonce, badRequest } = stunError;
    const isChallenge = code === unauthenticated.code || code === staleNonce.code;
    // RFC 8489 section 9.2.5: these alone may come without a code, for the server does not know us yet.
    const mayBePlain = isChallenge || code === badRequest.code || !this.#credentials.known;
    if (!mayBePlain && !this.#credentials.verify(message)) {
      this.counters.badIntegrity++;
      return;
    }
    this.counters.answers++;
    this.#drop(transaction);
    if (isChallenge) this.#challenged(transaction, message, code, now);
    else this.#refused(transaction.purpose, code, now);
  }

  #challenged(transaction: TurnTransaction, message: StunMessage, code: number, now: number): void {
    const stale = code === stunError.staleNonce.code;
    const tried = this.#credentials.known;
    if ((tried && !stale) || transaction.challenges >= maxChallenges || !this.#credentials.challenge(message)) {
      this.#fail('wrong-credentials', code);
      return;
    }
    if (stale) this.counters.staleNonces++;
    const { purpose, method, fill } = transaction;
    this.#request(purpose, method, now, fill, transaction.challenges + 1);
  }

  #refused(purpose: TurnPurpose, code: number, now: number): void {
    const lost = code === stunError.allocationMismatch.code;
    if (purpose === 'allocate' || purpose === 'refresh' || lost) {
      this.#fail(lost && purpose !== 'allocate' ? 'allocation-lost' : failureOf(code), code);
    } else if (purpose === 'bind' && (code === stunError.badRequest.code || isCapacity(code))) {
      this.#withoutChannel = true;
      this.#channelBound = false;
      this.#reachPeer(now);
    } else if (this.#peerIndex + 1 < this.#options.peers.length) {
      this.#peerIndex++;
      this.#channelBound = false;
      this.#reachPeer(now);
    } else {
      this.#fail(code === stunError.forbidden.code ? 'peer-forbidden' : failureOf(code), code);
    }
  }

  #request(purpose: TurnPurpose, method: number, now: number, fill: FillRequest, challenges = 0): void {
    const id = this.#options.random(12);
    const message = this.#credentials.encode(method, id, fill);
    const request = { purpose, method, fill, id, challenges };
    this.#transactions.push(new TurnTransaction(request, message.slice(), this.#options.reliable, now));
    this.#outputs.push(message);
  }

  #drop(transaction: TurnTransaction): void {
    this.#transactions.splice(this.#transactions.indexOf(transaction), 1);
  }

  /** Its last output gives the allocation back as well, if there is one. */
  #fail(reason: TurnFailure, code: number | null): void {
    this.#end();
    this.#events.push({ type: 'failed', reason, code });
  }

  #end(): void {
    // A request for an allocation may have been granted, though the answer has not come yet.
    const release = this.#state !== 'idle' && this.#credentials.known;
    this.#state = 'closed';
    this.#transactions.length = 0;
    this.#outputs.length = 0;
    this.#events.length = 0;
    this.#refreshAt = Infinity;
    this.#rebindAt = Infinity;
    if (!release) return;
    const fill: FillRequest = (builder) => builder.u32(stunAttribute.LIFETIME, 0);
    this.#outputs.push(this.#credentials.encode(stunMethod.Refresh, this.#options.random(12), fill));
  }
}
