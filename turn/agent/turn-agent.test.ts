/** The agent between its clients and a real TURN server of this folder, on a virtual clock, without a socket between. */
import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import t from 'tap';
import {
  addMessageIntegrity,
  decodeStun,
  errorCode,
  stunAttribute,
  stunClass,
  StunBuilder,
  stunMethod,
  xorAddress,
  type StunMessage,
} from '../../tunnel-protocol/index.ts';
import { createTurnCredentials, hmacSha1 } from '../credentials.ts';
import type { TurnStreamInput } from '../stream-clients.ts';
import { createTurnServer, type TurnServer } from '../turn-server.ts';
import { longTermKey, turnAgentLimits, type AgentLink } from './shared.ts';
import { TurnAgent } from './turn-agent.ts';

const realm = 'agent';
const own = { username: 'user', credential: 'password' };
const secret = 'of the server';

class World {
  now = 0;
  /** Whether messages to the server arrive. */
  connected = true;
  readonly server: TurnServer;
  readonly agent: TurnAgent;
  readonly #flows = new Map<number, TurnStreamInput | null>();

  constructor() {
    const quiet = (): void => undefined;
    this.server = createTurnServer(
      { realm: 'edge', secret, relay: { ipv4: { advertised: '192.0.2.1', bind: '192.0.2.1' } }, sfuAddresses: [] },
      {
        now: () => this.now,
        wallClock: () => this.now,
        log: { info: quiet, warn: quiet, error: quiet },
        sessionLives: (id) => id !== 'gone',
        sfu: { receive: quiet },
      },
    );
    this.agent = new TurnAgent(
      { realm, ...own },
      { now: () => this.now, random: randomBytes, send: (flow, message) => this.#toServer(flow, message) },
    );
  }

  login(session: string): void {
    this.agent.setServer(createTurnCredentials(secret, session, 1_000_000));
  }

  #toServer(flow: number, message: Uint8Array): boolean {
    if (!this.connected) return false;
    if (message.length === 0) {
      this.#flows.get(flow)?.closed();
      this.#flows.delete(flow);
      return true;
    }
    let input = this.#flows.get(flow);
    if (input === undefined) {
      let bytes = new Uint8Array(0);
      input = this.server.acceptStream({
        kind: 'turn-tls',
        remote: { address: '198.51.100.7', port: 0 },
        local: { address: '::', port: flow },
        whole: true,
        at: 0,
        get bytes() {
          return bytes;
        },
        open: (length) => {
          bytes = new Uint8Array(length);
          return true;
        },
        commit: () => {
          this.agent.fromServer(flow, bytes);
        },
        close: () => {
          this.agent.fromServer(flow, new Uint8Array(0));
        },
      });
      this.#flows.set(flow, input);
    }
    input?.push(message);
    return true;
  }
}

class Client {
  readonly answers: StunMessage[] = [];
  ended = false;
  readonly link: AgentLink;
  readonly #world: World;
  #nonce = '';

  constructor(world: World, port: number, isStream = false) {
    this.#world = world;
    this.link = {
      remote: { address: '127.0.0.1', port },
      isStream,
      client: null,
      send: (message) => {
        const decoded = decodeStun(new Uint8Array(message));
        if (typeof decoded !== 'string') this.answers.push(decoded);
      },
      end: () => {
        this.ended = true;
      },
    };
  }

