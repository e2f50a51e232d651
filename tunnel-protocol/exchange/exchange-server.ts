/**
 * The server's end of one HTTP connection of the tunnel, sans-I/O. Requests go in with a handle of the caller's; after
 * each call, and whenever the source got something, drain `nextOutput`, then wake it at `nextTimeout`.
 */
import { closeCodes } from '../control/close-codes.ts';
import { BodyBudget } from './body-budget.ts';
import { BodyReader } from './body-reader.ts';
import type { ExchangeFault } from './errors.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { exchangeFlag } from './exchange-header.ts';
import { FrameReceiver } from './frame-numbers.ts';
import type { FrameSource } from './frame-source.ts';
import { exchangeLimits } from './limits.ts';
import type { HeaderFields } from './outbox.ts';
import { Outbox } from './outbox.ts';
import { SeenExchanges } from './seen-exchanges.ts';

export type ExchangeCarrier = 'http-stream' | 'long-poll';

export interface ExchangeServerOptions {
  readonly carrier: ExchangeCarrier;
  /** 16 hexadecimal digits. */
  readonly connection: string;
  readonly now: number;
  readonly source: FrameSource;
  /** Control frames once each and in order, datagrams as they come; borrowed. */
  readonly deliver: (frame: Uint8Array) => void;
}

export type ServerOutput<H> =
  /** The whole answer. The handle is not used again. */
  | { readonly type: 'answer'; readonly handle: H; readonly body: Uint8Array }
  /** A part of a streamed answer. If no more can be taken, call `blocked`, and `drained` later. */
  | { readonly type: 'write'; readonly handle: H; readonly bytes: Uint8Array }
  /** A streamed answer is complete. The handle is not used again. */
  | { readonly type: 'end'; readonly handle: H };

export interface ExchangeEnd {
  readonly wire: number;
  readonly by: 'self' | 'peer' | 'idle' | 'fault';
}

/** A request body that comes in chunks. */
export interface ExchangeUpload {
  /** The chunk is borrowed. After a fault the connection has ended. */
  push(chunk: Uint8Array, now: number): ExchangeFault | null;
  /** The body is complete: an answer follows. */
  finish(now: number): void;
}

interface Waiting<H> {
  readonly handle: H;
  readonly exchange: number;
  /** When it is answered at the latest; 0: at once. */
  readonly until: number;
}

interface Download<H> {
  readonly handle: H;
  readonly exchange: number;
  begun: boolean;
  /** It was told of the connection's end. */
  closing: boolean;
  blocked: boolean;
  /** Number of the control frame that its reader expects. */
  next: number;
}

export class ExchangeServer<H> {
  readonly carrier: ExchangeCarrier;
  readonly connection: string;
  readonly #deliver: (frame: Uint8Array) => void;
  readonly #outbox: Outbox;
  readonly #receiver: FrameReceiver;
  readonly #seen = new SeenExchanges();
  readonly #uploads = new Map<H, Waiting<H>>();
  readonly #budget = new BodyBudget();
  /** An answer whose arrival will tell how wide the path is. */
  #sample: { readonly exchange: number; readonly bytes: number; readonly at: number } | null = null;
  #answers: Waiting<H>[] = [];
  #polls: Waiting<H>[] = [];
  #ends: H[] = [];
  #download: Download<H> | null = null;
  #end: ExchangeEnd | null = null;
  #fault: ExchangeFault | null = null;
  #oldest = 0;
  #heardAt: number;
  #answeredAt = -Infinity;
  #gatherMs: number = exchangeLimits.minGatherMs;
  #ackDueAt: number | null = null;
  #repeated = 0;
  #early = 0;

