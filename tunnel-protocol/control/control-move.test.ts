/** A client that moves from one connection to another without leaving the first, at any moment, whichever frames are late. */
import fc from 'fast-check';
import t from 'tap';
import { ControlEndpoint } from './control-endpoint.ts';
import { controlType } from './control-frames.ts';
import { controlLimits } from './limits.ts';

interface Connection {
  toServer: Uint8Array[];
  toClient: Uint8Array[];
}

type Step =
  'client-sends' | 'server-sends' | 'to-server' | 'to-client' | 'new-to-server' | 'new-to-client' | 'move' | 'give-up';

/** Several of them pass before an acknowledgement leaves by itself. */
const stepMs = controlLimits.ackDelayMs / 4;

class Pair {
  readonly client = new ControlEndpoint({ role: 'client', now: 0 });
  readonly server = new ControlEndpoint({ role: 'server', now: 0 });
  readonly fromClient: string[] = [];
  readonly fromServer: string[] = [];
  readonly errors: string[] = [];
  #now = 0;
  #sent = { client: 0, server: 0 };
  #present: Connection = { toServer: [], toClient: [] };
  #next: Connection | null = null;
  /** The one that the server takes frames from. */
  #served: Connection = this.#present;

  constructor() {
    this.client.connected(this.#now);
    this.server.connected(this.#now);
    this.#pump();
  }

  get sent(): { readonly client: number; readonly server: number } {
    return this.#sent;
  }

  step(step: Step): void {
    this.#now += stepMs;
    const next = this.#next;
    if (step === 'client-sends') this.client.send(String(++this.#sent.client), this.#now);
    else if (step === 'server-sends') this.server.send(String(++this.#sent.server), this.#now);
    else if (step === 'to-server') this.#toServer(this.#present);
    else if (step === 'to-client') this.#toClient(this.#present);
    else if (step === 'move') this.#move();
    else if (next !== null) {
      if (step === 'new-to-server') this.#toServer(next);
      else if (step === 'new-to-client') this.#toClient(next);
      else this.#giveUp(next);
    }
    this.#pump();
  }

  /** Until nothing is on its way. */
  finish(): void {
    for (let i = 0; i < 1000; i++) {
      for (const step of ['new-to-server', 'new-to-client', 'to-server', 'to-client'] as const) this.step(step);
    }
  }

  #move(): void {
    if (this.#next !== null || !this.client.open) return;
    this.#next = { toServer: [this.client.beginMove()], toClient: [] };
  }

  #giveUp(next: Connection): void {
    this.#next = null;
    this.client.cancelMove();
    if (this.#served !== next) return;
    // The server has left the present one: both are lost.
    this.client.disconnected(this.#now);
    this.server.disconnected(this.#now);
    this.#present = { toServer: [], toClient: [] };
    this.#served = this.#present;
    this.client.connected(this.#now);
    this.server.connected(this.#now);
  }

  #toServer(connection: Connection): void {
    const frame = connection.toServer.shift();
    if (frame === undefined) return;
    if (connection !== this.#served) {
      if (frame[0] !== controlType.open) return;
      this.#served = connection;
      this.server.connected(this.#now);
    }
    this.#note(this.server.handle(frame, this.#now));
  }

  #toClient(connection: Connection): void {
    const frame = connection.toClient.shift();
    if (frame === undefined) return;
    if (connection === this.#next) {
      this.#present = connection;
      this.#next = null;
      this.client.moved(this.#now);
    }
    this.#note(this.client.handle(frame, this.#now));
  }

  #note(error: { readonly reason: string } | null): void {
    if (error !== null) this.errors.push(error.reason);
  }

  #pump(): void {
    for (let event = this.client.nextEvent(); event !== null; event = this.client.nextEvent()) {
      if (event.type === 'message') this.fromServer.push(event.text);
    }
    for (let event = this.server.nextEvent(); event !== null; event = this.server.nextEvent()) {
      if (event.type === 'message') this.fromClient.push(event.text);
    }
    for (let frame = this.client.nextOutput(this.#now); frame !== null; frame = this.client.nextOutput(this.#now)) {
      this.#present.toServer.push(frame);
    }
    for (let frame = this.server.nextOutput(this.#now); frame !== null; frame = this.server.nextOutput(this.#now)) {
      this.#served.toClient.push(frame);
    }
  }
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index + 1));

t.test('moves at any moment lose, double and reorder nothing', (t) => {
  const steps: readonly Step[] = ['client-sends', 'server-sends', 'to-server', 'to-client', 'new-to-server', 'new-to-client', 'move', 'give-up']; // prettier-ignore
  const step = fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...steps.slice(0, -1)) }, fc.constant(steps.at(-1) as Step)); // prettier-ignore
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (sequence) => {
      const pair = new Pair();
      for (const each of sequence) pair.step(each);
      pair.finish();
      const { client, server } = pair.sent;
      return (
        pair.errors.length === 0 &&
        JSON.stringify(pair.fromClient) === JSON.stringify(numbers(client)) &&
        JSON.stringify(pair.fromServer) === JSON.stringify(numbers(server)) &&
        pair.client.queuedBytes === 0 &&
        pair.server.queuedBytes === 0
      );
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('what comes while a move goes on is acknowledged after it', (t) => {
  const pair = new Pair();
  pair.finish();
  pair.step('move');
  pair.step('server-sends');
  pair.step('to-client');
  t.same(pair.fromServer, ['1']);
  pair.step('to-server');
  t.ok(pair.server.queuedBytes > 0, 'not on the old connection, where it might overtake `open`');
  pair.finish();
  t.same(pair.fromServer, ['1'], 'once');
  t.equal(pair.server.queuedBytes, 0);
  t.equal(pair.client.counters.duplicateFragments, 1);
  t.end();
});

t.test('a move that is called off: the acknowledgement follows', (t) => {
  const pair = new Pair();
  pair.finish();
  pair.step('move');
  pair.step('server-sends');
  pair.step('to-client');
  pair.step('give-up');
  pair.finish();
  t.same([pair.fromServer, pair.server.queuedBytes, pair.client.open], [['1'], 0, true]);
  t.end();
});
