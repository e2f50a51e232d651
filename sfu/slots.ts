/**
 * Who is shown where: a pure policy. One subscriber has six video slots (0 = main, 1–5 = thumbnails) and three audio slots
 * (0 = the participant on main). Nobody moves without need, because every move costs a key frame. What is the same for all
 * subscribers of a room is worked out once, as a {@link Stage}; what is left for each of them does not grow with the room.
 */
import { audioSlotMids, videoSlotMids } from '../tunnel-protocol/index.ts';
import type { Rid, Source } from '../tunnel-protocol/index.ts';

/** How much longer ago a slot's holder must have spoken than somebody who has none, to lose the slot, in ms. */
export const speakerHoldMs = 2000;

export interface ShownVideo {
  readonly source: Exclude<Source, 'microphone'>;
  /** Grows with every publication of the room, so that the newest can be told. */
  readonly order: number;
}

/** Somebody who may be shown: joined and not hidden. Muted publications are left out. */
export interface SlotPerson {
  readonly id: string;
  readonly videos: readonly ShownVideo[];
  readonly microphone: boolean;
  /** When they were last heard speaking, in ms; -Infinity for never. */
  readonly spokeAt: number;
}

/** What all subscribers of a room have in common. */
export interface Stage {
  readonly people: ReadonlyMap<string, SlotPerson>;
  /** The active speakers, the present one first. */
  readonly speakers: readonly string[];
  /** Screens, the newest first, then cameras of those who spoke last, then the others in join order. */
  readonly videos: readonly Ranked[];
  /** Those with a microphone, likewise. */
  readonly voices: readonly Ranked[];
  /** Cameras and screens, the newest first, and the screens among them. */
  readonly newest: readonly Ranked[];
  readonly screens: readonly Ranked[];
}

interface Ranked {
  readonly shown: Shown;
  readonly spokeAt: number;
}

export interface SlotWishes {
  /** The participant pinned as main. */
  readonly main: string | null;
  readonly audio: boolean;
  readonly video: boolean;
  /** The largest layer of each video slot; null for one that is not shown. */
  readonly layers: readonly (Rid | null)[];
}

/** Main large, thumbnails small. */
export const defaultLayers: readonly (Rid | null)[] = videoSlotMids.map((_, slot) => (slot === 0 ? 'h' : 'l'));

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

/** `people` come in join order. */
export function stageOf(people: readonly SlotPerson[], speakers: readonly string[] = []): Stage {
  const videos = people.flatMap(({ id, videos, spokeAt }) =>
    videos.map(({ source, order }) => ({ shown: { participant: id, source }, spokeAt, order })),
  );
  const newest = [...videos].sort((a, b) => b.order - a.order);
  const screens = newest.filter(({ shown }) => shown.source === 'screen');
  const cameras = videos.filter(({ shown }) => shown.source === 'camera');
  const voices = people.filter(({ microphone }) => microphone);
  return {
    people: new Map(people.map((person) => [person.id, person])),
    speakers,
    videos: [...screens, ...lastSpeakersFirst(cameras)],
    voices: lastSpeakersFirst(
      voices.map(({ id, spokeAt }) => ({ shown: { participant: id, source: 'microphone' as const }, spokeAt })),
    ),
    newest,
    screens,
  };
}

