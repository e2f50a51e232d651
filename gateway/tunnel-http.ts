/** `/tunnel/v1/stream` and `/tunnel/v1/poll`: tunnels for where no WebSocket passes, one request at a time. */
import {
  closeCodes,
  closingBody,
  ConnectionBook,
  decodeTextBody,
  exchangeLimits,
  headerOfQuery,
  maxTokenBytes,
  textBytes,
  type ExchangeCarrier,
  type ExchangeHeader,
} from '../tunnel-protocol/index.ts';
import type { ResumeClaims, TokenAuthority } from './auth.ts';
import { bearerToken } from './bearer.ts';
import { BodyCollector } from './body-collector.ts';
import type { GatewayCounters } from './counters.ts';
import { deferred } from './deferred-exchange.ts';
import { hintDrain } from './drain-hint.ts';
import type { EdgeNews } from './edge-news.ts';
import type { ExchangeEvents, HttpExchange, Reaction, RequestHead, StreamReaction } from './engine/index.ts';
import { ExchangePath } from './exchange-path.ts';
import { FlushQueue } from './flush-queue.ts';
import { HttpCall } from './http-call.ts';
import { OpenBodies, type OpenBody } from './open-bodies.ts';
import type { Origins } from './origins.ts';
import { attachRefusal, Problem, problem, problemReply, type HttpReply } from './problem.ts';
import type { Strays } from './strays.ts';
import type { TurnFlows } from './turn-flows.ts';
import type { Upstream } from './upstream/index.ts';

const carriers: ReadonlyMap<string, ExchangeCarrier> = new Map([
  ['/tunnel/v1/stream', 'http-stream'],
  ['/tunnel/v1/poll', 'long-poll'],
]);
const methods = ['GET', 'POST', 'OPTIONS'] as const;
/** A connection that ended answers requests for so long: they are told why, and get what was sent before. */
const lingerMs = 15_000;
/** So many of a session do; the oldest of more is forgotten. */
const maxLingering = 4;
const noBytes = new Uint8Array(0);

export interface TunnelHttpDeps {
  readonly upstream: Upstream;
  /** Takes the frames of TURN clients that come by tunnels; absent: nobody does. */
  readonly turnFlows?: Pick<TurnFlows, 'receive'>;
  readonly tokens: TokenAuthority;
  readonly origins: Origins;
  readonly counters: GatewayCounters;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Null: there are no other edges. */
  readonly strays: Strays | null;
}

/** A request whose header was understood. */
interface Incoming {
  readonly head: RequestHead;
  readonly carrier: ExchangeCarrier;
  readonly header: ExchangeHeader;
  /** As it came: what is passed on. Null: another edge did that already. */
  readonly original: RequestHead | null;
}

interface Ending {
  readonly path: ExchangePath;
  readonly wire: number;
  readonly until: number;
}

export class TunnelHttp {
  readonly #deps: TunnelHttpDeps;
  readonly #flushes = new FlushQueue();
  readonly #book = new ConnectionBook<ExchangePath>();
  readonly #open = new Set<ExchangePath>();
  readonly #bodies = new OpenBodies();
  /** By session, oldest first. */
  readonly #ending = new Map<string, Ending[]>();

  constructor(deps: TunnelHttpDeps) {
    this.#deps = deps;
  }

  get openTunnels(): number {
    return this.#open.size;
  }

