/** One client of the agent: its requests on their way to the server and back, and its datagrams. */
import {
  addErrorCode,
  decodeStun,
  errorCode,
  stunAttribute,
  stunClass,
  StunBuilder,
  stunError,
  stunMethod,
  turnFlowLimits,
  u16,
  type StunMessage,
} from '../../tunnel-protocol/index.ts';
import { turnLifetime } from '../config.ts';
import { attributesOf, writeMessage, type Attribute, type MessageHead } from './resign.ts';
import { answerBinding, mayAsk } from './strangers.ts';
import { longTermKey, turnAgentLimits, type AgentLink, type AgentShared } from './shared.ts';

/** What the server has not answered yet. */
interface Pending {
  readonly head: MessageHead;
  readonly attributes: readonly Attribute[];
  readonly fingerprint: boolean;
  readonly since: number;
  attempts: number;
}

const channelDataHeaderBytes = 4;

export class AgentClient {
  readonly flow: number;
  readonly link: AgentLink;
  readonly #shared: AgentShared;
  readonly #pending = new Map<string, Pending>();
  /** Null without an allocation. */
  #expiresAt: number | null = null;
  #idleSince: number;

  constructor(flow: number, link: AgentLink, shared: AgentShared) {
    this.flow = flow;
    this.link = link;
    this.#shared = shared;
    this.#idleSince = shared.deps.now();
  }

  get allocated(): boolean {
    return this.#expiresAt !== null;
  }

  /** One message of the client, borrowed. Runs for every datagram. */
  receive(bytes: Uint8Array): void {
    const { counters } = this.#shared;
    const first = bytes[0] ?? 0xff;
    if (first >= 0x40 && first < 0x80) {
      const length = bytes.length < channelDataHeaderBytes ? -1 : u16(bytes, 2);
      const end = channelDataHeaderBytes + length;
      // Three bytes of padding are the most there can be.
      if (length < 0 || bytes.length < end || bytes.length > end + 3) counters.malformed++;
      else this.#relay(bytes.subarray(0, end));
      return;
    }
    const message = first < 4 ? decodeStun(bytes) : 'no-turn';
    if (typeof message === 'string') counters.malformed++;
    else if (message.messageClass === stunClass.indication) this.#relay(bytes);
    else if (message.messageClass !== stunClass.request) counters.malformed++;
    else if (message.method === stunMethod.Binding) answerBinding(this.#shared, this.link, message);
    else if (mayAsk(this.#shared, this.link, message)) this.#ask(message);
  }

  /** One message of the server, borrowed. Runs for every datagram. */
  fromServer(bytes: Uint8Array): void {
    const { counters } = this.#shared;
    if ((bytes[0] as number) >= 0x40) {
      this.#toClient(bytes);
      return;
    }
    const message = decodeStun(bytes);
    if (typeof message === 'string') counters.malformed++;
    else if (message.messageClass === stunClass.indication) this.#toClient(bytes);
    else this.#answered(message);
  }

  resend(): void {
    for (const pending of this.#pending.values()) this.#send(pending);
  }

  /** Takes out what has expired. True when the client itself has. */
  expire(now: number): boolean {
    for (const [id, { since }] of this.#pending) {
      if (now - since >= turnAgentLimits.pendingMs) this.#pending.delete(id);
    }
    if (this.#expiresAt !== null && now >= this.#expiresAt) this.#lost(now);
    return this.#expiresAt === null && now - this.#idleSince >= turnAgentLimits.idleMs;
  }

  #relay(message: Uint8Array): void {
    const { counters, deps } = this.#shared;
    if (this.#expiresAt === null) counters.dropped_no_allocation++;
    else if (message.length > turnFlowLimits.maxMessageBytes) counters.malformed++;
    else if (deps.send(this.flow, message)) counters.relayed_to_edge++;
    else counters.dropped_no_tunnel++;
  }

  #toClient(bytes: Uint8Array): void {
    this.#shared.counters.relayed_to_client++;
    this.link.send(bytes);
  }

  #ask(message: StunMessage): void {
    const { counters, deps } = this.#shared;
    const id = Buffer.from(message.transactionId).toString('hex');
    // A retransmission: the way to the server is reliable, and its answer will come.
    if (this.#pending.has(id)) return;
    counters.requests++;
    if (this.#pending.size >= turnAgentLimits.pendingPerClient) return;
    const { messageClass, method } = message;
    const pending: Pending = {
      head: { messageClass, method, transactionId: new Uint8Array(message.transactionId) },
      attributes: attributesOf(message),
      fingerprint: message.fingerprintAt !== -1,
      since: deps.now(),
      attempts: 0,
    };
    this.#pending.set(id, pending);
    this.#send(pending);
  }

  /** What finds no way waits for {@link resend}. */
  #send({ head, attributes }: Pending): void {
    const { server, deps } = this.#shared;
    if (server === null) return;
    const { username, realm, nonce, key } = server;
    const signature = nonce === '' ? null : { key, as: { username, realm, nonce } };
    deps.send(this.flow, writeMessage(head, attributes, signature));
  }

  #answered(answer: StunMessage): void {
    const { counters, key } = this.#shared;
    const id = Buffer.from(answer.transactionId).toString('hex');
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.head.method !== answer.method) return;
    const code = answer.messageClass === stunClass.error ? (errorCode(answer)?.code ?? 0) : null;
    if (code === stunError.unauthenticated.code || code === stunError.staleNonce.code) {
      if (++pending.attempts < turnAgentLimits.attempts && this.#learn(answer)) {
        this.#send(pending);
        return;
      }
      this.#pending.delete(id);
      this.#refuse(pending);
      return;
    }
    this.#pending.delete(id);
    counters.answers++;
    this.#note(answer, code);
    const { method, transactionId } = pending.head;
    const { fingerprint } = pending;
    const head = { messageClass: answer.messageClass, method, transactionId };
    this.link.send(writeMessage(head, attributesOf(answer), { key, fingerprint }));
  }

  /** The server wants a signature, or another nonce in it. */
  #learn(answer: StunMessage): boolean {
    const { server } = this.#shared;
    const realm = answer.text(stunAttribute.REALM);
    const nonce = answer.text(stunAttribute.NONCE);
    if (server === null || realm === null || nonce === null || nonce === '') return false;
    if (realm !== server.realm) server.key = longTermKey(server.username, realm, server.credential);
    server.realm = realm;
    server.nonce = nonce;
    return true;
  }

  /** The session's credentials are no good any more, which is nothing that the client's could help. */
  #refuse({ head, fingerprint }: Pending): void {
    const { counters, key } = this.#shared;
    counters.refused_by_edge++;
    const reason = new StunBuilder(stunClass.error, head.method, head.transactionId);
    addErrorCode(reason, stunError.serverError);
    const message = decodeStun(reason.take());
    if (typeof message === 'string') return;
    this.link.send(
      writeMessage({ ...head, messageClass: stunClass.error }, attributesOf(message), { key, fingerprint }),
    );
  }

  /** What an answer means for the allocation. */
  #note(answer: StunMessage, code: number | null): void {
    const now = this.#shared.deps.now();
    const { method } = answer;
    if (code === stunError.allocationMismatch.code && method !== stunMethod.Allocate) this.#lost(now);
    if (code !== null || (method !== stunMethod.Allocate && method !== stunMethod.Refresh)) return;
    const seconds = answer.u32(stunAttribute.LIFETIME) ?? turnLifetime.default;
    if (seconds === 0) this.#lost(now);
    else this.#expiresAt = now + seconds * 1000;
  }

  #lost(now: number): void {
    this.#expiresAt = null;
    this.#idleSince = now;
  }
}
