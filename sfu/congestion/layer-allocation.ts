/**
 * Which layer each video slot may have of what a path takes. Slots come in order of priority: all get their smallest layer
 * first, then the first ones larger ones; where not even that is enough, the last ones are paused. Pure but for its memory
 * of what was given, which keeps pictures from changing back and forth.
 */

/** A larger layer than before is given when there is room for so much more than it takes. */
const headroom = 1.15;
/** How long what had to be taken away is not given back, in ms: twice as long each time that was too early. */
export const takenHoldMs = 3000;
const maxHoldMs = 24_000;
/** A layer that was kept for so long was not given too early, in ms. */
const provenMs = 8000;

export interface SlotDemand {
  /** What each layer that the slot could have takes, in bit/s, the smallest first; empty where there is nothing to show. */
  readonly layers: readonly number[];
}

interface Given {
  level: number;
  /** Nothing above this level before then. */
  heldUntil: number;
  holdMs: number;
  raisedAt: number;
}

/** The slot gets nothing. */
export const paused: number = -1;

export class LayerAllocation {
  readonly #given: Given[] = [];

  /** The index of the layer that each slot may have, or {@link paused}. `budget` in bit/s, for these slots alone. */
  allocate(slots: readonly SlotDemand[], budget: number, now: number): readonly number[] {
    let left = budget;
    const levels = slots.map(({ layers }, at) => {
      const need = this.#need(layers, 0, at, now);
      if (need > left) return paused;
      left -= layers[0] ?? 0;
      return 0;
    });
    slots.forEach(({ layers }, at) => {
      if (levels[at] === paused) return;
      const base = layers[0] ?? 0;
      for (let level = layers.length - 1; level > 0; level--) {
        if (this.#need(layers, level, at, now) - base > left) continue;
        left -= (layers[level] ?? 0) - base;
        levels[at] = level;
        break;
      }
    });
    levels.forEach((level, at) => {
      this.#remember(level, at, slots[at]?.layers.length ?? 0, now);
    });
    return levels;
  }

  /** What must be left for the slot to get this layer; Infinity while it may not have it. */
  #need(layers: readonly number[], level: number, at: number, now: number): number {
    const bitrate = layers[level] ?? 0;
    const given = this.#given[at];
    if (given === undefined || level <= given.level) return bitrate;
    return now < given.heldUntil ? Infinity : bitrate * headroom;
  }

  #remember(level: number, at: number, count: number, now: number): void {
    const given = (this.#given[at] ??= { level, heldUntil: -Infinity, holdMs: takenHoldMs, raisedAt: -Infinity });
    if (count === 0) {
      // Another source begins without a past.
      given.level = Infinity;
      return;
    }
    if (given.level === Infinity) given.level = level;
    if (level < given.level) {
      const early = now - given.raisedAt < provenMs;
      given.holdMs = early ? Math.min(maxHoldMs, given.holdMs * 2) : takenHoldMs;
      given.heldUntil = now + given.holdMs;
    } else if (level > given.level) {
      given.raisedAt = now;
    }
    given.level = level;
  }
}