  /** Connections that are over and still answer. */
  get lingeringTunnels(): number {
    let count = 0;
    for (const ending of this.#ending.values()) count += ending.length;
    return count;
  }

  /** Requests whose body is still to come whole. */
  get openBodies(): number {
    return this.#bodies.size;
  }

  /** Null when the path is none of these. */
  route(original: RequestHead): Reaction | StreamReaction | null {
    const carrier = carriers.get(original.path);
    if (carrier === undefined) return null;
    const { origins, strays } = this.#deps;
    const received = strays?.received(original) ?? null;
    const head = received ?? original;
    if (!origins.allows(head)) {
      return this.#refusing(
        carrier,
        head,
        problem('origin-not-allowed', "Name the page's origin in SALLYPORT_ORIGINS."),
      );
    }
    if (head.method === 'OPTIONS') {
      const headers = { ...origins.preflightHeaders(head, methods), allow: methods.join(', ') };
      return always({ status: 204, headers, body: '' });
    }
    if (head.method !== 'GET' && head.method !== 'POST') {
      const allow = methods.join(', ');
      return this.#refusing(carrier, head, problem('method-not-allowed', `Use one of ${allow}.`), { allow });
    }
    const header = headerOfQuery(head.query);
    if (header === null) {
      return this.#refusing(carrier, head, problem('bad-request', 'The query is not the header of an exchange.'));
    }
    const incoming = { head, carrier, header, original: received === null ? original : null };
    if (carrier === 'long-poll' && head.method === 'POST')
      return { stream: (exchange) => this.#post(incoming, exchange) };
    const claims = this.#sessionOf(bearerToken(head));
    if (claims instanceof Problem) return this.#refusing(carrier, head, claims);
    return {
      stream: (exchange) => this.#whereItIs(incoming, claims, exchange, () => this.#serve(incoming, claims, exchange)),
    };
  }

  /** Tells all clients to go on at one of these edges. */
  drain(edges: readonly string[], spreadMs: number): void {
    hintDrain(this.#open, edges, spreadMs);
  }

  /** To be called every second or so. */
  tellEdges(news: EdgeNews, nowMs: number): void {
    news.tell(this.#open, nowMs);
  }

  /** To be called every few seconds. */
  sweep(nowMs: number): void {
    for (const path of this.#open) path.checkStalled(nowMs);
    this.#bodies.sweep(nowMs);
    for (const [session, ending] of this.#ending) {
      while ((ending[0]?.until ?? Infinity) <= nowMs) this.#forgetOldest(session, ending);
      if (ending.length === 0) this.#ending.delete(session);
    }
    this.#book.sweep((session) => this.#deps.upstream.sessionLives(session));
  }

  #linger(session: string, path: ExchangePath, wire: number): void {
    const ending = this.#ending.get(session) ?? [];
    this.#ending.set(session, ending);
    ending.push({ path, wire, until: this.#deps.now() + lingerMs });
    if (ending.length > maxLingering) this.#forgetOldest(session, ending);
  }

  #forgetOldest(session: string, ending: Ending[]): void {
    const oldest = ending.shift();
    if (oldest === undefined) return;
    oldest.path.forget();
    this.#book.end(session, oldest.path.connection, oldest.wire);
  }

  /** Serves the request here, or has the edge do so that has its connection. */
  #whereItIs(
    { head, carrier, header, original }: Incoming,
    { session }: ResumeClaims,
    exchange: HttpExchange,
    here: () => ExchangeEvents,
  ): ExchangeEvents {
    const { strays } = this.#deps;
    const found = this.#book.find(session, header);
    const isKnown = found !== 'new' && found !== closeCodes.idle.wire;
    if (original === null && found instanceof ExchangePath) strays?.renew(session, header.connection, this.#deps.now());
    if (strays === null || original === null || isKnown) return here();
    const isFresh = found === 'new';
    const taker = strays
      .find(session, header.connection, isFresh)
      .then((where) => (where === 'here' ? here : () => strays.forward(original, exchange, where)));
    return deferred(taker, () => {
      exchange.reply(this.#refusal(carrier, head, problem('internal', 'The request could not be placed.')));
    });
  }

  /** A GET, or a POST whose body is read as it comes. */
  #serve(incoming: Incoming, claims: ResumeClaims, exchange: HttpExchange): ExchangeEvents {
    const { head, carrier, header } = incoming;
    const call = this.#call(incoming, exchange);
    const path = this.#pathFor(incoming, claims, call);
    if (path === null) return ignoring;
    const events = {
      drain: () => {
        path.drained(call);
      },
      aborted: () => {
        path.aborted(call);
      },
    };
    if (head.method === 'POST') return { ...events, data: path.upload(header, call) };
    if (carrier === 'http-stream') path.download(header, call);
    else path.request(header, noBytes, call);
    return { ...events, data: ignore };
  }

  /** A POST whose body is read as a whole, because it may be text, and may begin with the token that admits it. */
  #post(incoming: Incoming, exchange: HttpExchange): ExchangeEvents {
    const { head, header } = incoming;
    const isText = isTextType(head.header('content-type'));
    const token = bearerToken(head);
    let claims = token === null && isText ? null : this.#sessionOf(token);
    const body = new BodyCollector();
    let later: ExchangeEvents | null = null;
    let over = false;
    let open: OpenBody | null = null;
    const settle = (): void => {
      over = true;
      if (open !== null) this.#bodies.delete(open);
    };
    const refuse = (refusal: Problem): void => {
      settle();
      exchange.reply(this.#refusal(incoming.carrier, head, refusal));
    };
    const limit = isText ? maxTokenBytes + 1 + textBytes(exchangeLimits.maxBodyBytes) : exchangeLimits.maxBodyBytes;
    const take = (bytes: Uint8Array, isLast: boolean): void => {
      if (over) return;
      if (!body.add(bytes, limit)) {
        refuse(problem('payload-too-large', 'Send a smaller body.'));
        return;
      }
      // The token comes first, and nothing much is held for a client before it.
      if (claims === null && (isLast || body.bytes.length > maxTokenBytes || body.bytes.includes(lineFeed))) {
        claims = this.#sessionOf(leadingToken(body.bytes));
      }
      if (claims instanceof Problem) {
        refuse(claims);
        return;
      }
      const session = claims?.session ?? null;
      if (!isLast && (open === null || open.session !== session)) {
        if (open !== null) this.#bodies.delete(open);
        open = { since: open?.since ?? this.#deps.now(), session, refuse };
        const refusal = this.#bodies.add(open);
        if (refusal !== null) refuse(refusal);
      }
      if (!isLast || claims === null) return;
      const frames = isText ? decodeTextBody(body.bytes)?.body : body.bytes;
      if (frames === undefined) {
        refuse(problem('bad-request', 'The body is not base64.'));
        return;
      }
      settle();
      const admitted = claims;
      later = this.#whereItIs(incoming, admitted, exchange, () => {
        const call = this.#call(incoming, exchange);
        const path = this.#pathFor(incoming, admitted, call);
        path?.request(header, frames, call);
        return { data: ignore, drain: ignore, aborted: () => path?.aborted(call) };
      });
      later.data(body.bytes, true);
    };
    return {
      data: take,
      drain: () => later?.drain(),
      aborted: () => {
        settle();
        later?.aborted();
      },
    };
  }

  /** The connection that the request belongs to, made if it may make it; null when it is answered already. */
  #pathFor({ head, carrier, header }: Incoming, claims: ResumeClaims, call: HttpCall): ExchangePath | null {
    const found = this.#book.find(claims.session, header);
    if (typeof found === 'number') {
      call.answer(closingBody(header, found));
      return null;
    }
    const path = found === 'new' ? this.#attach(claims, carrier, header, head) : found;
    if (path.kind === carrier) return path;
    call.answer(closingBody(header, closeCodes['protocol-error'].wire));
    return null;
  }

  #attach(claims: ResumeClaims, carrier: ExchangeCarrier, header: ExchangeHeader, head: RequestHead): ExchangePath {
    const { upstream, counters, now, turnFlows } = this.#deps;
    const { session } = claims;
    const path = new ExchangePath({
      carrier,
      connection: header.connection,
      remote: { address: head.remoteAddress, port: 0 },
      receive: (from, datagram) => {
        if (turnFlows?.receive(session, from, datagram) !== true) upstream.receive(from, datagram);
      },
      traffic: carrier === 'long-poll' ? counters.longPoll : counters.httpStream,
      flushes: this.#flushes,
      now,
      ended: (ended, wire) => {
        this.#open.delete(ended);
        upstream.detach(ended);
        this.#linger(session, ended, wire);
      },
    });
    counters.httpTunnels[carrier].accepted++;
    this.#book.add(session, header, path);
    this.#open.add(path);
    upstream.attach(claims, path);
    return path;
  }

  #sessionOf(token: string | null): ResumeClaims | Problem {
    const { tokens, upstream } = this.#deps;
    if (token === null) {
      return problem('token-missing', 'Prove the session by its resume token, as Authorization: Bearer.');
    }
    const claims = tokens.verifyResumeToken(token);
    if (claims === null) return problem('token-invalid', 'This is not a resume token of this server.');
    return attachRefusal(upstream.mayAttach(claims)) ?? claims;
  }

