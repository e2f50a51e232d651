/** Signalling requests that wait for their one reply. */
import type { SignalErrorBody, SignalReplyBody } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';
import { errorOfReply } from './problem.ts';

interface Pending {
  readonly of: string;
  readonly resolve: (body: SignalReplyBody) => void;
  readonly reject: (error: ClientError) => void;
  readonly timer: unknown;
}

export class PendingRequests {
  readonly #clock: ClientClock;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(clock: ClientClock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Calls `send` with the id for the new request; a false answer rejects it at once. */
  add(of: string, send: (id: number) => boolean): Promise<SignalReplyBody> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(() => {
        this.#pending.delete(id);
        reject(new ClientError('no-reply', { detail: of }));
      }, this.#timeoutMs);
      this.#pending.set(id, { of, resolve, reject, timer });
      if (!send(id)) this.reject(id, new ClientError('refused', { detail: `${of}: too much is waiting to be sent` }));
    });
  }

  resolve(id: number, body: SignalReplyBody): void {
    const pending = this.#take(id);
    if (pending === null) return;
    if (body.of === pending.of) pending.resolve(body);
    else pending.reject(new ClientError('bad-answer', { detail: `a reply to ${body.of} for ${pending.of}` }));
  }

  refuse(id: number, error: SignalErrorBody): void {
    this.#take(id)?.reject(errorOfReply(error));
  }

  reject(id: number, error: ClientError): void {
    this.#take(id)?.reject(error);
  }

  rejectAll(error: ClientError): void {
    for (const id of [...this.#pending.keys()]) this.reject(id, error);
  }

  /** Null for an id that is not waited for: a late or invented reply, of no consequence. */
  #take(id: number): Pending | null {
    const pending = this.#pending.get(id);
    if (pending === undefined) return null;
    this.#pending.delete(id);
    this.#clock.clearTimer(pending.timer);
    return pending;
  }
}
