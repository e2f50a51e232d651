/**
 * Who is shown where: a pure policy. One subscriber has six video slots (0 = main, 1–5 = thumbnails) and three audio slots
 * (0 = the participant on main). Nobody moves without need, because every move costs a key frame.
 */
import { audioSlotMids, videoSlotMids } from '../tunnel-protocol/index.ts';
import type { SlotAssignment, Source } from '../tunnel-protocol/index.ts';

/** How much longer ago an audio slot's holder must have spoken than somebody unheard, to lose the slot, in ms. */
export const speakerHoldMs = 2000;

export interface ShownVideo {
  readonly source: Exclude<Source, 'microphone'>;
  /** Grows with every publication of the room, so that the newest can be told. */
  readonly order: number;
}

/** Somebody who may be shown: joined, not hidden, not the subscriber. Muted publications are left out. */
export interface SlotPerson {
  readonly id: string;
  readonly videos: readonly ShownVideo[];
  readonly microphone: boolean;
  /** When they were last heard speaking, in ms; -Infinity for never. */
  readonly spokeAt: number;
}

export interface SlotWishes {
  /** The participant pinned as main. */
  readonly main: string | null;
  readonly audio: boolean;
  readonly video: boolean;
}

export interface Shown {
  readonly participant: string;
  readonly source: Source;
}

/** By slot index; null is an empty slot. */
export interface SlotPlan {
  readonly video: readonly (Shown | null)[];
  readonly audio: readonly (Shown | null)[];
}

export const emptySlotPlan: SlotPlan = {
  video: videoSlotMids.map(() => null),
  audio: audioSlotMids.map(() => null),
};

/** `people` come in join order. `before` is the plan that this one replaces. */
export function planSlots(people: readonly SlotPerson[], wishes: SlotWishes, before: SlotPlan): SlotPlan {
  const video = wishes.video ? planVideo(people, wishes.main, before.video) : emptySlotPlan.video;
  const audio = wishes.audio ? planAudio(people, video[0]?.participant ?? null, before.audio) : emptySlotPlan.audio;
  return { video, audio };
}

export function sameSlotPlan(a: SlotPlan, b: SlotPlan): boolean {
  return (
    a.video.every((shown, slot) => sameShown(shown, b.video[slot] ?? null)) &&
    a.audio.every((shown, slot) => sameShown(shown, b.audio[slot] ?? null))
  );
}

export function sameShown(a: Shown | null, b: Shown | null): boolean {
  return a === b || (a !== null && b !== null && a.participant === b.participant && a.source === b.source);
}

/** The plan as the client is told it. */
export function slotAssignments(plan: SlotPlan): readonly SlotAssignment[] {
  const assignment = (mid: string, kind: 'audio' | 'video', shown: Shown | null | undefined): SlotAssignment => ({
    mid,
    kind,
    participant: shown?.participant ?? null,
    source: shown?.source ?? null,
  });
  return [
    ...videoSlotMids.map((mid, slot) => assignment(mid, 'video', plan.video[slot])),
    ...audioSlotMids.map((mid, slot) => assignment(mid, 'audio', plan.audio[slot])),
  ];
}

function planVideo(people: readonly SlotPerson[], pinned: string | null, before: SlotPlan['video']): SlotPlan['video'] {
  const main = chooseMain(people, pinned);
  const others = people
    .flatMap(({ id, videos }) => videos.map(({ source }) => ({ participant: id, source })))
    .filter((shown) => !sameShown(shown, main))
    .slice(0, videoSlotMids.length - 1);
  return [main, ...keepPlaces(others, before.slice(1))];
}

function chooseMain(people: readonly SlotPerson[], pinned: string | null): Shown | null {
  const favourite = people.find(({ id, videos }) => id === pinned && videos.length > 0);
  let best: { shown: Shown; screen: boolean; order: number } | null = null;
  for (const { id, videos } of favourite === undefined ? people : [favourite]) {
    for (const { source, order } of videos) {
      const screen = source === 'screen';
      if (best !== null && (best.screen === screen ? best.order > order : best.screen)) continue;
      best = { shown: { participant: id, source }, screen, order };
    }
  }
  return best?.shown ?? null;
}

function planAudio(people: readonly SlotPerson[], main: string | null, before: SlotPlan['audio']): SlotPlan['audio'] {
  const heard = people.filter(({ microphone }) => microphone);
  // Without any video, slot 0 is a slot like the others, so that three can be heard.
  const first =
    main === null
      ? (heard.find(({ id }) => id === before[0]?.participant) ?? heard[0])
      : heard.find(({ id }) => id === main);
  const places = audioSlotMids.length - 1;
  const others = heard.filter(({ id }) => id !== first?.id);
  const held = others.filter(({ id }) => before.slice(1).some((shown) => shown?.participant === id));
  const chosen = [...held, ...others.filter((person) => !held.includes(person))];
  const waiting = chosen.splice(places);
  admitSpeakers(chosen, waiting);
  const shown = (person: SlotPerson): Shown => ({ participant: person.id, source: 'microphone' });
  return [first === undefined ? null : shown(first), ...keepPlaces(chosen.map(shown), before.slice(1))];
}

/** Whoever speaks while unheard takes the place of the one who has been silent longest. */
function admitSpeakers(chosen: SlotPerson[], waiting: readonly SlotPerson[]): void {
  for (const speaker of [...waiting].sort((a, b) => compare(b.spokeAt, a.spokeAt))) {
    let silent = 0;
    chosen.forEach((person, at) => {
      if (person.spokeAt < (chosen[silent]?.spokeAt ?? Infinity)) silent = at;
    });
    const holder = chosen[silent];
    if (holder === undefined || !(speaker.spokeAt - holder.spokeAt >= speakerHoldMs)) return;
    chosen[silent] = speaker;
  }
}

/** Compares without subtraction, which two infinities do not survive. */
function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Those who had a place keep it; the others fill the free places in order. */
function keepPlaces(wanted: readonly Shown[], before: readonly (Shown | null)[]): (Shown | null)[] {
  const places = before.map((held) => wanted.find((shown) => sameShown(shown, held)) ?? null);
  for (const shown of wanted) {
    if (places.includes(shown)) continue;
    const free = places.indexOf(null);
    if (free !== -1) places[free] = shown;
  }
  return places;
}
