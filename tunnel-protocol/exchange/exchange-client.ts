/**
 * The client's end of one HTTP connection of the tunnel, sans-I/O. It says which requests to make; their answers go in
 * as they come. After each call, and whenever the source got something, drain `nextEvent` and `nextOutput`, then wake
 * it by `handleTimeout` at `nextTimeout`. One file of some length, because what to ask for next depends on all of it.
 */
import { BodyBudget } from './body-budget.ts';
import { BodyReader } from './body-reader.ts';
import type { ClientEvent, ClientOutput, ExchangeClientOptions, RequestKind } from './client-types.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { exchangeFlag } from './exchange-header.ts';
import type { ExchangeCarrier } from './exchange-server.ts';
import { FrameReceiver } from './frame-numbers.ts';
import { exchangeLimits } from './limits.ts';
import { MissingWatch } from './missing-watch.ts';
import type { HeaderFields } from './outbox.ts';
import { Outbox } from './outbox.ts';
import { Pacing } from './pacing.ts';
import { PendingExchanges } from './pending-exchanges.ts';
import type { Pending } from './pending-exchanges.ts';

interface Upload {
  readonly exchange: number;
  readonly openedAt: number;
  bytes: number;
  blocked: boolean;
  /** Number of the control frame that its reader expects. */
  next: number;
}

const noBytes = new Uint8Array(0);
const lost = 1006;

export class ExchangeClient {
  readonly #carrier: ExchangeCarrier;
  readonly #connection: string;
  readonly #generation: number;
  readonly #polls: number;
  readonly #posts: number;
  readonly #deliver: (frame: Uint8Array) => void;
  readonly #outbox: Outbox;
  readonly #receiver: FrameReceiver;
  readonly #pacing = new Pacing();
  readonly #budget = new BodyBudget();
  readonly #pending: PendingExchanges;
  readonly #missing = new MissingWatch();
  #aborts: number[] = [];
  #events: ClientEvent[] = [];
  #now: number;
  #exchanges = 0;
  #fresh = true;
  #streamUpload: boolean;
  #uploadFailures = 0;
  #upload: Upload | null = null;
  /** The download that new frames come on; 0 when there is none. */
  #download = 0;
  #postedAt = -Infinity;
  #fetchAt = -Infinity;
  #ackDueAt: number | null = null;
  #unacked: { readonly number: number; readonly since: number } | null = null;
  #buffered = false;
  #reopenedAt = -Infinity;
  #peerClose = 0;
  #ended = false;
  #lastWord: number | null = null;

