import {
  createIceCredentials,
  decodeStun,
  errorCode,
  notUnderstood,
  stunAttribute,
  stunClass,
  stunError,
  stunMethod,
  verifyFingerprint,
  verifyMessageIntegrity,
  xorAddress,
} from '../../tunnel-protocol/index.ts';
import { createGeneration, encodeCheckRequest } from './check-request.ts';
import { CheckedPath, consentMs } from './checked-path.ts';
import { createIceClientCounters } from './counters.ts';
import { PathProof, defaultProof } from './path-proof.ts';
import { Transaction } from './transaction.ts';
import type { IceCredentials, Rung, StunMessage } from '../../tunnel-protocol/index.ts';
import type { Generation } from './check-request.ts';
import type { IceClientCounters } from './counters.ts';
import type { ProofPolicy } from './path-proof.ts';
import type { TransactionPurpose } from './transaction.ts';
import type { IceClientEvent, IceClientOptions, IceOutput, IcePathFailure, IcePathState } from './types.ts';

interface RunningProof {
  readonly path: CheckedPath;
  readonly generation: Generation;
  readonly proof: PathProof;
}

/** RFC 8445 section 14.2: Ta, the pace of initial checks over all paths. */
const paceMs = 20;
const maxPaths = 16;

/** What a success response may carry that must be understood. */
const understood: ReadonlySet<number> = new Set([
  stunAttribute.USERNAME,
  stunAttribute.MESSAGE_INTEGRITY,
  stunAttribute.MAPPED_ADDRESS,
  stunAttribute.XOR_MAPPED_ADDRESS,
  stunAttribute.PADDING,
]);

/**
 * A sans-I/O full ICE agent (RFC 8445) for a lite peer: always controlling. The caller owns the paths: it names them,
 * sends what `nextOutput` gives and reads `nextEvent` until both are null after every other call, and calls
 * `handleTimeout` at `nextTimeout`. The agent checks each path, keeps its consent (RFC 7675), and nominates the one
 * that the caller chooses. All times are monotonic milliseconds.
 */
export class IceClient {
  readonly counters: IceClientCounters = createIceClientCounters();
  readonly #options: IceClientOptions;
  readonly #tieBreaker: Uint8Array;
  readonly #paths = new Map<string, CheckedPath>();
  readonly #outputs: IceOutput[] = [];
  readonly #events: IceClientEvent[] = [];
  #local: IceCredentials;
  #generation: Generation | null = null;
  #nominated: string | null = null;
  /** The last NOMINATION sent. It never goes back, not even with a restart. */
  #nomination = 0;
  #nextPaceAt = 0;
  #proof: RunningProof | null = null;

  constructor(options: IceClientOptions) {
    this.#options = options;
    this.#tieBreaker = options.random(8);
    this.#local = createIceCredentials(options.random);
  }

  /** This side's credentials for the next offer. */
  get local(): IceCredentials {
    return this.#local;
  }

  /** The path that carries media, or null. */
  get nominated(): string | null {
    return this.#nominated;
  }

  /** State of a path, or null when there is none of this id. */
  pathState(id: string): IcePathState | null {
    return this.#paths.get(id)?.state ?? null;
  }

