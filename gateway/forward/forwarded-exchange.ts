/** One request on its way to an upstream, and the answer on its way back. */
import type { IncomingMessage } from 'node:http';
import type { HttpExchange } from '../engine/index.ts';
import { problem, problemReply, type HttpReply, type Problem, type ProblemCode } from '../problem.ts';
import { announcedBytes, downstreamHead } from './downstream-head.ts';
import { proxyWeb, RequestSide, ResponseSide, UpstreamRequest, type ProxyError } from './proxy-sides.ts';
import type { AgentKind, PinnedOptions, UpstreamAgents } from './upstream-agents.ts';
import type { ForwardTarget, UpstreamHead } from './upstream-head.ts';

export type Ending = 'answered' | 'aborted' | ProblemCode;

export interface ExchangeRules {
  readonly connectTimeoutMs: number;
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
  readonly maxWaitingBytes: number;
  /** Called once. */
  readonly ended: (ending: Ending) => void;
}

/** An answer that is announced as no longer is given whole: if its upstream dies halfway, the client still gets a 502. */
const maxWholeBytes = 65_536;
const maxHeaderBytes = 8192;
const incomprehensible = 'The server behind this one gave an answer that cannot be passed on.';

export class ForwardedExchange {
  readonly #head: UpstreamHead;
  readonly #client: HttpExchange;
  readonly #target: ForwardTarget;
  readonly #agents: UpstreamAgents;
  readonly #rules: ExchangeRules;
  #request: RequestSide;
  #response = new ResponseSide();
  #upstream: UpstreamRequest | null = null;
  #fromUpstream: IncomingMessage | null = null;
  #receivedBytes = 0;
  #retried = false;
  #over = false;
  #timer: NodeJS.Timeout;

  constructor(
    head: UpstreamHead,
    client: HttpExchange,
    target: ForwardTarget,
    agents: UpstreamAgents,
    rules: ExchangeRules,
  ) {
    this.#head = head;
    this.#client = client;
    this.#target = target;
    this.#agents = agents;
    this.#rules = rules;
    this.#request = new RequestSide(head.method, head.path);
    this.#timer = this.#silenceTimer(rules.connectTimeoutMs);
  }

  start(): void {
    this.#attempt(false);
  }

