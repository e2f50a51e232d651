/**
 * Connections that live in Node, under TLS or not. Node 20 to 24 sometimes misses that one was reset in or just after its
 * TLS handshake, and keeps its descriptor until something is written or times out; so the kernel is asked as well.
 */
import type { Socket } from 'node:net';
import type { Libc } from '../libc/index.ts';
import type { ClientCounts } from './client-counts.ts';

interface Kept {
  readonly socket: Socket;
  /** -1 where it is not to be touched. */
  readonly fd: number;
  /** Seen to be over; Node has until the next look to see it, too. */
  over: boolean;
}

const sweepIntervalMs = 1000;
/** Looked at in one go: about half a millisecond. */
const sweepCount = 1024;

export class NodeConnections {
  readonly #libc: Libc | null;
  readonly #counts: ClientCounts;
  readonly #missed: () => void;
  readonly #kept = new Set<Kept>();
  #cursor: Iterator<Kept, undefined> | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** `missed` is called for each connection whose end only the kernel knew. */
  constructor(libc: Libc | null, counts: ClientCounts, missed: () => void) {
    this.#libc = libc;
    this.#counts = counts;
    this.#missed = missed;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Until it closes. */
  add(socket: Socket, fd: number, client: string): void {
    const kept = { socket, fd, over: false };
    this.#kept.add(kept);
    this.#counts.add(client);
    socket.once('close', () => {
      this.#kept.delete(kept);
      this.#counts.remove(client);
    });
    if (this.#libc === null) return;
    const libc = this.#libc;
    this.#timer ??= setInterval(() => {
      this.#sweep(libc);
    }, sweepIntervalMs).unref();
  }

  /** Ends all. */
  close(): void {
    this.#stop();
    for (const { socket } of this.#kept) socket.destroy();
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Goes on where it stopped; the iterator of a set lives with its changes. */
  #sweep(libc: Libc): void {
    this.#cursor ??= this.#kept.values();
    for (let i = 0; i < sweepCount; i++) {
      const { value: kept } = this.#cursor.next();
      if (kept === undefined) {
        this.#cursor = null;
        break;
      }
      if (kept.fd < 0 || kept.socket.destroyed || !libc.isOver(kept.fd)) {
        kept.over = false;
      } else if (!kept.over) {
        kept.over = true;
      } else {
        this.#missed();
        kept.socket.destroy();
      }
    }
    if (this.#kept.size === 0) this.#stop();
  }
}
