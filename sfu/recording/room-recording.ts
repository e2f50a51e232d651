/** A room that is recorded: follows who is there, what they publish, and who is shown large. */
import type { Participant } from '../participant.ts';
import { defaultLayers, emptySlotPlan, planSlots, sameShown, type SlotPlan, type Stage } from '../slots.ts';
import { manifestVersion, note, type RecordingCause, type RecordingManifest } from './manifest.ts';
import { ParticipantRecorder, type ParticipantRecorderDeps } from './participant-recorder.ts';
import type { RecordingFault, RecordingPlace, RecordingStore } from './recording-store.ts';
import type { TrackRecorderDeps } from './track-recorder.ts';

/** The JSON is written so often, in ms: what a crash costs of it. */
export const describeMs = 1000;

export interface RoomRecordingDeps extends TrackRecorderDeps {
  readonly store: RecordingStore;
  /** Unix time in ms. */
  readonly wallClock: () => number;
  /** The recording cannot go on. */
  readonly onFault: (fault: RecordingFault) => void;
}

export class RoomRecording {
  readonly id: string;
  readonly #deps: RoomRecordingDeps;
  readonly #place: RecordingPlace;
  readonly #manifest: RecordingManifest;
  readonly #startMs: number;
  readonly #people = new Map<string, ParticipantRecorder>();
  readonly #shared: ParticipantRecorderDeps;
  #plan: SlotPlan = emptySlotPlan;
  #describedAt = -Infinity;
  #ended = false;

  constructor(deps: RoomRecordingDeps, id: string, room: string, startedBy: RecordingCause, now: number) {
    this.id = id;
    this.#deps = deps;
    this.#startMs = now;
    this.#manifest = {
      version: manifestVersion,
      id,
      room,
      startedAt: new Date(deps.wallClock()).toISOString(),
      endedAt: null,
      durationMs: 0,
      startedBy,
      endedBy: null,
      participants: [],
      tracks: [],
      files: [],
      layout: [],
    };
    this.#place = deps.store.open({ id, room }, deps.onFault);
    this.#shared = {
      ...deps,
      place: this.#place,
      startMs: now,
      track: (track) => {
        note(this.#manifest.tracks, track);
      },
      file: (file) => {
        note(this.#manifest.files, file);
      },
    };
  }

  get startedAt(): string {
    return this.#manifest.startedAt;
  }

  /** The places of the room were planned anew. */
  follow(members: Iterable<Participant>, stage: Stage, now: number): void {
    for (const member of members) {
      if (!member.visible) continue;
      let person = this.#people.get(member.id);
      if (person === undefined) {
        person = new ParticipantRecorder(this.#shared, member, now);
        this.#people.set(member.id, person);
        note(this.#manifest.participants, person.entry);
      }
      person.follow(now);
    }
    this.#layOut(stage, now);
  }

  left(participant: Participant, now: number): void {
    const person = this.#people.get(participant.id);
    if (person === undefined) return;
    person.end(now);
    person.entry.leftMs = this.#ms(now);
    this.#people.delete(participant.id);
  }

  tick(now: number): void {
    for (const person of this.#people.values()) person.tick(now);
    if (now - this.#describedAt >= describeMs) this.#describe(now);
  }

  /** Resolves when all of it is stored, or cannot be. */
  async end(cause: RecordingCause, now: number): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    for (const person of this.#people.values()) person.end(now);
    this.#people.clear();
    this.#manifest.endedAt = new Date(this.#deps.wallClock()).toISOString();
    this.#manifest.endedBy = cause;
    this.#describe(now);
    await this.#place.end();
  }

  /** What somebody sees who pinned nobody and is not shown. */
  #layOut(stage: Stage, now: number): void {
    const wishes = { main: null, audio: true, video: true, layers: defaultLayers };
    const before = this.#plan.video[0] ?? null;
    this.#plan = planSlots(stage, '', wishes, this.#plan);
    const main = this.#plan.video[0] ?? null;
    if (sameShown(main, before)) return;
    note(this.#manifest.layout, { atMs: this.#ms(now), main });
  }

  #describe(now: number): void {
    this.#describedAt = now;
    this.#manifest.durationMs = this.#ms(now);
    this.#place.describe(`${JSON.stringify(this.#manifest, null, 2)}\n`);
  }

  #ms(now: number): number {
    return Math.round(now - this.#startMs);
  }
}
