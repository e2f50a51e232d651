/** Reads one direction of an exchange, however it is chunked: headers, control frames with their numbers, datagrams. */
import { classifyDatagram, datagramClass } from '../classify.ts';
import { FrameDecoder } from '../frames.ts';
import type { ExchangeFault } from './errors.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { decodeExchangeHeader, exchangeType } from './exchange-header.ts';

/** Frames are borrowed until the call returns. */
export interface BodySink {
  /** False: it is not this exchange's, and nothing more of the body is read. */
  header(header: ExchangeHeader): boolean;
  control(frame: Uint8Array, number: number): void;
  datagram(frame: Uint8Array): void;
}

export class BodyReader {
  readonly #decoder = new FrameDecoder();
  readonly #sink: BodySink;
  #nextNumber: number | null;
  #fault: ExchangeFault | null = null;
  #bytes = 0;

  /** `first` numbers the control frames; null: the body has to begin with a header that tells it. */
  constructor(first: number | null, sink: BodySink) {
    this.#nextNumber = first;
    this.#sink = sink;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The number of the control frame that would come next; null before the header. */
  get nextNumber(): number | null {
    return this.#nextNumber;
  }

  /** The chunk is borrowed. A fault is final; what came before it was delivered. */
  push(chunk: Uint8Array): ExchangeFault | null {
    if (this.#fault !== null) return this.#fault;
    this.#bytes += chunk.length;
    this.#decoder.push(chunk);
    for (let frame = this.#decoder.next(); frame !== null; frame = this.#decoder.next()) {
      this.#fault = this.#take(frame);
      if (this.#fault !== null) return this.#fault;
    }
    if (this.#decoder.error !== null) this.#fault = 'bad-framing';
    return this.#fault;
  }

  /** The body is complete: whether it ended between two frames. */
  end(): ExchangeFault | null {
    if (this.#fault === null && this.#decoder.heldBytes > 0) this.#fault = 'bad-framing';
    if (this.#fault === null && this.#nextNumber === null) this.#fault = 'bad-header';
    return this.#fault;
  }

  #take(frame: Uint8Array): ExchangeFault | null {
    if (frame[0] === exchangeType) {
      const header = decodeExchangeHeader(frame);
      if (header === null || !this.#sink.header(header)) return 'bad-header';
      this.#nextNumber = header.first;
      return null;
    }
    if (this.#nextNumber === null) return 'bad-header';
    if (classifyDatagram(frame) === datagramClass.control) this.#sink.control(frame, this.#nextNumber++);
    else this.#sink.datagram(frame);
    return null;
  }
}
