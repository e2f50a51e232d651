/**
 * A client and a server endpoint on a virtual clock, with connections that break at any moment: frames in flight are
 * delivered up to some point and then lost, and either end may learn of the loss later than the other. For tests.
 */
import type { ControlEndpointOptions, ControlEvent, ControlRole } from './control-endpoint.ts';
import { ControlEndpoint } from './control-endpoint.ts';
import type { ControlError } from './errors.ts';

interface Flight {
  readonly at: number;
  readonly frame: Uint8Array;
}

interface End {
  readonly role: ControlRole;
  readonly endpoint: ControlEndpoint;
  /** Connection this end is on, 0 when it has none. */
  connection: number;
  /** Frames on their way to this end. */
  inbound: Flight[];
  readonly texts: string[];
  readonly events: ControlEvent[];
  readonly errors: ControlError[];
  /** A busy application leaves its events where they are. */
  busy: boolean;
}

export class VirtualPair {
  now = 1000;
  latencyMs = 20;
  readonly client: End;
  readonly server: End;
  #connections = 0;
  /** The connection that carries frames; 0 when none does. */
  #alive = 0;

  constructor(options: { client?: Partial<ControlEndpointOptions>; server?: Partial<ControlEndpointOptions> } = {}) {
    this.client = makeEnd('client', { ...options.client, role: 'client', now: this.now });
    this.server = makeEnd('server', { ...options.server, role: 'server', now: this.now });
  }

  /** Both ends get a new connection; whoever had not noticed the loss of the old one is not told of it either. */
  connect(): void {
    this.#connections += 1;
    this.#alive = this.#connections;
    for (const end of [this.client, this.server]) {
      end.inbound = [];
      end.connection = this.#alive;
      end.endpoint.connected(this.now);
    }
    this.settle();
  }

  /** Breaks the connection. Of the frames in flight each end still gets so many. */
  cut(clientStillGets: number, serverStillGets: number): void {
    this.#alive = 0;
    this.client.inbound.splice(clientStillGets);
    this.server.inbound.splice(serverStillGets);
  }

  /** An end learns that its connection is gone; what was still on the way to it is lost. */
  notice(end: End): void {
    if (end.connection === this.#alive) this.#alive = 0;
    end.connection = 0;
    end.inbound = [];
    end.endpoint.disconnected(this.now);
    this.settle();
  }

  /** Lets time pass: delivers frames and fires timers in the order of their times. */
  advance(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      let next = Infinity;
      for (const end of [this.client, this.server]) {
        next = Math.min(next, end.inbound[0]?.at ?? Infinity, end.endpoint.nextTimeout() ?? Infinity);
      }
      if (next > until) break;
      this.now = Math.max(this.now, next);
      for (const end of [this.client, this.server]) {
        if ((end.endpoint.nextTimeout() ?? Infinity) <= this.now) end.endpoint.handleTimeout(this.now);
        if ((end.inbound[0]?.at ?? Infinity) <= this.now) this.#deliver(end);
      }
      this.settle();
    }
    this.now = until;
  }

  /** Drains events and outputs of both ends. */
  settle(): void {
    this.#drain(this.client, this.server);
    this.#drain(this.server, this.client);
  }

  #deliver(end: End): void {
    const flight = end.inbound.shift();
    if (flight === undefined) return;
    const error = end.endpoint.handle(flight.frame, this.now);
    // Frames are borrowed: an endpoint that kept one would now see junk.
    flight.frame.fill(0xff);
    if (error !== null) end.errors.push(error);
  }

  #drain(end: End, peer: End): void {
    while (!end.busy) {
      const event = end.endpoint.nextEvent();
      if (event === null) break;
      if (event.type === 'message') end.texts.push(event.text);
      else end.events.push(event);
    }
    for (let frame = end.endpoint.nextOutput(this.now); frame !== null; frame = end.endpoint.nextOutput(this.now)) {
      const carried = end.connection !== 0 && end.connection === this.#alive;
      if (carried) peer.inbound.push({ at: this.now + this.latencyMs, frame });
    }
  }
}

function makeEnd(role: ControlRole, options: ControlEndpointOptions): End {
  return {
    role,
    endpoint: new ControlEndpoint(options),
    connection: 0,
    inbound: [],
    texts: [],
    events: [],
    errors: [],
    busy: false,
  };
}