  /**
   * The peer's credentials, from its answer. Checks begin; after a `restart` all paths, failed ones too, are checked
   * anew with the new credentials, while valid ones stay valid, and a nomination under way is made again.
   */
  setRemote(remote: IceCredentials, now: number): void {
    this.#generation = createGeneration(this.#local, remote);
    for (const path of this.#paths.values()) path.recheck();
    for (const path of this.#paths.values()) {
      if (path.dropAll('nomination')) this.nominate(path.id, now);
    }
  }

  /** New local credentials for an offer that restarts ICE. Until `setRemote` brings the answer, the old ones serve. */
  restart(): IceCredentials {
    this.#local = createIceCredentials(this.#options.random);
    return this.#local;
  }

  /**
   * A path to check, as soon as the peer's credentials are known. An id that is known already begins anew.
   * Throws RangeError when there are 16 already.
   */
  addPath(id: string, kind: Rung, now: number): void {
    this.removePath(id);
    if (this.#paths.size >= maxPaths) throw new RangeError('an ICE agent has at most 16 paths');
    if (this.#paths.size === 0) this.#nextPaceAt = now;
    this.#paths.set(id, new CheckedPath(id, kind));
  }

  /** Forgets a path and what was still to be sent on it, without an event. */
  removePath(id: string): void {
    if (!this.#paths.delete(id)) return;
    if (this.#nominated === id) this.#nominated = null;
    this.#endProof(id);
    for (let i = this.#outputs.length - 1; i >= 0; i--) if (this.#outputs[i]?.pathId === id) this.#outputs.splice(i, 1);
  }

  /**
   * Asks the peer to send media on this path; `nominated` or `nomination-failed` follows. A nomination still under
   * way is given up without an event. False when there is no such path, it has failed, or no `setRemote` came yet.
   */
  nominate(id: string, now: number): boolean {
    const path = this.#paths.get(id);
    if (path === undefined || path.state === 'failed' || this.#generation === null) return false;
    for (const other of this.#paths.values()) other.dropAll('nomination');
    this.#nomination++;
    this.#begin(path, this.#generation, 'nomination', now);
    return true;
  }

  /** Checks a valid path now instead of when its consent is due; `round-trip` follows if it is answered. */
  check(id: string, now: number): void {
    const path = this.#paths.get(id);
    if (path?.state !== 'valid' || this.#generation === null) return;
    path.scheduleConsent(now, this.#jitter());
    this.#begin(path, this.#generation, 'consent', now);
  }

  /**
   * Tests whether a valid path carries what media takes, both ways; a `proof` event tells. Another proof under way is given
   * up without an event. False when there is no such path, or it is not valid.
   */
  prove(id: string, now: number): boolean {
    const path = this.#paths.get(id);
    const generation = this.#generation;
    if (path?.state !== 'valid' || generation === null) return false;
    const proof = new PathProof(this.#proofPolicy, this.#options.random(8), now);
    this.#proof = { path, generation, proof };
    this.#runProof(now);
    return true;
  }

  /** Ends a proof of this path, if one is under way, without an event. */
  abandonProof(id: string): void {
    this.#endProof(id);
  }

  /** A datagram of class STUN that came on a path, borrowed until the call returns. Never throws on any bytes. */
  receive(pathId: string, datagram: Uint8Array, now: number): void {
    const message = decodeStun(datagram);
    if (typeof message === 'string' || (message.fingerprintAt !== -1 && !verifyFingerprint(message))) {
      this.counters.malformed++;
      return;
    }
    const isSuccess = message.messageClass === stunClass.success;
    if ((!isSuccess && message.messageClass !== stunClass.error) || message.method !== stunMethod.Binding) {
      this.counters.ignored++;
      return;
    }
    const path = this.#paths.get(pathId);
    if (isSuccess && this.#answersProof(path, message, now)) return;
    const transaction = path?.find(message.transactionId) ?? null;
    if (path === undefined || transaction === null) {
      this.counters.unknownTransaction++;
      return;
    }
    if (!verifyMessageIntegrity(message, transaction.generation.key, this.#options.hmacSha1)) {
      this.counters.badIntegrity++;
      return;
    }
    if (isSuccess) this.#handleSuccess(path, transaction, message, now);
    else this.#handleError(path, transaction, message);
  }

  nextOutput(): IceOutput | null {
    return this.#outputs.shift() ?? null;
  }

  nextEvent(): IceClientEvent | null {
    return this.#events.shift() ?? null;
  }

  /** When to call `handleTimeout`; possibly in the past; null when there is nothing to wait for. */
  nextTimeout(): number | null {
    if (this.#generation === null) return null;
    let due = this.#proof?.proof.nextTimeout() ?? Infinity;
    for (const path of this.#paths.values()) {
      due = Math.min(due, path.nextTimeout());
      if (needsCheck(path)) due = Math.min(due, this.#nextPaceAt);
    }
    return due === Infinity ? null : due;
  }

  handleTimeout(now: number): void {
    const generation = this.#generation;
    if (generation === null) return;
    for (const path of this.#paths.values()) {
      if (now >= path.consentLostAt) {
        this.#fail(path, 'consent-lost');
        continue;
      }
      this.#repeatDue(path, now);
      if (now >= path.consentDueAt) {
        path.scheduleConsent(now, this.#jitter());
        this.#begin(path, generation, 'consent', now);
      }
    }
    if (now >= this.#nextPaceAt) this.#beginNextCheck(generation, now);
    this.#runProof(now);
  }

  get #proofPolicy(): ProofPolicy {
    return this.#options.proof ?? defaultProof;
  }

  #runProof(now: number): void {
    const running = this.#proof;
    if (running === null) return;
    const { path, generation, proof } = running;
    const transactionId = proof.next(now);
    if (transactionId !== null) {
      const datagram = this.#encode(path, generation, transactionId, null, this.#proofPolicy.datagramBytes);
      this.#outputs.push({ pathId: path.id, datagram });
    }
    const result = proof.verdict(now);
    if (result === null) return;
    this.#proof = null;
    this.#events.push({ type: 'proof', pathId: path.id, result });
  }

  /** True when the message was one, and is dealt with. */
  #answersProof(path: CheckedPath | undefined, message: StunMessage, now: number): boolean {
    const running = this.#proof;
    if (running === null || running.path !== path || !running.proof.awaits(message.transactionId)) return false;
    if (!verifyMessageIntegrity(message, running.generation.key, this.#options.hmacSha1)) {
      this.counters.badIntegrity++;
      return true;
    }
    this.counters.answers++;
    running.path.noteAnswer(now, this.#jitter());
    running.proof.answered(message.transactionId, message.bytes.length, now);
    this.#runProof(now);
    return true;
  }

  #endProof(id: string): void {
    if (this.#proof?.path.id === id) this.#proof = null;
  }

  #beginNextCheck(generation: Generation, now: number): void {
    for (const path of this.#paths.values()) {
      if (!needsCheck(path)) continue;
      this.#nextPaceAt = now + paceMs;
      path.checked = generation;
      this.#begin(path, generation, 'check', now);
      return;
    }
  }

  #repeatDue(path: CheckedPath, now: number): void {
    for (const transaction of path.transactions.slice()) {
      if (now < transaction.dueAt || path.state === 'failed') continue;
      const datagram = transaction.repeat(now);
      if (datagram !== null) {
        this.#outputs.push({ pathId: path.id, datagram });
        continue;
      }
      path.drop(transaction);
      if (transaction.purpose === 'nomination') this.#events.push({ type: 'nomination-failed', pathId: path.id });
      if (transaction.purpose === 'check') this.#fail(path, 'unanswered');
    }
  }

  #begin(path: CheckedPath, generation: Generation, purpose: TransactionPurpose, now: number): void {
    const transactionId = this.#options.random(12);
    const nomination = purpose === 'nomination' ? this.#nomination : null;
    const datagram = this.#encode(path, generation, transactionId, nomination, null);
    // RFC 7675: any answer within the consent's lifetime counts.
    const waitMs = purpose === 'consent' ? consentMs : path.rtoMs;
    path.transactions.push(new Transaction(purpose, transactionId, generation, datagram.slice(), waitMs, now));
    this.#outputs.push({ pathId: path.id, datagram });
  }

  #encode(
    { kind }: CheckedPath,
    generation: Generation,
    transactionId: Uint8Array,
    nomination: number | null,
    totalBytes: number | null,
  ): Uint8Array {
    const tieBreaker = this.#tieBreaker;
    const request = { transactionId, generation, kind, tieBreaker, nomination, totalBytes };
    return encodeCheckRequest(request, this.#options.hmacSha1);
  }

  #handleSuccess(path: CheckedPath, transaction: Transaction, message: StunMessage, now: number): void {
    // RFC 8489 section 6.3.3: such a response is discarded, as though it had not come.
    if (notUnderstood(message, understood).length > 0) {
      this.counters.malformed++;
      return;
    }
    this.counters.answers++;
    path.drop(transaction);
    path.noteAnswer(now, this.#jitter());
    if (transaction.generation === this.#generation && path.validated !== this.#generation) {
      path.validated = this.#generation;
      path.checked = this.#generation;
      path.dropAll('check');
      const mapped = xorAddress(message, stunAttribute.XOR_MAPPED_ADDRESS);
      this.#events.push({ type: 'validated', pathId: path.id, mapped });
    }
    const ms = transaction.roundTripMs(now);
    if (ms !== null) {
      path.noteRoundTrip(ms);
      this.#events.push({ type: 'round-trip', pathId: path.id, ms });
    }
    if (transaction.purpose === 'nomination') {
      const previous = this.#nominated;
      this.#nominated = path.id;
      // One nomination is under way at a time, so this is the last one made.
      this.#events.push({ type: 'nominated', pathId: path.id, previous, nomination: this.#nomination });
    }
  }

  #handleError(path: CheckedPath, transaction: Transaction, message: StunMessage): void {
    this.counters.errors++;
    if (errorCode(message)?.code === stunError.roleConflict.code) {
      // The peer is wrong about its role, and we do not yield: the request stays under way and is repeated.
      this.counters.roleConflicts++;
      return;
    }
    path.drop(transaction);
    if (transaction.purpose === 'nomination') this.#events.push({ type: 'nomination-failed', pathId: path.id });
    if (transaction.purpose === 'check') this.#fail(path, 'rejected');
  }

  #fail(path: CheckedPath, reason: IcePathFailure): void {
    const nominationLost = path.dropAll('nomination');
    path.fail();
    this.#endProof(path.id);
    if (this.#nominated === path.id) this.#nominated = null;
    if (nominationLost) this.#events.push({ type: 'nomination-failed', pathId: path.id });
    this.#events.push({ type: 'failed', pathId: path.id, reason });
  }

  /** In [0, 1). */
  #jitter(): number {
    return (this.#options.random(1)[0] as number) / 256;
  }
}

function needsCheck(path: CheckedPath): boolean {
  return path.checked === null && path.state !== 'failed';
}