  constructor(options: ExchangeClientOptions) {
    this.#carrier = options.carrier;
    this.#pending = new PendingExchanges(options.carrier);
    this.#connection = options.connection;
    this.#generation = options.generation;
    this.#polls = options.polls ?? 1;
    this.#posts = options.posts ?? 1;
    this.#streamUpload = options.carrier === 'http-stream' && (options.streamUpload ?? false);
    this.#deliver = options.deliver;
    this.#outbox = new Outbox(options.source);
    this.#receiver = new FrameReceiver((frame) => {
      if (!this.#ended) this.#deliver(frame);
    });
    this.#now = options.now;
  }

  /** Of posts, smoothed, in ms; null before the first answer. */
  get roundTripMs(): number | null {
    return this.#pacing.roundTripMs;
  }

  get heldBytes(): number {
    return this.#receiver.heldBytes;
  }

  get unackedFrames(): number {
    return this.#outbox.sender.unacked;
  }

  get counters(): { readonly duplicateFrames: number; readonly resentFrames: number } {
    return { duplicateFrames: this.#receiver.duplicates, resentFrames: this.#outbox.sender.resentFrames };
  }

  /** A part of the answer to this exchange, borrowed. */
  received(exchange: number, chunk: Uint8Array, now: number): void {
    this.#now = now;
    const pending = this.#pending.get(exchange);
    if (pending === undefined || this.#ended) return;
    pending.heardAt = now;
    const isWhole = pending.kind !== 'download';
    const fault = pending.reader.push(chunk);
    if (fault !== null || (isWhole && pending.reader.bytes > exchangeLimits.maxBodyBytes)) {
      this.#giveUp(exchange);
      this.#failed(pending);
      return;
    }
    this.#pacing.succeeded();
    this.#noteMissing();
    this.#noteUnacked();
  }

  /** The answer is complete. */
  ended(exchange: number, now: number): void {
    this.#now = now;
    const pending = this.#pending.get(exchange);
    if (pending === undefined || this.#ended) return;
    if (pending.reader.end() !== null) {
      this.failed(exchange, now);
      return;
    }
    this.#settle(exchange);
    const tookMs = now - pending.sentAt;
    if (pending.kind === 'post') {
      this.#pacing.measured(tookMs);
      this.#budget.measured(pending.bytes, tookMs);
    }
    // Whatever answers at once and brings nothing must not be asked in a circle.
    else if (pending.kind === 'poll' && tookMs < exchangeLimits.minGatherMs)
      this.#fetchAt = now + this.#pacing.gatherMs;
    else if (pending.kind === 'download') this.#fetchAt = pending.sentAt + exchangeLimits.retryMs;
    this.#noteMissing();
    // What was sent before the end may still come on another answer.
    if (this.#peerClose !== 0 && !this.#missing.isMissing) this.#finish(this.#peerClose);
  }

  /** No answer, a cut one, or one with an HTTP status that says nothing of the session. */
  failed(exchange: number, now: number): void {
    this.#now = now;
    const pending = this.#pending.get(exchange);
    if (pending === undefined || this.#ended) return;
    this.#settle(exchange);
    this.#failed(pending);
  }

  /** The edge refuses the session itself, as an HTTP status told: the connection is over. */
  refused(wire: number): void {
    if (!this.#ended) this.#finish(wire);
  }

  blocked(exchange: number): void {
    if (this.#upload?.exchange === exchange) this.#upload.blocked = true;
  }

  drained(exchange: number): void {
    if (this.#upload?.exchange === exchange) this.#upload.blocked = false;
  }

  /** Ends the connection; what waits is sent with the last request, up to a body. Idempotent. */
  close(wire: number): void {
    if (this.#ended) return;
    this.#finish(null);
    this.#lastWord = wire;
  }

  nextEvent(): ClientEvent | null {
    return this.#events.shift() ?? null;
  }

  nextOutput(now: number): ClientOutput | null {
    this.#now = now;
    const abort = this.#aborts.shift();
    if (abort !== undefined) return { type: 'abort', exchange: abort };
    if (this.#ended) return this.#nextLastWord();
    if (now < this.#pacing.retryAt) return null;
    if (this.#exchanges >= exchangeLimits.maxNumber - 1) this.#finish(lost);
    return this.#nextUp() ?? this.#nextFetch();
  }

  /** To be read again after each call, and when the source got something. */
  nextTimeout(): number | null {
    if (this.#ended) return null;
    let at = Infinity;
    const by = (time: number): void => {
      at = Math.min(at, time);
    };
    by(this.#pending.nextDeadline());
    const { retryAt } = this.#pacing;
    if (this.#wantsFetch()) by(Math.max(retryAt, this.#fetchAt));
    else if (this.#download !== 0) by(this.#bufferedAt());
    if (this.#ackDueAt !== null && !this.#upIsFull()) by(Math.max(retryAt, this.#ackDueAt));
    if (this.#outbox.waiting && !this.#upIsFull()) by(Math.max(retryAt, this.#sendAt()));
    by(this.#missing.dueAt ?? Infinity);
    if (this.#upload !== null && this.#unacked !== null) by(this.#unacked.since + this.#uploadPatienceMs());
    return at === Infinity ? null : at;
  }

  handleTimeout(now: number): void {
    this.#now = now;
    if (this.#ended) return;
    for (const [exchange, pending] of this.#pending.overdue(now)) {
      this.#giveUp(exchange);
      this.#failed(pending);
      if (this.#isEnded()) return;
    }
    this.#checkMissing();
    const download = this.#pending.get(this.#download);
    if (download?.reader.bytes === 0 && now >= download.sentAt + exchangeLimits.firstByteAfterMs) this.#tellBuffered();
    this.#checkUpload();
  }

  #nextUp(): ClientOutput | null {
    if (this.#upIsFull()) return null;
    const ackDue = this.#ackDueAt !== null && this.#now >= this.#ackDueAt;
    if (!ackDue && (!this.#outbox.waiting || this.#now < this.#sendAt())) return null;
    if (this.#streams()) return this.#nextUpload(ackDue);
    const exchange = this.#exchanges + 1;
    const fields = this.#fields(exchange, 0, 0);
    const filled = this.#outbox.requestBody(fields, this.#budget.bytes, this.#now);
    if (filled === null && !ackDue) return null;
    this.#postedAt = this.#now;
    this.#noteUnacked();
    return this.#request('post', filled?.header ?? this.#outbox.header(fields), filled?.body ?? noBytes, 0);
  }

  #nextUpload(ackDue: boolean): ClientOutput | null {
    const upload = this.#upload;
    if (upload === null) {
      const header = this.#outbox.header(this.#fields(this.#exchanges + 1, 0, 0));
      const { exchange, first: next } = header;
      this.#upload = { exchange, openedAt: this.#now, bytes: 0, blocked: false, next };
      return this.#request('upload', header, noBytes, Infinity);
    }
    const { rotateAfterMs, rotateAfterBytes, maxWriteBytes, answerAfterMs } = exchangeLimits;
    if (this.#now >= upload.openedAt + rotateAfterMs || upload.bytes >= rotateAfterBytes) {
      this.#upload = null;
      const pending = this.#pending.get(upload.exchange);
      if (pending !== undefined) pending.deadline = this.#now + answerAfterMs;
      return { type: 'finish', exchange: upload.exchange };
    }
    const fields = this.#fields(upload.exchange, 0, 0);
    const write = this.#outbox.write(fields, upload.next, ackDue, maxWriteBytes, this.#now);
    if (write === null) return null;
    if (ackDue) this.#ackDueAt = null;
    upload.next = write.next;
    upload.bytes += write.bytes.length;
    this.#noteUnacked();
    return { type: 'write', exchange: upload.exchange, bytes: write.bytes };
  }

  #nextFetch(): ClientOutput | null {
    if (!this.#wantsFetch() || this.#now < this.#fetchAt) return null;
    const exchange = this.#exchanges + 1;
    if (this.#carrier === 'long-poll') {
      const { maxHoldMs } = exchangeLimits;
      const fields = this.#fields(exchange, exchangeFlag.hold, maxHoldMs);
      return this.#request('poll', this.#outbox.header(fields), noBytes, maxHoldMs);
    }
    const before = this.#pending.get(this.#download);
    if (before !== undefined) before.deadline = this.#now + exchangeLimits.answerAfterMs;
    this.#download = exchange;
    return this.#request('download', this.#outbox.header(this.#fields(exchange, 0, 0)), noBytes, Infinity);
  }

  #nextLastWord(): ClientOutput | null {
    if (this.#lastWord === null) return null;
    const fields = { ...this.#fields(this.#exchanges + 1, 0, 0), close: this.#lastWord };
    this.#lastWord = null;
    const filled = this.#outbox.requestBody(fields, exchangeLimits.maxBodyBytes, this.#now);
    const header = filled?.header ?? this.#outbox.header(fields);
    return { type: 'request', kind: 'post', header, body: filled?.body ?? noBytes };
  }

  #request(kind: RequestKind, header: ExchangeHeader, body: Uint8Array, holdMs: number): ClientOutput {
    const { exchange } = header;
    this.#exchanges = exchange;
    // Every request acknowledges.
    this.#ackDueAt = null;
    this.#pending.add(exchange, {
      kind,
      sentAt: this.#now,
      reader: this.#reader(exchange),
      bytes: body.length,
      deadline: this.#now + holdMs + exchangeLimits.answerAfterMs,
      heardAt: this.#now,
    });
    return { type: 'request', kind, header, body };
  }

  #fields(exchange: number, flag: number, holdMs: number): HeaderFields {
    const awaited = this.#pending.oldestBringing()?.[0] ?? exchange;
    return {
      flags: (this.#fresh ? exchangeFlag.fresh : 0) | flag,
      close: 0,
      connection: this.#connection,
      generation: this.#generation,
      exchange,
      // Of a stream up, whose number is older than those of streams down.
      oldest: Math.min(awaited, exchange),
      ack: this.#receiver.received,
      holdMs,
      gatherMs: this.#pacing.gatherMs,
    };
  }

  #reader(exchange: number): BodyReader {
    return new BodyReader(null, {
      header: (header) => {
        // A cache's answer, or another one's.
        if (header.connection !== this.#connection || header.exchange !== exchange) return false;
        if (!this.#outbox.sender.acknowledge(header.ack)) return false;
        this.#fresh = false;
        if (header.close !== 0) this.#peerClose = header.close;
        this.#missing.told(header.first - 1);
        return true;
      },
      control: (frame, number) => {
        this.#missing.told(number);
        this.#receiver.receive(frame, number);
        if (this.#carrier === 'http-stream') this.#ackDueAt ??= this.#now + this.#ackDelayMs();
      },
      datagram: (frame) => {
        if (!this.#ended) this.#deliver(frame);
      },
    });
  }

  #ackDelayMs(): number {
    return this.#streams() ? exchangeLimits.ackDelayMs : exchangeLimits.postAckDelayMs;
  }

  /** The first request is a post in any case: it is answered at once, and shows what the network takes. */
  #streams(): boolean {
    return this.#streamUpload && !this.#fresh;
  }

  #upIsFull(): boolean {
    if (this.#streams()) return this.#upload?.blocked ?? false;
    return this.#pending.count('post') >= this.#posts;
  }

  #sendAt(): number {
    return this.#streams() ? -Infinity : this.#postedAt + this.#pacing.gatherMs;
  }

  #wantsFetch(): boolean {
    if (this.#carrier === 'long-poll') return this.#pending.count('poll') < this.#polls;
    const download = this.#pending.get(this.#download);
    if (download === undefined) return true;
    const { rotateAfterMs, rotateAfterBytes } = exchangeLimits;
    return this.#now >= download.sentAt + rotateAfterMs || download.reader.bytes >= rotateAfterBytes;
  }

  /** When the present download is to be looked at: for its first byte, then for its rotation. */
  #bufferedAt(): number {
    const download = this.#pending.get(this.#download);
    if (download === undefined) return Infinity;
    const { firstByteAfterMs, rotateAfterMs } = exchangeLimits;
    return download.sentAt + (download.reader.bytes === 0 && !this.#buffered ? firstByteAfterMs : rotateAfterMs);
  }

  #settle(exchange: number): void {
    this.#pending.delete(exchange);
    if (this.#upload?.exchange === exchange) this.#upload = null;
    this.#outbox.sender.settle((number) => this.#pending.has(number));
    this.#noteUnacked();
  }

  /** Its answer, if it comes, is ignored. */
  #giveUp(exchange: number): void {
    this.#settle(exchange);
    this.#aborts.push(exchange);
  }

  #failed({ kind }: Pending): void {
    // Streams up that fail twice are not what this network likes.
    if (kind === 'upload' && ++this.#uploadFailures >= 2) this.#streamUpload = false;
    if (this.#pacing.failed(this.#now)) this.#finish(lost);
  }

  #noteUnacked(): void {
    const { nextNumber, unacked } = this.#outbox.sender;
    const number = nextNumber - unacked;
    if (unacked === 0) this.#unacked = null;
    else if (this.#unacked?.number !== number) this.#unacked = { number, since: this.#now };
  }

  #noteMissing(): void {
    const patienceMs = this.#pacing.longerThan(exchangeLimits.missingAfterMs);
    this.#missing.note(this.#receiver.received, this.#now, patienceMs);
  }

  #checkMissing(): void {
    const { since, dueAt } = this.#missing;
    if (dueAt === null || this.#now < dueAt) return;
    if (this.#peerClose !== 0) {
      this.#finish(this.#peerClose);
      return;
    }
    this.#missing.again(this.#now);
    const [exchange, pending] = this.#pending.oldestBringing() ?? [];
    // What is just coming on a slow line is not lost.
    if (exchange === undefined || pending === undefined || pending.heardAt > since) return;
    if (pending.kind === 'download') {
      const { rotateAfterMs } = exchangeLimits;
      if (pending.reader.bytes === 0 || this.#now < this.#reopenedAt + rotateAfterMs) {
        this.#tellBuffered();
        return;
      }
      // One that brought something may have died without a word. Another one tells.
      this.#reopenedAt = this.#now;
    }
    this.#missing.longer();
    this.#giveUp(exchange);
  }

  #checkUpload(): void {
    if (this.#upload === null || this.#unacked === null) return;
    if (this.#now < this.#unacked.since + this.#uploadPatienceMs()) return;
    this.#streamUpload = false;
    this.#giveUp(this.#upload.exchange);
  }

  #uploadPatienceMs(): number {
    return this.#pacing.longerThan(exchangeLimits.uploadStalledAfterMs);
  }

  #tellBuffered(): void {
    if (this.#buffered) return;
    this.#buffered = true;
    this.#events.push({ type: 'buffered' });
  }

  /** Null: this end closes. */
  #finish(wire: number | null): void {
    this.#ended = true;
    this.#aborts.push(...this.#pending.clear());
    if (wire !== null) this.#events.push({ type: 'closed', wire });
  }

  #isEnded(): boolean {
    return this.#ended;
  }
}