  #call({ head, carrier }: Incoming, exchange: HttpExchange): HttpCall {
    const asText = carrier === 'long-poll' && isTextType(head.header('accept'));
    return new HttpCall(exchange, asText, this.#deps.origins.corsHeaders(head));
  }

  #refusing(
    carrier: ExchangeCarrier,
    head: RequestHead,
    refusal: Problem,
    headers: Readonly<Record<string, string>> = {},
  ): Reaction {
    const reply = this.#refusal(carrier, head, refusal);
    return always({ ...reply, headers: { ...reply.headers, ...headers } });
  }

  #refusal(carrier: ExchangeCarrier, head: RequestHead, refusal: Problem): HttpReply {
    const { counters, origins } = this.#deps;
    counters.refuse(refusal.code);
    counters.httpTunnels[carrier].refused++;
    return problemReply(refusal, origins.corsHeaders(head));
  }
}

const lineFeed = 0x0a;

/** Null when there is none within the first {@link maxTokenBytes}. */
function leadingToken(text: Uint8Array): string | null {
  const end = text.subarray(0, maxTokenBytes + 1).indexOf(lineFeed);
  return end <= 0 ? null : Buffer.from(text.buffer, text.byteOffset, end).toString('latin1');
}

/** Whether the first media type of the header is text/plain. */
function isTextType(header: string): boolean {
  return /^\s*text\/plain\s*(?:[;,]|$)/i.test(header);
}

/** A body that nobody wants is read and forgotten up to here, so that the connection stays usable. */
const ignoredBodyBytes = 65_536;

function always(reply: HttpReply): Reaction {
  return { maxBodyBytes: ignoredBodyBytes, handle: () => reply };
}

function ignore(): void {
  // Nothing is to be done.
}

const ignoring: ExchangeEvents = { data: ignore, drain: ignore, aborted: ignore };
