/** One source of a participant (microphone, camera or screen) and the layers in which it comes. */
import type { MediaKind, Publication, Rid, Source } from '../../tunnel-protocol/index.ts';
import { VoiceLevel } from '../active-speaker.ts';
import type { Layer } from './layer.ts';
import type { SlotStream } from './slot-stream.ts';

export class Track {
  readonly source: Source;
  readonly kind: MediaKind;
  /** Null while it is not published; otherwise grows with every publication of the room. */
  order: number | null = null;
  muted = false;
  /** Of a microphone. */
  readonly voice = new VoiceLevel();
  /** Slots that this track is assigned to, whether or not anything comes. */
  readonly viewers = new Set<SlotStream>();
  /** At most one for each RID, or a single one. */
  readonly layers: Layer[] = [];
  /** Translates this side's clock to the publisher's: null while no sender report came. */
  readonly publisherTime: (now: number) => number | null;

  constructor(source: Source, kind: MediaKind, publisherTime: (now: number) => number | null) {
    this.source = source;
    this.kind = kind;
    this.publisherTime = publisherTime;
  }

  /** Published and not muted: what comes may be shown. */
  get live(): boolean {
    return this.order !== null && !this.muted;
  }

  /** It is not to be shown any more, from this moment on; whoever planned it will plan anew. */
  hide(now: number): void {
    for (const slot of [...this.viewers]) slot.assign(null, now);
  }

  get publication(): Publication | null {
    return this.order === null ? null : { source: this.source, kind: this.kind, muted: this.muted };
  }

  layer(rid: Rid | null): Layer | null {
    return this.layers.find((layer) => layer.rid === rid) ?? null;
  }

  /** The most wanted layer that flows; of those that do not, the one heard last; null when there is none. */
  bestLayer(preference: readonly (Rid | null)[], now: number): Layer | null {
    for (const rid of preference) {
      const layer = this.layer(rid);
      if (layer?.flows(now)) return layer;
    }
    let last: Layer | null = null;
    for (const layer of this.layers) if (last === null || layer.lastPacketAt > last.lastPacketAt) last = layer;
    return last;
  }

  /**
   * Whether a slot is to be sent this layer: `h` also where only the path keeps it from a slot at the moment, `l` also where a
   * slot has to make do with it because `h` does not come.
   */
  isWatched(rid: Rid | null, now: number): boolean {
    const large = this.layer('h')?.flows(now) === true;
    for (const { ceiling, wanted } of this.viewers) {
      if (
        rid === null ? wanted !== null : rid === 'h' ? ceiling === 'h' : wanted === 'l' || (wanted === 'h' && !large)
      ) {
        return true;
      }
    }
    return false;
  }

  /** A layer began: slots that show this track may want it. */
  layerCame(now: number): void {
    for (const slot of this.viewers) slot.select(now);
  }

  /** Takes a layer out, with all who listen to it; they look for another one by themselves. */
  removeLayer(layer: Layer, now: number): void {
    const at = this.layers.indexOf(layer);
    if (at === -1) return;
    this.layers.splice(at, 1);
    for (const slot of layer.listeners.slice()) slot.layerGone(layer, now);
  }
}