  constructor(options: ExchangeServerOptions) {
    this.carrier = options.carrier;
    this.connection = options.connection;
    this.#deliver = options.deliver;
    this.#outbox = new Outbox(options.source);
    this.#receiver = new FrameReceiver((frame) => {
      if (this.#end === null) this.#deliver(frame);
    });
    this.#heardAt = options.now;
  }

  /** How the connection ended; null while it lives. What is still to be told goes on coming from `nextOutput`. */
  get ended(): ExchangeEnd | null {
    return this.#end;
  }

  get fault(): ExchangeFault | null {
    return this.#fault;
  }

  /** Something can be sent at once: a frame that comes now need not wait for a request. */
  get writable(): boolean {
    return this.#polls.length > 0 || (this.#download !== null && !this.#download.blocked);
  }

  /** Bytes held for the peer: control frames that overtook others. */
  get heldBytes(): number {
    return this.#receiver.heldBytes;
  }

  get unackedFrames(): number {
    return this.#outbox.sender.unacked;
  }

  /** `earlyDatagrams` overtook the first control frame, and were dropped. */
  get counters(): {
    readonly repeatedExchanges: number;
    readonly duplicateFrames: number;
    readonly resentFrames: number;
    readonly earlyDatagrams: number;
  } {
    return {
      repeatedExchanges: this.#repeated,
      duplicateFrames: this.#receiver.duplicates,
      resentFrames: this.#outbox.sender.resentFrames,
      earlyDatagrams: this.#early,
    };
  }

  /** A request with a whole body, borrowed; empty for a poll by GET. It is answered at once, or held if it says so. */
  request(header: ExchangeHeader, body: Uint8Array, handle: H, now: number): ExchangeFault | null {
    const { exchange } = header;
    const repeated = this.#accept(header, now);
    if (body.length > exchangeLimits.maxBodyBytes) this.#fail('body-too-large');
    else if (this.#end === null) this.#read(header, body, repeated, now);
    const hold = this.carrier === 'long-poll' && (header.flags & exchangeFlag.hold) !== 0 && this.#end === null;
    if (!hold) this.#answers.push({ handle, exchange, until: 0 });
    else {
      const holdMs = Math.min(header.holdMs, exchangeLimits.maxHoldMs);
      const { minGatherMs, maxGatherMs } = exchangeLimits;
      this.#gatherMs = Math.min(Math.max(header.gatherMs, minGatherMs), maxGatherMs);
      this.#polls.push({ handle, exchange, until: repeated ? 0 : now + holdMs });
    }
    return this.#fault;
  }

  /** A request whose answer is a stream. It takes over from an older one, which ends. */
  download(header: ExchangeHeader, handle: H, now: number): void {
    this.#accept(header, now);
    const { exchange } = header;
    const before = this.#download;
    const download = { handle, exchange, begun: false, closing: false, blocked: false, next: 0 };
    const isLate = exchange < this.#oldest || (before !== null && before.exchange > exchange);
    if (this.carrier !== 'http-stream' || this.#end !== null || isLate) {
      // A late one: an end without a word would count as a failure.
      this.#answers.push({ handle, exchange, until: 0 });
      return;
    }
    this.#download = download;
    if (before !== null) this.#ends.push(before.handle);
  }

  /** A request whose body is a stream. */
  upload(header: ExchangeHeader, handle: H, now: number): ExchangeUpload {
    const repeated = this.#accept(header, now);
    const reader = this.#reader(header, repeated, () => now);
    const waiting = { handle, exchange: header.exchange, until: 0 };
    const upload: ExchangeUpload = {
      push: (chunk, at) => {
        now = at;
        this.#heardAt = at;
        if (this.#end !== null) return this.#fault;
        const fault = reader.push(chunk);
        if (fault !== null) this.#fail(fault);
        return this.#fault;
      },
      finish: () => {
        if (this.#uploads.delete(handle)) this.#answers.push(waiting);
      },
    };
    if (this.#uploads.size >= exchangeLimits.maxUploads) this.#fail('too-many-uploads');
    if (this.#end === null) this.#uploads.set(handle, waiting);
    else this.#answers.push(waiting);
    return upload;
  }

  /** The request is gone: it cannot be answered any more. */
  aborted(handle: H): void {
    this.#uploads.delete(handle);
    this.#polls = this.#polls.filter((poll) => poll.handle !== handle);
    this.#answers = this.#answers.filter((answer) => answer.handle !== handle);
    this.#ends = this.#ends.filter((end) => end !== handle);
    if (this.#download?.handle === handle) this.#download = null;
  }

  blocked(handle: H): void {
    if (this.#download?.handle === handle) this.#download.blocked = true;
  }

  drained(handle: H): void {
    if (this.#download?.handle === handle) this.#download.blocked = false;
  }

  /** Ends the connection; requests, those that come later too, are answered with the code. Idempotent. */
  close(wire: number): void {
    this.#finish(wire, 'self');
  }

  nextOutput(now: number): ServerOutput<H> | null {
    const ended = this.#ends.shift();
    if (ended !== undefined) return { type: 'end', handle: ended };
    // Writes go first: the answer to a post then tells of all that is on its way.
    return this.#nextWrite(now) ?? this.#nextAnswer(now) ?? this.#nextHeld(now);
  }

  /** To be read again after each call, and when the source got something. */
  nextTimeout(): number | null {
    if (this.#end !== null) return null;
    let at = this.#heardAt + exchangeLimits.idleAfterMs;
    for (const poll of this.#polls) at = Math.min(at, poll.until);
    if (this.#polls.length > 0 && this.#outbox.waiting) at = Math.min(at, this.#answeredAt + this.#gatherMs);
    if (this.#download !== null && !this.#download.blocked && this.#ackDueAt !== null)
      at = Math.min(at, this.#ackDueAt);
    return at;
  }

  handleTimeout(now: number): void {
    if (now >= this.#heardAt + exchangeLimits.idleAfterMs) this.#finish(closeCodes.idle.wire, 'idle');
  }

  /** True for a request that was here before. */
  #accept(header: ExchangeHeader, now: number): boolean {
    this.#heardAt = now;
    const repeated = this.#seen.add(header.exchange);
    this.#hear(header, now);
    if (repeated) {
      this.#repeated++;
      // Whichever of the two answers the client gets, it gets what was sent on the first.
      this.#outbox.sender.lost(header.exchange);
    }
    return repeated;
  }

  #hear(header: ExchangeHeader, now: number): void {
    const { sender } = this.#outbox;
    if (!sender.acknowledge(header.ack)) {
      this.#fail('ack-ahead');
      return;
    }
    if (header.oldest <= this.#oldest) return;
    this.#oldest = header.oldest;
    if (this.#sample !== null && this.#sample.exchange < header.oldest) {
      this.#budget.measured(this.#sample.bytes, now - this.#sample.at);
      this.#sample = null;
    }
    // The client has given this one up. What is sent on it from now on would count as on its way for ever.
    if (this.#download !== null && this.#download.exchange < header.oldest) {
      this.#ends.push(this.#download.handle);
      this.#download = null;
    }
    sender.settle((exchange) => exchange >= this.#oldest);
  }

  #read(header: ExchangeHeader, body: Uint8Array, repeated: boolean, now: number): void {
    const reader = this.#reader(header, repeated, () => now);
    const fault = reader.push(body) ?? reader.end();
    if (fault !== null) this.#fail(fault);
    if (header.close !== 0) this.#finish(header.close, 'peer');
  }

  #reader(header: ExchangeHeader, repeated: boolean, now: () => number): BodyReader {
    return new BodyReader(header.first, {
      header: (later) => {
        if (later.connection !== this.connection || later.exchange !== header.exchange) return false;
        this.#hear(later, now());
        return true;
      },
      control: (frame, number) => {
        this.#receiver.receive(frame, number);
        this.#ackDueAt ??= now() + exchangeLimits.ackDelayMs;
      },
      datagram: (frame) => {
        if (repeated || this.#end !== null) return;
        if (this.#receiver.received === 0) this.#early++;
        else this.#deliver(frame);
      },
    });
  }

  #nextAnswer(now: number): ServerOutput<H> | null {
    const next = this.#answers.shift();
    return next === undefined ? null : this.#answer(next, this.carrier === 'long-poll', now);
  }

  #nextHeld(now: number): ServerOutput<H> | null {
    if (this.#polls.length === 0) return null;
    this.#polls.sort((a, b) => a.exchange - b.exchange);
    const [first] = this.#polls as [Waiting<H>];
    const isStale = first.exchange < this.#oldest || this.#polls.length > exchangeLimits.maxPolls;
    const isDue = this.#end !== null || first.until <= now;
    if (isStale || isDue) {
      this.#polls.shift();
      return this.#answer(first, !isStale, now);
    }
    const expired = this.#polls.findIndex((poll) => poll.until <= now);
    if (expired >= 0) return this.#answer(this.#polls.splice(expired, 1)[0] as Waiting<H>, true, now);
    if (!this.#outbox.waiting || now < this.#answeredAt + this.#gatherMs) return null;
    const body = this.#fill(first.exchange, now);
    if (body === null) return null;
    this.#polls.shift();
    return { type: 'answer', handle: first.handle, body };
  }

  /** With what waits, if it may carry frames: nobody may read any more what is answered to a stale request. */
  #answer({ handle, exchange }: Waiting<H>, carries: boolean, now: number): ServerOutput<H> {
    const body = carries && exchange >= this.#oldest ? this.#fill(exchange, now) : null;
    return { type: 'answer', handle, body: body ?? this.#outbox.emptyBody(this.#fields(exchange)) };
  }

  #fill(exchange: number, now: number): Uint8Array | null {
    const limit = this.#end === null ? this.#budget.bytes : exchangeLimits.maxBodyBytes;
    const body = this.#outbox.body(this.#fields(exchange), limit, now);
    if (body === null) return null;
    this.#answeredAt = now;
    this.#sample ??= { exchange, bytes: body.length, at: now };
    return body;
  }

  #nextWrite(now: number): ServerOutput<H> | null {
    const download = this.#download;
    const ending = this.#end !== null;
    if (download === null || (download.blocked && !ending)) return null;
    const closing = ending && !download.closing;
    const announce = !download.begun || closing || (this.#ackDueAt !== null && now >= this.#ackDueAt);
    const write =
      announce || this.#outbox.waiting
        ? this.#outbox.write(
            this.#fields(download.exchange),
            download.next,
            announce,
            exchangeLimits.maxWriteBytes,
            now,
          )
        : null;
    if (write === null) {
      if (!ending) return null;
      this.#download = null;
      return { type: 'end', handle: download.handle };
    }
    if (announce) this.#ackDueAt = null;
    download.begun = true;
    download.closing = ending;
    download.next = write.next;
    return { type: 'write', handle: download.handle, bytes: write.bytes };
  }

  #fields(exchange: number): HeaderFields {
    return {
      flags: 0,
      close: this.#end?.wire ?? 0,
      connection: this.connection,
      generation: 0,
      exchange,
      oldest: 0,
      ack: this.#receiver.received,
      holdMs: 0,
      gatherMs: 0,
    };
  }

  #fail(fault: ExchangeFault): void {
    this.#fault ??= fault;
    this.#finish(closeCodes['protocol-error'].wire, 'fault');
  }

  #finish(wire: number, by: ExchangeEnd['by']): void {
    if (this.#end !== null) return;
    this.#end = { wire, by };
    for (const { handle, exchange } of this.#uploads.values()) this.#answers.push({ handle, exchange, until: 0 });
    this.#uploads.clear();
  }
}
