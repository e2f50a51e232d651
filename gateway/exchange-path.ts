/** A tunnel connection that is made of HTTP requests, as a path. What it sends waits here until a request can take it. */
import {
  closeCodes,
  DeliveryMeter,
  ExchangeServer,
  fitsFrame,
  SendQueue,
  type CloseCode,
  type ExchangeCarrier,
  type ExchangeHeader,
  type ExchangeUpload,
  type FrameSource,
  type Path,
  type QueueDropReason,
  type SendMeta,
  type TransportAddress,
} from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import type { Flushable, FlushQueue } from './flush-queue.ts';
import type { HttpCall } from './http-call.ts';
import { tunnelLimits, type ReceiveDatagram } from './tunnel-path.ts';

export interface ExchangePathOptions {
  readonly carrier: ExchangeCarrier;
  readonly connection: string;
  readonly remote: TransportAddress;
  readonly receive: ReceiveDatagram;
  readonly traffic: Traffic;
  readonly flushes: FlushQueue;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** The connection is over, whoever ended it; later requests are still answered. Once, never within a call of the owner's. */
  readonly ended: (path: ExchangePath, wire: number) => void;
}

export class ExchangePath implements Path, Flushable, FrameSource {
  readonly kind: ExchangeCarrier;
  readonly reliable = true;
  readonly ordered = true;
  readonly mtu = tunnelLimits.mtuBytes;
  readonly remote: TransportAddress;
  readonly connection: string;
  owner: unknown = null;
  onDrop: ((meta: SendMeta) => void) | null = null;

  readonly #options: ExchangePathOptions;
  readonly #server: ExchangeServer<HttpCall>;
  readonly #queue: SendQueue;
  readonly #meter: DeliveryMeter;
  #flushQueued = false;
  #inServer = false;
  #closed = false;
  #toldEnd = false;
  /** The stream whose client does not take what is written. */
  #blocked: { readonly call: HttpCall; readonly since: number } | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Infinity;

  constructor(options: ExchangePathOptions) {
    const { carrier, connection, receive, traffic } = options;
    this.#options = options;
    this.kind = carrier;
    this.connection = connection;
    this.remote = options.remote;
    this.#queue = new SendQueue({ onDrop: this.#dropped });
    const now = options.now();
    this.#meter = new DeliveryMeter(now);
    this.#server = new ExchangeServer({
      carrier,
      connection,
      now,
      source: this,
      deliver: (frame) => {
        if (this.#closed) return;
        traffic.received++;
        receive(this, frame);
      },
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  get deliveryRate(): number | null {
    return this.#meter.rate(this.#options.now());
  }

  send(datagram: Uint8Array, meta: SendMeta): boolean {
    const { traffic, now } = this.#options;
    if (this.#closed) {
      traffic.dropped.closed++;
      return false;
    }
    if (!fitsFrame(datagram)) {
      traffic.dropped.oversized++;
      return false;
    }
    if (!this.#queue.push(datagram, meta, now())) {
      this.closeWith('slow-reader');
      return false;
    }
    this.#queueFlush();
    return true;
  }

  bind(): void {
    // A tunnel belongs to its session from the start.
  }

  unbind(): void {
    // The tunnel stays open: its owner closes it.
  }

  close(code: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.keepControl();
    this.#server.close(code);
    this.#queueFlush();
  }

  closeWith(code: CloseCode): void {
    this.close(closeCodes[code].wire);
  }

  /** What the connection can send, from the queue. */
  get waiting(): boolean {
    this.#queue.expire(this.#options.now());
    return !this.#queue.isEmpty;
  }

  take(room: number, now: number): Uint8Array | null {
    this.#queue.expire(now);
    const next = this.#queue.peek();
    if (next === null || next.length > room) return null;
    this.#queue.shift();
    this.#meter.left(next.length);
    if (this.#queue.isEmpty) this.#meter.emptied();
    this.#options.traffic.sent++;
    return next;
  }

  /** A request with a whole body; borrowed. */
  request(header: ExchangeHeader, body: Uint8Array, call: HttpCall): void {
    this.#within(() => this.#server.request(header, body, call, this.#options.now()));
    this.#pump();
  }

  download(header: ExchangeHeader, call: HttpCall): void {
    call.begin();
    this.#within(() => {
      this.#server.download(header, call, this.#options.now());
    });
    this.#pump();
  }

  /** A request whose body comes in parts. */
  upload(header: ExchangeHeader, call: HttpCall): (bytes: Uint8Array, isLast: boolean) => void {
    const now = this.#options.now;
    const upload: ExchangeUpload = this.#within(() => this.#server.upload(header, call, now()));
    this.#queueFlush();
    return (bytes, isLast) => {
      this.#within(() => {
        upload.push(bytes, now());
        if (isLast) upload.finish(now());
      });
      if (isLast) this.#pump();
      else this.#queueFlush();
    };
  }

  /** The request is gone. */
  aborted(call: HttpCall): void {
    if (this.#blocked?.call === call) this.#blocked = null;
    this.#server.aborted(call);
    this.#queueFlush();
  }

  drained(call: HttpCall): void {
    if (this.#blocked?.call === call) this.#blocked = null;
    this.#server.drained(call);
    this.#pump();
  }

  /** Answers and writes what can be sent. Called by the flush queue. */
  flush(): void {
    this.#flushQueued = false;
    this.#pump();
    const end = this.#server.ended;
    if (end === null || this.#toldEnd) return;
    this.#toldEnd = true;
    this.#closed = true;
    this.#options.ended(this, end.wire);
  }

  /** To be called every few seconds. A client that stopped for good is closed; its session may come back. */
  checkStalled(nowMs: number): void {
    this.#server.handleTimeout(nowMs);
    if (this.#server.ended !== null) this.#queueFlush();
    if (this.#blocked !== null && nowMs - this.#blocked.since >= tunnelLimits.stalledMs) this.closeWith('slow-reader');
  }

  /** Nobody will ask any more. */
  forget(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  readonly #dropped = (meta: SendMeta, reason: QueueDropReason): void => {
    this.#options.traffic.dropped[reason]++;
    this.onDrop?.(meta);
  };

  /** What is delivered meanwhile may lead the owner to close: answers wait for the end of the call. */
  #within<T>(run: () => T): T {
    this.#inServer = true;
    try {
      return run();
    } finally {
      this.#inServer = false;
    }
  }

  #queueFlush(): void {
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    this.#options.flushes.add(this);
  }

  #pump(): void {
    if (this.#inServer) return;
    const now = this.#options.now();
    const server = this.#server;
    for (let output = server.nextOutput(now); output !== null; output = server.nextOutput(now)) {
      const { handle: call } = output;
      if (output.type === 'write') {
        if (call.write(output.bytes)) continue;
        if (this.#blocked?.call !== call) this.#blocked = { call, since: now };
        server.blocked(call);
        continue;
      }
      if (this.#blocked?.call === call) this.#blocked = null;
      if (output.type === 'end') call.end();
      else call.answer(output.body);
    }
    if (server.ended !== null && !this.#toldEnd) this.#queueFlush();
    this.#arm();
  }

  #arm(): void {
    const at = this.#server.nextTimeout() ?? Infinity;
    // An earlier timer finds nothing to do and sets the later one: cheaper than setting it anew each time.
    if (at >= this.#timerAt) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(this.#onTimer, Math.max(0, Math.ceil(at - this.#options.now()))).unref();
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#timerAt = Infinity;
    this.#server.handleTimeout(this.#options.now());
    this.#pump();
  };
}
