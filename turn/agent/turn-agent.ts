/**
 * A TURN server that has no relay of its own: it knows its clients by credentials of its own, and hands their requests to a
 * TURN server elsewhere, signed with what that one gave. Everything else passes as it is, both ways. No sockets: the clients'
 * listeners and the way to the server are others' business. Its clients keep their credentials when the server is another one.
 */
import { u32 } from '../../tunnel-protocol/index.ts';
import { Nonces } from '../nonce.ts';
import { ReplyLimiter } from '../reply-limiter.ts';
import { AgentClient } from './agent-client.ts';
import {
  longTermKey,
  turnAgentCounts,
  turnAgentLimits,
  type AgentCredentials,
  type AgentLink,
  type AgentShared,
  type TurnAgentCounters,
  type TurnAgentDeps,
  type TurnAgentOptions,
} from './shared.ts';
import { answerStranger } from './strangers.ts';

const noKey = new Uint8Array(16);

export class TurnAgent {
  readonly counters = Object.fromEntries(turnAgentCounts.map((name) => [name, 0])) as TurnAgentCounters;
  readonly #shared: AgentShared;
  readonly #clients = new Map<number, AgentClient>();
  #lastFlow = 0;

  constructor(options: TurnAgentOptions, deps: TurnAgentDeps) {
    const { nonceLifetimeMs, repliesPerSecondPerPrefix, repliesPerSecond } = turnAgentLimits;
    const { random, now } = deps;
    this.#shared = {
      options,
      deps,
      counters: this.counters,
      nonces: new Nonces(random(32), nonceLifetimeMs),
      limiter: new ReplyLimiter(repliesPerSecondPerPrefix, repliesPerSecond, u32(random(4), 0), now()),
      key: longTermKey(options.username, options.realm, options.credential),
      server: null,
    };
  }

  get clients(): number {
    return this.#clients.size;
  }

  get allocations(): number {
    let count = 0;
    for (const client of this.#clients.values()) if (client.allocated) count++;
    return count;
  }

  /** The session at the edge is another one, or there is none: allocations at the one before are lost, and their clients told. */
  setServer(credentials: AgentCredentials | null): void {
    // Where there was none, clients have nothing to lose, and what they asked waits for `resend`.
    if (this.#shared.server !== null) for (const client of [...this.#clients.values()]) this.#end(client);
    this.#shared.server = credentials === null ? null : { ...credentials, realm: '', nonce: '', key: noKey };
  }

  /** The way to the server was interrupted: what it has not answered is asked again. */
  resend(): void {
    for (const client of this.#clients.values()) client.resend();
  }

  /** One message of a client, or of a stranger; borrowed. Never throws. */
  receive(link: AgentLink, message: Uint8Array): void {
    if (link.client !== null) {
      link.client.receive(message);
      return;
    }
    if (!answerStranger(this.#shared, link, message)) return;
    const client = this.#admit(link);
    if (client === null) this.counters.clients_refused++;
    else client.receive(message);
  }

  /** The connection of the client is gone. */
  closed(link: AgentLink): void {
    const { client } = link;
    if (client === null) return;
    this.#shared.deps.send(client.flow, nothing);
    this.#end(client);
  }

  /** A message of the server; borrowed. An empty one: it has ended the flow. Never throws. */
  fromServer(flow: number, message: Uint8Array): void {
    const client = this.#clients.get(flow);
    if (client === undefined) return;
    if (message.length === 0) this.#end(client);
    else client.fromServer(message);
  }

  /** To be called about once a second. */
  tick(now: number): void {
    for (const client of [...this.#clients.values()]) {
      if (!client.expire(now)) continue;
      this.#shared.deps.send(client.flow, nothing);
      this.#end(client);
    }
  }

  /** Ends the flows of all clients. */
  close(): void {
    for (const client of [...this.#clients.values()]) {
      this.#shared.deps.send(client.flow, nothing);
      this.#end(client);
    }
    this.#shared.server = null;
  }

  #admit(link: AgentLink): AgentClient | null {
    if (this.#clients.size >= turnAgentLimits.clients) return null;
    do this.#lastFlow = (this.#lastFlow % 0xffff) + 1;
    while (this.#clients.has(this.#lastFlow));
    const client = new AgentClient(this.#lastFlow, link, this.#shared);
    this.#clients.set(client.flow, client);
    link.client = client;
    return client;
  }

  #end(client: AgentClient): void {
    if (!this.#clients.delete(client.flow)) return;
    this.counters.clients_ended++;
    client.link.client = null;
    client.link.end();
  }
}

const nothing = new Uint8Array(0);
