/** What a publisher is told of who is watched: its video layers, at once when one is needed, later when none is. */
import { publishSections } from '../tunnel-protocol/index.ts';
import type { LayerWatch, Rid, Source } from '../tunnel-protocol/index.ts';
import type { Ingress } from './forward/index.ts';

/** How long a layer goes unwatched before its publisher is told, in ms: a change of places must not stop anything. */
export const unwatchedAfterMs = 1000;

interface KnownLayer {
  readonly source: Source;
  readonly rid: Rid | null;
  watched: boolean;
  /** Since when nobody needs it, in ms; null while somebody does. */
  idleSince: number | null;
}

export class LayerWatcher {
  #known: KnownLayer[] = [];

  /** The whole state when it is another than what was told last, else null. A client that was told nothing sends all. */
  update(ingress: Ingress, now: number): readonly LayerWatch[] | null {
    let news = this.#follow(ingress, now);
    for (const layer of this.#known) {
      if (ingress.tracks[layer.source].isWatched(layer.rid, now)) {
        layer.idleSince = null;
        news ||= !layer.watched;
        layer.watched = true;
        continue;
      }
      layer.idleSince ??= now;
      if (!layer.watched || now - layer.idleSince < unwatchedAfterMs) continue;
      layer.watched = false;
      news = true;
    }
    return news ? this.#known.map(({ source, rid, watched }) => ({ source, rid, watched })) : null;
  }

  /** Takes in what is published now. True when something is left out that was told to be unwatched. */
  #follow(ingress: Ingress, now: number): boolean {
    const before = this.#known;
    const { camera, screen } = ingress.tracks;
    if (camera.order === null && screen.order === null && before.length === 0) return false;
    const known: KnownLayer[] = [];
    for (const { source, kind } of publishSections) {
      if (kind !== 'video' || ingress.tracks[source].order === null) continue;
      for (const rid of ingress.layersOf(source)) {
        const earlier = before.find((layer) => layer.source === source && layer.rid === rid);
        known.push(earlier ?? { source, rid, watched: true, idleSince: now });
      }
    }
    this.#known = known;
    return before.some((layer) => !layer.watched && !known.includes(layer));
  }
}