/** What the subscriber `self`, who is not shown to itself, sees and hears. `before` is the plan that this one replaces. */
export function planSlots(stage: Stage, self: string, wishes: SlotWishes, before: SlotPlan): SlotPlan {
  const video = wishes.video ? planVideo(stage, self, wishes, before.video) : emptySlotPlan.video;
  const main = video[0]?.participant ?? null;
  const audio = wishes.audio ? planAudio(stage, self, main, before.audio) : emptySlotPlan.audio;
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

/**
 * The event that tells a client its plan, as JSON: put together from parts, because a change of one source is told to
 * everybody. Ids of participants are hexadecimal, so that nothing in it needs escaping.
 */
export function slotsEvent(plan: SlotPlan): string {
  let text = '';
  for (let slot = 0; slot < videoSlotMids.length; slot++) {
    text += assignmentText(videoSlotMids[slot] as string, 'video', plan.video[slot] ?? null);
  }
  for (let slot = 0; slot < audioSlotMids.length; slot++) {
    text += assignmentText(audioSlotMids[slot] as string, 'audio', plan.audio[slot] ?? null);
  }
  return `{"type":"slots","slots":[${text.slice(1)}]}`;
}

function assignmentText(mid: string, kind: 'audio' | 'video', shown: Shown | null): string {
  const place = `,{"mid":"${mid}","kind":"${kind}",`;
  if (shown === null) return `${place}"participant":null,"source":null}`;
  return `${place}"participant":"${shown.participant}","source":"${shown.source}"}`;
}

function planVideo(stage: Stage, self: string, wishes: SlotWishes, before: SlotPlan['video']): SlotPlan['video'] {
  const main = wishes.layers[0] === null ? null : chooseMain(stage, self, wishes.main, before[0] ?? null);
  const open = wishes.layers.map((layer) => layer !== null);
  const taken = (shown: Shown): boolean => shown.participant === self || sameShown(shown, main);
  return [main, ...fillPlaces(stage, stage.videos, taken, before.slice(1), open.slice(1))];
}

/** The pinned one, else a screen, else who speaks, else who was there, else the newest camera. */
function chooseMain(stage: Stage, self: string, pinned: string | null, before: Shown | null): Shown | null {
  const favourite = pinned === null || pinned === self ? null : videoOf(stage, pinned);
  if (favourite !== null) return favourite;
  const ofAnother = ({ shown }: Ranked): boolean => shown.participant !== self;
  const screen = stage.screens.find(ofAnother);
  if (screen !== undefined) return screen.shown;
  for (const speaker of stage.speakers) {
    const shown = speaker === self ? null : videoOf(stage, speaker);
    if (shown !== null) return shown;
  }
  const spoken = stage.speakers.length > 0;
  if (spoken && before !== null && before.participant !== self && isLive(stage, before)) return before;
  return stage.newest.find(ofAnother)?.shown ?? null;
}

/** A person's screen, else camera. */
function videoOf(stage: Stage, participant: string): Shown | null {
  const videos = stage.people.get(participant)?.videos ?? [];
  const best = videos.find(({ source }) => source === 'screen') ?? videos[0];
  return best === undefined ? null : { participant, source: best.source };
}

function planAudio(stage: Stage, self: string, main: string | null, before: SlotPlan['audio']): SlotPlan['audio'] {
  const first = chooseFirstVoice(stage, self, main, before[0] ?? null);
  const taken = (shown: Shown): boolean => shown.participant === self || shown.participant === first?.participant;
  const places = audioSlotMids.slice(1).map(() => true);
  return [first, ...fillPlaces(stage, stage.voices, taken, before.slice(1), places)];
}

/** Main's own voice. Without any video, slot 0 is a slot like the others, so that three can be heard. */
function chooseFirstVoice(stage: Stage, self: string, main: string | null, before: Shown | null): Shown | null {
  const voice = (id: string): Shown | null =>
    id !== self && stage.people.get(id)?.microphone === true ? { participant: id, source: 'microphone' } : null;
  if (main !== null) return voice(main);
  const kept = before === null ? null : voice(before.participant);
  return kept ?? stage.voices.find(({ shown }) => shown.participant !== self)?.shown ?? null;
}

/**
 * Those who had a place keep it; free ones are filled by rank. Whoever speaks without a place gets that of the one who has
 * been silent longest. Looks at no more of `ranked` than there are places and reasons to skip.
 */
function fillPlaces(
  stage: Stage,
  ranked: readonly Ranked[],
  taken: (shown: Shown) => boolean,
  before: readonly (Shown | null)[],
  open: readonly boolean[],
): (Shown | null)[] {
  const places = before.map((held, at) =>
    held !== null && open[at] === true && !taken(held) && isLive(stage, held) ? held : null,
  );
  const isPlaced = (shown: Shown): boolean => places.some((place) => sameShown(place, shown));
  for (const { shown, spokeAt } of ranked) {
    if (taken(shown) || isPlaced(shown)) continue;
    const free = places.findIndex((place, at) => place === null && open[at] === true);
    const at = free === -1 ? mostSilent(stage, places, spokeAt) : free;
    // The others of this rank spoke even longer ago; screens, which come first, are in no hurry.
    if (at === -1 && shown.source !== 'screen') break;
    if (at !== -1) places[at] = shown;
  }
  return places;
}

/** The place of whoever spoke longest ago, if that is long enough before `spokeAt`; else -1. */
function mostSilent(stage: Stage, places: readonly (Shown | null)[], spokeAt: number): number {
  let silent = -1;
  let since = Infinity;
  places.forEach((place, at) => {
    if (place === null || place.source === 'screen') return;
    const spoke = stage.people.get(place.participant)?.spokeAt ?? -Infinity;
    if (spoke >= since) return;
    silent = at;
    since = spoke;
  });
  return spokeAt - since >= speakerHoldMs ? silent : -1;
}

function isLive(stage: Stage, { participant, source }: Shown): boolean {
  const person = stage.people.get(participant);
  if (person === undefined) return false;
  return source === 'microphone' ? person.microphone : person.videos.some((video) => video.source === source);
}

/** A stable sort: join order among those who never spoke. */
function lastSpeakersFirst<T extends Ranked>(people: readonly T[]): T[] {
  return [...people].sort((a, b) => compare(b.spokeAt, a.spokeAt));
}

/** Compares without subtraction, which two infinities do not survive. */
function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
