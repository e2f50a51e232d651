/**
 * Sockets that are read without Node: one epoll set, which the event loop watches as a single descriptor. However many
 * sockets have something to read, they cost one wake-up, and none of them an event object.
 */
import type { Libc, Watch } from './libc.ts';

export class ReadySet {
  readonly #libc: Libc;
  readonly #set: number;
  readonly #watch: Watch | null;
  readonly #members: ((() => void) | null)[] = [];
  readonly #free: number[] = [];
  #size = 0;
  readonly #scheduleEnd: () => void;

  /** `scheduleEnd` is to make sure that an immediate runs: it lets promises and ticks go on; see {@link Libc.watch}. */
  constructor(libc: Libc, scheduleEnd: () => void) {
    this.#libc = libc;
    this.#scheduleEnd = scheduleEnd;
    this.#set = libc.createReadySet();
    this.#watch =
      this.#set < 0
        ? null
        : libc.watch(this.#set, () => {
            this.#onReady();
          });
    this.#watch?.unref();
  }

  /** Calls back while the descriptor can be read. Returns a key for {@link remove}, or -1 where that is not possible. */
  add(fd: number, onReadable: () => void): number {
    const key = this.#free.pop() ?? this.#members.length;
    if (this.#watch === null || this.#libc.addToReadySet(this.#set, fd, key) < 0) {
      this.#free.push(key);
      return -1;
    }
    this.#members[key] = onReadable;
    if (this.#size++ === 0) this.#watch.ref();
    return key;
  }

  /** `fd` is -1 if the socket is closed already: the kernel has taken it out then. */
  remove(key: number, fd: number): void {
    if (this.#members[key] === null) return;
    if (fd >= 0) this.#libc.removeFromReadySet(this.#set, fd);
    this.#members[key] = null;
    this.#free.push(key);
    if (--this.#size === 0) this.#watch?.unref();
  }

  #onReady(): void {
    this.#scheduleEnd();
    const count = this.#libc.takeReady(this.#set);
    for (let i = 0; i < count; i++) {
      try {
        this.#members[this.#libc.readyKey(i)]?.();
      } catch (error) {
        // Where it would be an uncaught exception, had Node called the handler.
        setImmediate(() => {
          throw error;
        });
      }
    }
  }
}
