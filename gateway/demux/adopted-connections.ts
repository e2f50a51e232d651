/**
 * Connections that uWebSockets.js has. It tells nobody when one of them ends, so the kernel is asked: a descriptor whose
 * socket is another one, or none, has been closed. What is told of them may therefore be a little too much, never too little.
 */
import type { Libc } from '../libc/index.ts';
import type { ClientCounts } from './client-counts.ts';

interface Adopted {
  readonly fd: number;
  readonly client: string;
  /** See {@link Libc.cookie}. */
  readonly cookie: number;
  /** Until when more has to come, and what had come before; -1: nothing is waited for. */
  readonly deadlineMs: number;
  readonly received: number;
}

const sweepIntervalMs = 1000;
/** Looked at in one go: about half a millisecond. */
const sweepCount = 1024;
/** A flood of connections that are refused must not make each of them look at all the others. */
const leastSweepGapMs = 100;

export class AdoptedConnections {
  readonly #libc: Libc;
  readonly #openingTimeoutMs: number;
  readonly #counts: ClientCounts;
  readonly #timedOut: () => void;
  readonly #byDescriptor = new Map<number, Adopted>();
  /** In the order of their deadlines, because all have the same time. */
  readonly #awaited = new Set<Adopted>();
  #cursor: Iterator<Adopted, undefined> | null = null;
  #sweptAtMs = 0;
  #sweepTimer: NodeJS.Timeout | null = null;
  #deadlineTimer: NodeJS.Timeout | null = null;

  /** `timedOut` is called for each connection that was ended because nothing came any more. */
  constructor(libc: Libc, openingTimeoutMs: number, counts: ClientCounts, timedOut: () => void) {
    this.#libc = libc;
    this.#openingTimeoutMs = openingTimeoutMs;
    this.#counts = counts;
    this.#timedOut = timedOut;
  }

  get size(): number {
    return this.#byDescriptor.size;
  }

  /**
   * To be called just before the descriptor is given away. `incomplete`: what has come is not yet a request, so a
   * connection on which nothing more comes is ended in time. False: this system cannot tell sockets apart.
   */
  add(fd: number, client: string, incomplete: boolean): boolean {
    // The number was free to be given again, so what had it is closed.
    const before = this.#byDescriptor.get(fd);
    if (before !== undefined) this.#forget(before);
    const cookie = this.#libc.cookie(fd);
    if (cookie < 0) return false;
    const received = incomplete ? this.#libc.bytesReceived(fd) : -1;
    const adopted = { fd, client, cookie, received, deadlineMs: performance.now() + this.#openingTimeoutMs };
    this.#byDescriptor.set(fd, adopted);
    this.#counts.add(client);
    if (received >= 0) {
      this.#awaited.add(adopted);
      this.#armDeadline();
    }
    this.#sweepTimer ??= setInterval(() => {
      this.#sweep();
    }, sweepIntervalMs).unref();
    return true;
  }

  /** Looks whether some have ended, unless that was done a moment ago. */
  refresh(): void {
    if (performance.now() - this.#sweptAtMs >= leastSweepGapMs) this.#sweep();
  }

  /** Forgets all; uWebSockets.js ends them. */
  close(): void {
    if (this.#sweepTimer !== null) clearInterval(this.#sweepTimer);
    if (this.#deadlineTimer !== null) clearTimeout(this.#deadlineTimer);
    this.#sweepTimer = null;
    this.#deadlineTimer = null;
    for (const adopted of [...this.#byDescriptor.values()]) this.#forget(adopted);
  }

  #isOpen({ fd, cookie }: Adopted): boolean {
    return this.#libc.cookie(fd) === cookie;
  }

  #forget(adopted: Adopted): void {
    this.#byDescriptor.delete(adopted.fd);
    this.#awaited.delete(adopted);
    this.#counts.remove(adopted.client);
  }

  /** Goes on where it stopped; the iterator of a map lives with its changes. */
  #sweep(): void {
    this.#sweptAtMs = performance.now();
    this.#cursor ??= this.#byDescriptor.values();
    for (let i = 0; i < sweepCount; i++) {
      const { value: adopted } = this.#cursor.next();
      if (adopted === undefined) {
        this.#cursor = null;
        break;
      }
      if (!this.#isOpen(adopted)) this.#forget(adopted);
    }
    if (this.#byDescriptor.size > 0 || this.#sweepTimer === null) return;
    clearInterval(this.#sweepTimer);
    this.#sweepTimer = null;
  }

  #armDeadline(): void {
    if (this.#deadlineTimer !== null) return;
    const [oldest] = this.#awaited;
    if (oldest === undefined) return;
    const delayMs = Math.max(1, Math.ceil(oldest.deadlineMs - performance.now()));
    this.#deadlineTimer = setTimeout(() => {
      this.#deadlineTimer = null;
      this.#endSilent();
      this.#armDeadline();
    }, delayMs).unref();
  }

  #endSilent(): void {
    const now = performance.now();
    for (const adopted of this.#awaited) {
      if (adopted.deadlineMs > now) return;
      this.#awaited.delete(adopted);
      if (!this.#isOpen(adopted)) {
        this.#forget(adopted);
      } else if (this.#libc.bytesReceived(adopted.fd) === adopted.received) {
        // uWebSockets.js sees the end, and closes.
        this.#libc.shutdown(adopted.fd);
        this.#timedOut();
      }
    }
  }
}
