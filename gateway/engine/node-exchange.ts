/** A request to one of Node's servers whose bodies come in parts. */
import type { Readable, Writable } from 'node:stream';
import type { HttpReply } from '../problem.ts';
import type { ExchangeEvents, HttpExchange, StreamReaction } from './http-engine.ts';

/** What HTTP/1.1 and h2 say in different ways. */
export interface Answering {
  /** `bodyOver`: the request has come to its end. */
  reply(reply: HttpReply, bodyOver: boolean): void;
  begin(reply: Omit<HttpReply, 'body'>): void;
}

const noBytes = new Uint8Array(0);

export class NodeExchange implements HttpExchange {
  readonly #response: Writable;
  readonly #answering: Answering;
  #events: ExchangeEvents | null = null;
  #bodyOver = false;
  #begun = false;
  #over = false;

  constructor(response: Writable, answering: Answering) {
    this.#response = response;
    this.#answering = answering;
  }

  /** Begins to read the request. What the application throws becomes a reply by `failed`. */
  start(
    request: Readable & { readonly aborted: boolean },
    reaction: StreamReaction,
    failed: (error: unknown) => HttpReply,
  ): void {
    const guarded = (run: () => void): void => {
      try {
        run();
      } catch (error) {
        this.reply(failed(error));
      }
    };
    guarded(() => {
      this.#events = reaction.stream(this);
    });
    request.on('data', (chunk: Buffer) => {
      guarded(() => {
        if (!this.#over) this.#events?.data(chunk, false);
      });
    });
    request.once('end', () => {
      // An h2 stream that was reset ends as well: half a body must not be taken for a whole one.
      if (request.aborted) return;
      this.#bodyOver = true;
      guarded(() => {
        if (!this.#over) this.#events?.data(noBytes, true);
      });
    });
    // 'close' follows and says all that is needed.
    request.on('error', ignore);
    this.#response.on('error', ignore);
    this.#response.on('drain', () => {
      if (!this.#over) this.#events?.drain();
    });
    this.#response.once('close', () => {
      if (this.#over) return;
      this.#over = true;
      this.#events?.aborted();
    });
  }

  reply(reply: HttpReply): void {
    if (this.#over) return;
    if (this.#begun) {
      // Only by breaking off can it still be told from a good answer.
      this.#response.destroy(new Error('broken off'));
      return;
    }
    this.#over = true;
    this.#answering.reply(reply, this.#bodyOver);
  }

  begin(reply: Omit<HttpReply, 'body'>): void {
    if (this.#over || this.#begun || this.#response.destroyed) return;
    this.#begun = true;
    this.#answering.begin(reply);
  }

  write(bytes: Uint8Array): boolean {
    return this.#over || this.#response.destroyed || this.#response.write(bytes);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#response.end();
  }
}

function ignore(): void {
  // See the places of use.
}
