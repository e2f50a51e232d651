/** Fills bodies and writes with what is to be sent again, and then with what the source has. */
import { classifyDatagram, datagramClass } from '../classify.ts';
import { encodeFrame, FrameBatch, frameHeaderBytes } from '../frames.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { encodeExchangeHeader, exchangeHeaderBytes } from './exchange-header.ts';
import { FrameSender } from './frame-numbers.ts';
import type { FrameSource } from './frame-source.ts';

/** What an outbox does not know of a header. */
export type HeaderFields = Omit<ExchangeHeader, 'first'>;

const headerFrameBytes = frameHeaderBytes + exchangeHeaderBytes;

export class Outbox {
  readonly sender = new FrameSender();
  readonly #source: FrameSource;
  readonly #batch = new FrameBatch();

  constructor(source: FrameSource) {
    this.#source = source;
  }

  /** Whether there may be something to send. */
  get waiting(): boolean {
    return this.sender.due > 0 || (this.#source.waiting && !this.sender.full);
  }

  /** A header with no frame behind it. */
  header(fields: HeaderFields): ExchangeHeader {
    return { ...fields, first: this.#firstNumber() };
  }

  /** A whole answer without frames. */
  emptyBody(fields: HeaderFields): Uint8Array {
    return encodeFrame(encodeExchangeHeader(this.header(fields)));
  }

  /** The body of an answer: a header, then frames up to `limit` bytes; null when there was nothing to put in. */
  body(fields: HeaderFields, limit: number, now: number): Uint8Array | null {
    this.#batch.add(encodeExchangeHeader(this.header(fields)));
    this.#fill(fields, this.#firstNumber(), limit, now);
    const body = this.#batch.take() as Uint8Array;
    return body.length === headerFrameBytes ? null : body;
  }

  /** The body of a request, whose header stands in the URL; null when there was nothing to put in. */
  requestBody(
    fields: HeaderFields,
    limit: number,
    now: number,
  ): { readonly header: ExchangeHeader; readonly body: Uint8Array } | null {
    const header = this.header(fields);
    this.#fill(fields, header.first, limit, now);
    const body = this.#batch.take();
    return body === null ? null : { header, body };
  }

  /**
   * The next write of a stream: `continues` is the number of the control frame that its reader expects. `announce` puts a
   * header before all, to tell an acknowledgement. Null when there was nothing to write.
   */
  write(
    fields: HeaderFields,
    continues: number,
    announce: boolean,
    limit: number,
    now: number,
  ): { readonly bytes: Uint8Array; readonly next: number } | null {
    let expected = continues;
    if (announce) {
      expected = this.#firstNumber();
      this.#batch.add(encodeExchangeHeader(this.header(fields)));
    }
    const next = this.#fill(fields, expected, limit, now);
    const bytes = this.#batch.take();
    return bytes === null ? null : { bytes, next };
  }

  /** Of the first control frame that `#fill` will put in. */
  #firstNumber(): number {
    return this.sender.firstDue ?? this.sender.nextNumber;
  }

  /** Returns the number that the reader expects next. A header comes between where the numbers jump. */
  #fill(fields: HeaderFields, expected: number, limit: number, now: number): number {
    const { sender } = this;
    const room = (): number => limit - this.#batch.bytes - frameHeaderBytes;
    this.sender.resend(fields.exchange, (frame, number) => {
      if (frame.length + (number === expected ? 0 : headerFrameBytes) > room()) return false;
      if (number !== expected) this.#batch.add(encodeExchangeHeader({ ...fields, first: number }));
      this.#batch.add(frame);
      expected = number + 1;
      return true;
    });
    if (sender.due > 0) return expected;
    while (this.#source.waiting && !sender.full) {
      const jump = sender.nextNumber !== expected;
      const frame = this.#source.take(room() - (jump ? headerFrameBytes : 0), now);
      if (frame === null) break;
      if (classifyDatagram(frame) === datagramClass.control) {
        if (jump) this.#batch.add(encodeExchangeHeader({ ...fields, first: sender.nextNumber }));
        expected = sender.nextNumber + 1;
        sender.add(frame, fields.exchange);
      }
      this.#batch.add(frame);
    }
    return expected;
  }
}