  request(method: number, password = own.credential, id: Uint8Array = randomBytes(12)): Uint8Array {
    const builder = new StunBuilder(stunClass.request, method, id);
    if (method === stunMethod.Allocate) builder.u32(stunAttribute.REQUESTED_TRANSPORT, 17 << 24);
    if (this.#nonce !== '') {
      builder.text(stunAttribute.USERNAME, own.username).text(stunAttribute.REALM, realm);
      builder.text(stunAttribute.NONCE, this.#nonce);
      addMessageIntegrity(builder, longTermKey(own.username, realm, password), hmacSha1);
    }
    return builder.take();
  }

  /** The error's code, or null; undefined without an answer. */
  ask(bytes: Uint8Array): number | null | undefined {
    const before = this.answers.length;
    this.#world.agent.receive(this.link, bytes);
    if (this.answers.length === before) return undefined;
    const answer = this.answers.at(-1) as StunMessage;
    this.#nonce = answer.text(stunAttribute.NONCE) ?? this.#nonce;
    return answer.messageClass === stunClass.success ? null : (errorCode(answer)?.code ?? -1);
  }

  allocate(): number | null | undefined {
    this.ask(this.request(stunMethod.Allocate));
    return this.ask(this.request(stunMethod.Allocate));
  }
}

t.test('an allocation of the server, with credentials of the agent', (t) => {
  const world = new World();
  world.login('session');
  const client = new Client(world, 5000);
  t.equal(client.ask(client.request(stunMethod.Allocate)), 401);
  t.equal(client.answers[0]?.text(stunAttribute.REALM), realm, 'the challenge is the agent’s');
  t.equal(client.link.client, null, 'of a stranger nothing is kept');
  t.equal(client.ask(client.request(stunMethod.Allocate, 'guess')), 401);
  t.equal(client.ask(client.request(stunMethod.Allocate)), null);
  const answer = client.answers.at(-1) as StunMessage;
  t.equal(xorAddress(answer, stunAttribute.XOR_RELAYED_ADDRESS)?.address, '192.0.2.1');
  t.not(answer.integrityAt, -1);
  t.equal(world.server.allocations, 1);
  t.equal(world.agent.allocations, 1);
  t.equal(client.ask(client.request(stunMethod.Binding)), null, 'Binding is the agent’s own');
  t.equal(xorAddress(client.answers.at(-1) as StunMessage, stunAttribute.XOR_MAPPED_ADDRESS)?.port, 5000);
  world.agent.closed(client.link);
  t.equal(world.server.allocations, 0, 'it ends with its client');
  t.end();
});

t.test('what the server asks of the agent, its clients never hear of', (t) => {
  const world = new World();
  world.login('session');
  const client = new Client(world, 5000);
  t.equal(client.allocate(), null);
  world.now += 3_500_000;
  client.ask(client.request(stunMethod.Refresh));
  world.now += 200_000;
  t.equal(client.ask(client.request(stunMethod.Refresh)), 438, 'a stale nonce of the agent');
  t.not(client.ask(client.request(stunMethod.Refresh)), 438, 'and one of the server, which the agent sees to');
  world.login('gone');
  t.ok(client.ended, 'another session: the allocation is lost');
  const next = new Client(world, 5001);
  t.equal(next.allocate(), 500, 'a session that the server does not know is no fault of the client’s');
  world.login('another');
  t.equal(new Client(world, 5002).allocate(), null);
  t.end();
});

t.test('requests wait for a way to the server', (t) => {
  const world = new World();
  const client = new Client(world, 5000, true);
  client.ask(client.request(stunMethod.Allocate));
  const request = client.request(stunMethod.Allocate);
  t.equal(client.ask(request), undefined, 'there is no session yet');
  t.equal(client.ask(request), undefined, 'a retransmission is the same request');
  t.equal(world.agent.counters.requests, 1);
  world.login('session');
  world.agent.resend();
  t.equal(client.answers.at(-1)?.messageClass, stunClass.success, 'asked when there is one');
  world.connected = false;
  const second = new Client(world, 5001, true);
  t.equal(second.allocate(), undefined);
  world.connected = true;
  world.agent.resend();
  t.equal(second.answers.at(-1)?.messageClass, stunClass.success, 'asked again when the tunnel is back');
  t.end();
});

t.test('limits', (t) => {
  const world = new World();
  world.login('session');
  const clients = Array.from({ length: turnAgentLimits.clients + 1 }, (_, i) => new Client(world, 1000 + i));
  for (const client of clients) {
    client.ask(client.request(stunMethod.Refresh));
    client.ask(client.request(stunMethod.Refresh));
    world.now += 20;
  }
  t.equal(world.agent.clients, turnAgentLimits.clients);
  t.equal(world.agent.counters.clients_refused, 1);
  world.now += turnAgentLimits.idleMs;
  world.agent.tick(world.now);
  t.equal(world.agent.clients, 0, 'without allocations they are forgotten');
  for (let i = 0; i < 1000; i++) new Client(world, 2000).ask(new Client(world, 2000).request(stunMethod.Binding));
  t.ok(world.agent.counters.rate_limited > 0, 'strangers are answered so often and no oftener');
  t.end();
});

t.test('any bytes, of clients and of the server', (t) => {
  const world = new World();
  world.login('session');
  const client = new Client(world, 5000);
  t.equal(client.allocate(), null);
  const flow = client.link.client?.flow ?? 0;
  const first = fc.constantFrom(0, 1, 0x40, 0x4f, 0x7f, 0xf0);
  const bytes = fc.tuple(first, fc.uint8Array({ maxLength: 2100 })).map(([head, rest]) => Buffer.from([head, ...rest]));
  fc.assert(
    fc.property(bytes, fc.boolean(), (message, fromServer) => {
      if (fromServer) world.agent.fromServer(flow, message);
      else world.agent.receive(client.link, message);
    }),
    { numRuns: 500 },
  );
  t.ok(world.agent.counters.malformed > 0);
  t.equal(world.agent.allocations, 1, 'none of it did harm');
  t.end();
});
