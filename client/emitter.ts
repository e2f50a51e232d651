/** A typed event emitter without a peer environment: `Events` maps each name to the type of its one argument. */

export type Listener<T> = (event: T) => void;
/** Removes the listener. Idempotent. */
export type Unsubscribe = () => void;

/** The listening side of an {@link Emitter}: what an object shows to its users. */
export interface EventSource<Events extends object> {
  on<K extends keyof Events>(name: K, listener: Listener<Events[K]>): Unsubscribe;
  once<K extends keyof Events>(name: K, listener: Listener<Events[K]>): Unsubscribe;
}

type ListenerSets<Events extends object> = { [K in keyof Events]?: Set<Listener<Events[K]>> };

export class Emitter<Events extends object> implements EventSource<Events> {
  readonly #listeners: ListenerSets<Events> = {};

  on<K extends keyof Events>(name: K, listener: Listener<Events[K]>): Unsubscribe {
    const set = (this.#listeners[name] ??= new Set<Listener<Events[K]>>());
    set.add(listener);
    return () => {
      set.delete(listener);
    };
  }

  once<K extends keyof Events>(name: K, listener: Listener<Events[K]>): Unsubscribe {
    const unsubscribe = this.on(name, (event) => {
      unsubscribe();
      listener(event);
    });
    return unsubscribe;
  }

  /**
   * Calls the listeners in the order in which they came. A listener that throws does not keep the event from the others:
   * its error is rethrown by itself once the current task is over, where the environment reports it.
   */
  emit<K extends keyof Events>(name: K, event: Events[K]): void {
    const set = this.#listeners[name];
    if (set === undefined) return;
    for (const listener of set) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
