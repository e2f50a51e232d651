/**
 * TURN clients that come by the tunnel of a session, several to a tunnel: their messages in frames with the number of a flow.
 * A flow is the session's, and not of the connection that carries it: it goes on when another one does.
 */
import {
  isTurnFlowFrame,
  MediaLanes,
  putTurnFlowHeader,
  turnFlowHeaderBytes,
  turnFlowLimits,
  turnFlowMessage,
  turnFlowMeta,
  turnFlowOf,
  type Path,
  type TransportAddress,
} from '../tunnel-protocol/index.ts';
import type { TurnStream, TurnStreamInput } from '../turn/index.ts';

export interface TurnFlowsDeps {
  readonly turn: { accept(stream: TurnStream): TurnStreamInput | null };
  readonly refused: (reason: string) => void;
}

interface FlowSession {
  /** The connection that the last frame came on. */
  path: Path;
  readonly lanes: MediaLanes;
  readonly flows: Map<number, Flow>;
}

/** Memory for frames is cut from pieces of this size. */
const slabBytes = 65_536;

export class TurnFlows {
  readonly #deps: TurnFlowsDeps;
  readonly #sessions = new Map<string, FlowSession>();
  /** Keeps the five-tuples of flows apart: a connection of HTTP has no port that would. */
  #serial = 0;

  constructor(deps: TurnFlowsDeps) {
    this.#deps = deps;
  }

  /** Sessions that have flows. */
  get size(): number {
    return this.#sessions.size;
  }

  /** One frame of the session's tunnel, borrowed. False when it is none of TURN's. Runs for every datagram. */
  receive(sessionId: string, path: Path, frame: Uint8Array): boolean {
    if (!isTurnFlowFrame(frame)) return false;
    const session = this.#sessions.get(sessionId) ?? this.#open(sessionId, path);
    session.path = path;
    const number = turnFlowOf(frame);
    const message = turnFlowMessage(frame);
    const flow = session.flows.get(number);
    if (message.length > 0) (flow ?? this.#openFlow(session, number))?.input?.push(message);
    else if (flow !== undefined) {
      session.flows.delete(number);
      flow.input?.closed();
    }
    return true;
  }

  /** Idempotent. */
  endSession(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    this.#sessions.delete(sessionId);
    for (const flow of session.flows.values()) flow.input?.closed();
    session.flows.clear();
  }

  #open(sessionId: string, path: Path): FlowSession {
    const session = { path, lanes: new MediaLanes(), flows: new Map<number, Flow>() };
    this.#sessions.set(sessionId, session);
    return session;
  }

  #openFlow(session: FlowSession, number: number): Flow | null {
    if (session.flows.size >= turnFlowLimits.maxFlows) {
      this.#deps.refused('turn-flows');
      return null;
    }
    const flow = new Flow(session, number, ++this.#serial);
    const input = this.#deps.turn.accept(flow);
    if (input === null) {
      this.#deps.refused('turn-streams');
      flow.close();
      return null;
    }
    flow.input = input;
    session.flows.set(number, flow);
    return flow;
  }
}

class Flow implements TurnStream {
  /** Of the rungs it is this one: a reliable connection to the port of HTTPS that carries TURN. */
  readonly kind = 'turn-tls';
  readonly whole = true;
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  input: TurnStreamInput | null = null;
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  readonly #session: FlowSession;
  readonly #number: number;
  #start = 0;
  #end = 0;

  constructor(session: FlowSession, number: number, serial: number) {
    this.#session = session;
    this.#number = number;
    this.remote = session.path.remote;
    this.local = { address: '::', port: serial };
  }

  open(length: number): boolean {
    const size = turnFlowHeaderBytes + length;
    if (this.#end + size > this.bytes.length) {
      this.bytes = Buffer.allocUnsafeSlow(Math.max(size, slabBytes));
      this.#end = 0;
    }
    this.#start = this.#end;
    this.#end += size;
    putTurnFlowHeader(this.bytes, this.#start, this.#number);
    this.at = this.#start + turnFlowHeaderBytes;
    return true;
  }

  commit(): void {
    const frame = this.bytes.subarray(this.#start, this.#end);
    this.#session.path.send(frame, turnFlowMeta(this.#session.lanes, turnFlowMessage(frame)));
  }

  close(): void {
    if (this.#session.flows.get(this.#number) === this) this.#session.flows.delete(this.#number);
    if (this.open(0)) this.commit();
  }
}
