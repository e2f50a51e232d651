/** Who is shown where: turns slots and participants into the tiles of the page. */
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { ParticipantInfo, SlotAssignment, Source } from '../../tunnel-protocol/index.ts';

export interface Tile {
  /** Stable while the same slot shows the same person's same source, so that views can keep their elements. */
  readonly key: string;
  readonly participant: ParticipantInfo;
  /** The video slot whose track the tile shows; null shows a stand-in with the person's initials. */
  readonly mid: string | null;
  readonly source: Source | null;
  readonly microphone: 'on' | 'muted' | 'none';
  readonly cameraMuted: boolean;
}

export interface TileLayout {
  /** Null while nobody else is in the room. */
  readonly main: Tile | null;
  readonly thumbnails: readonly Tile[];
  /** Others who have no tile, because five thumbnails are shown at most. */
  readonly hidden: number;
}

export const maxThumbnails = videoSlotMids.length - 1;

export function layOut(others: readonly ParticipantInfo[], slots: readonly SlotAssignment[]): TileLayout {
  const byId = new Map(others.map((one) => [one.id, one]));
  const shown = new Set<string>();
  let main: Tile | null = null;
  const thumbnails: Tile[] = [];
  for (const mid of videoSlotMids) {
    const slot = slots.find((one) => one.mid === mid);
    const participant = byId.get(slot?.participant ?? '');
    if (slot === undefined || participant === undefined) continue;
    const tile = tileOf(participant, mid, slot.source);
    shown.add(participant.id);
    if (mid === videoSlotMids[0]) main = tile;
    else thumbnails.push(tile);
  }
  // People without video have no slot; they are there all the same. Whoever is heard comes before the silent.
  const heard = new Set(slots.filter((slot) => slot.kind === 'audio').map((slot) => slot.participant));
  const rest = others
    .filter((one) => !shown.has(one.id))
    .sort((a, b) => Number(heard.has(b.id)) - Number(heard.has(a.id)))
    .map((one) => tileOf(one, null, null));
  main ??= thumbnails.shift() ?? rest.shift() ?? null;
  const room = Math.max(0, maxThumbnails - thumbnails.length);
  thumbnails.push(...rest.slice(0, room));
  return { main, thumbnails, hidden: Math.max(0, rest.length - room) };
}

/** The participant's microphone, for a label beside the name. */
export function microphoneOf(participant: ParticipantInfo): Tile['microphone'] {
  const publication = participant.publications.find((one) => one.source === 'microphone');
  if (publication === undefined) return 'none';
  return publication.muted ? 'muted' : 'on';
}

/** One line for people who cannot see the tile. */
export function describeTile(tile: Tile): string {
  const parts = [tile.participant.name];
  if (tile.source === 'screen') parts.push('shares a screen');
  else if (tile.mid === null || tile.cameraMuted) parts.push('camera off');
  if (tile.microphone === 'muted') parts.push('muted');
  if (tile.microphone === 'none') parts.push('no microphone');
  return parts.join(', ');
}

function tileOf(participant: ParticipantInfo, mid: string | null, source: Source | null): Tile {
  return {
    key: `${mid ?? 'none'}/${participant.id}/${source ?? 'none'}`,
    participant,
    mid,
    source,
    microphone: microphoneOf(participant),
    cameraMuted: participant.publications.some((one) => one.source === source && one.muted),
  };
}