  /** The bytes are borrowed. */
  data(bytes: Uint8Array, isLast: boolean): void {
    if (this.#over) return;
    const { hasBody, method, announcedBytes: announced } = this.#head;
    const { maxBodyBytes, maxWaitingBytes } = this.#rules;
    this.#receivedBytes += bytes.length;
    const received = this.#receivedBytes;
    if (!hasBody) {
      if (received > 0) this.#fail(problem('bad-request', `A request by ${method} has no content here.`));
      return;
    }
    if (received > maxBodyBytes) {
      this.#fail(problem('payload-too-large', 'Send a smaller body.'));
      return;
    }
    if (announced !== null && (received > announced || (isLast && received < announced))) {
      this.#fail(problem('bad-request', 'The content is not as long as the request says.'));
      return;
    }
    if (this.#upstream?.writable === true) this.#timer.refresh();
    if (bytes.length > 0) this.#request.push(Buffer.from(bytes));
    if (isLast) this.#request.push(null);
    if (this.#request.readableLength + (this.#upstream?.writableLength ?? 0) > maxWaitingBytes) {
      this.#fail(problem('upstream-failed', 'The server behind this one takes the content too slowly.'));
    }
  }

  drain(): void {
    if (this.#over) return;
    this.#timer.refresh();
    this.#fromUpstream?.resume();
  }

  /** The client is gone. */
  aborted(): void {
    this.#end('aborted');
  }

  /** The Forwarder is. */
  close(): void {
    this.#fail(problem('upstream-failed', 'This server is being stopped.'));
  }

  #attempt(fresh: boolean): void {
    const { method, path, headers } = this.#head;
    const { at, tls } = this.#target;
    const where = 'socketPath' in at ? { socketPath: at.socketPath } : { host: at.host, port: at.port };
    const secured = securityOf(tls);
    proxyWeb(this.#request, this.#response, {
      onReq: () => {
        const upstream = new UpstreamRequest({
          ...where,
          ...secured,
          protocol: tls === null ? 'http:' : 'https:',
          method,
          path,
          headers,
          agent: this.#agents.agent(kindOf(tls), fresh),
          maxHeaderSize: maxHeaderBytes,
        });
        this.#upstream = upstream;
        // http2-proxy listens as well, but only a moment later.
        upstream.on('error', ignore);
        upstream.onceUpgraded(() => {
          this.#fail(problem('upstream-failed', incomprehensible));
        });
        upstream.once('socket', (socket) => {
          if (!socket.connecting) this.#connected();
          else
            socket.once('connect', () => {
              this.#connected();
            });
        });
        return upstream;
      },
      onRes: (_request, _response, fromUpstream) => {
        this.#answer(fromUpstream);
      },
    }).catch((error: unknown) => {
      this.#upstreamFailed(error as ProxyError);
    });
  }

  #connected(): void {
    if (this.#over) return;
    clearTimeout(this.#timer);
    this.#timer = this.#silenceTimer(this.#rules.timeoutMs);
  }

  #upstreamFailed(error: ProxyError): void {
    if (this.#over) return;
    // The upstream ended a connection that it had kept, while this request was on its way: nobody has seen it.
    if (error.reusedSocket === true && !this.#head.hasBody && this.#fromUpstream === null && !this.#retried) {
      this.#retried = true;
      this.#request = new RequestSide(this.#head.method, this.#head.path);
      this.#response = new ResponseSide();
      this.#attempt(true);
      return;
    }
    this.#fail(problem('upstream-failed', 'The server behind this one cannot be reached, or failed.'));
  }

  #answer(fromUpstream: IncomingMessage): void {
    if (this.#over) return;
    this.#fromUpstream = fromUpstream;
    this.#timer.refresh();
    const head = downstreamHead(fromUpstream);
    if (head === null) {
      this.#fail(problem('upstream-failed', incomprehensible));
      return;
    }
    const announced = announcedBytes(fromUpstream);
    const bodyless = this.#head.method === 'HEAD' || head.status === 204 || head.status === 304;
    if (bodyless || (announced !== null && announced <= maxWholeBytes)) this.#giveWhole(fromUpstream, head);
    else this.#giveInParts(fromUpstream, head);
  }

  #giveWhole(fromUpstream: IncomingMessage, head: Omit<HttpReply, 'body'>): void {
    const parts: Buffer[] = [];
    fromUpstream.on('data', (part: Buffer) => {
      this.#timer.refresh();
      parts.push(part);
    });
    // Not said of a response that was cut short; that is a failure.
    fromUpstream.once('end', () => {
      if (this.#over) return;
      this.#end('answered');
      this.#client.reply({ ...head, body: Buffer.concat(parts) });
    });
  }

  #giveInParts(fromUpstream: IncomingMessage, head: Omit<HttpReply, 'body'>): void {
    this.#client.begin(head);
    fromUpstream.on('data', (part: Buffer) => {
      if (this.#over) return;
      this.#timer.refresh();
      if (!this.#client.write(part)) fromUpstream.pause();
    });
    fromUpstream.once('end', () => {
      if (this.#over) return;
      this.#end('answered');
      this.#client.end();
    });
  }

  #silenceTimer(timeoutMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#fail(problem('upstream-timeout', 'The server behind this one does not answer.'));
    }, timeoutMs).unref();
  }

  #fail(refusal: Problem): void {
    if (this.#over) return;
    this.#end(refusal.code);
    this.#client.reply(problemReply(refusal));
  }

  /** Lets go of the upstream; its connection lives on only if the exchange on it is complete. */
  #end(ending: Ending): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#request.aborted = ending !== 'answered';
    this.#response.emit(ending === 'answered' ? 'finish' : 'close');
    // Where http2-proxy does not listen yet.
    this.#upstream?.destroy();
    this.#rules.ended(ending);
  }
}

function ignore(): void {
  // See the place of use.
}

function kindOf(tls: ForwardTarget['tls']): AgentKind {
  if (tls === null) return 'plain';
  return 'fingerprint' in tls ? 'pinned' : 'tls';
}

function securityOf(tls: ForwardTarget['tls']): Partial<PinnedOptions> & { readonly ca?: string | Buffer } {
  if (tls === null) return {};
  // No name is asked for: the upstream shows its first certificate, which is the one that is meant.
  if ('fingerprint' in tls) return { servername: '', fingerprint: tls.fingerprint };
  return { servername: tls.serverName, ...(tls.ca === undefined ? {} : { ca: tls.ca }) };
}
