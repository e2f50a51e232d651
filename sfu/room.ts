/** A room: who is in it, what they tell each other, and who is shown to whom. */
import type { ParticipantStatus, SignalEvent, Source } from '../tunnel-protocol/index.ts';
import type { Track } from './forward/index.ts';
import type { Participant } from './participant.ts';
import type { RoomSummary } from './sfu.ts';
import { emptySlotPlan, planSlots, sameSlotPlan, slotAssignments } from './slots.ts';
import type { Shown, ShownVideo, SlotPerson } from './slots.ts';

/** How often the audio slots are planned anew where more people speak than can be heard, in ms. */
export const speakerIntervalMs = 500;
const audioSlots = emptySlotPlan.audio.length;

export class Room {
  readonly name: string;
  /** All with an open session, joined or not: what the limit counts. */
  readonly sessions = new Set<Participant>();
  /** The joined ones by id, in join order. */
  readonly #members = new Map<string, Participant>();
  /** Numbers publications, so that the newest can be told. */
  #order = 0;
  #speakersAt = -Infinity;

  constructor(name: string) {
    this.name = name;
  }

  get summary(): RoomSummary {
    const participants = [...this.#members.values()].map(({ info, rung }) => ({
      id: info.id,
      identity: info.identity,
      name: info.name,
      rung,
      publications: info.publications,
    }));
    return { room: this.name, participants };
  }

  member(id: string): Participant | undefined {
    return this.#members.get(id);
  }

  /** The others that this participant may see. */
  visibleTo(participant: Participant): Participant[] {
    return [...this.#members.values()].filter((other) => other !== participant && other.visible);
  }

  /** `reply` tells the newcomer, before anybody tells it anything else. */
  join(participant: Participant, now: number, reply: () => void): void {
    participant.joined = true;
    this.#members.set(participant.id, participant);
    reply();
    if (participant.visible)
      this.#announce(participant, { type: 'participant-joined', participant: participant.info }, now);
    participant.tellRung(now);
    this.#plan(now);
  }

  /** Takes the participant out; nothing is shown to it, and it is shown to nobody. */
  leave(participant: Participant, now: number): void {
    this.sessions.delete(participant);
    if (!this.#members.delete(participant.id)) return;
    participant.egress.assign([], [], now);
    if (participant.visible) this.#announce(participant, { type: 'participant-left', id: participant.id }, now);
    participant.joined = false;
    this.#plan(now);
  }

  /** Publishes, or publishes again with another mute state. */
  publish(participant: Participant, source: Source, muted: boolean, now: number): void {
    const track = participant.ingress.tracks[source];
    if (track.order !== null && track.muted === muted) return;
    track.order ??= ++this.#order;
    track.muted = muted;
    this.#changed(participant, now);
  }

  /** False when the source is not published. */
  unpublish(participant: Participant, source: Source, now: number): boolean {
    const track = participant.ingress.tracks[source];
    if (track.order === null) return false;
    track.order = null;
    this.#changed(participant, now);
    return true;
  }

  /** False when the source is not published. */
  mute(participant: Participant, source: Source, muted: boolean, now: number): boolean {
    const track = participant.ingress.tracks[source];
    if (track.order === null) return false;
    this.publish(participant, source, muted, now);
    return true;
  }

  setStatus(participant: Participant, status: ParticipantStatus, now: number): void {
    participant.status = status;
    this.#announceUpdate(participant, now);
  }

  /** What this participant wishes to see is new. */
  wishesChanged(participant: Participant, now: number): void {
    this.#planFor(participant, this.#people(), now);
  }

  tick(now: number): void {
    if (now - this.#speakersAt < speakerIntervalMs) return;
    this.#speakersAt = now;
    const people = this.#people();
    let microphones = 0;
    for (const { microphone } of people) if (microphone) microphones++;
    if (microphones > audioSlots) this.#planAll(people, now);
  }

  /** What others may see of this participant is new. */
  #changed(participant: Participant, now: number): void {
    this.#announceUpdate(participant, now);
    this.#plan(now);
  }

  #announceUpdate(participant: Participant, now: number): void {
    if (!participant.visible) return;
    this.#announce(participant, { type: 'participant-updated', participant: participant.info }, now);
  }

  #announce(about: Participant, event: SignalEvent, now: number): void {
    for (const member of this.#members.values()) if (member !== about) member.send(event, now);
  }

  #plan(now: number): void {
    this.#planAll(this.#people(), now);
  }

  #planAll(people: readonly SlotPerson[], now: number): void {
    for (const member of this.#members.values()) this.#planFor(member, people, now);
  }

  #planFor(member: Participant, people: readonly SlotPerson[], now: number): void {
    if (!member.can('subscribe')) return;
    const others = people.filter(({ id }) => id !== member.id);
    const plan = planSlots(others, member.wishes, member.plan);
    if (sameSlotPlan(plan, member.plan)) return;
    member.plan = plan;
    member.egress.assign(
      plan.video.map((shown) => this.#track(shown)),
      plan.audio.map((shown) => this.#track(shown)),
      now,
    );
    member.send({ type: 'slots', slots: slotAssignments(plan) }, now);
  }

  #track(shown: Shown | null): Track | null {
    if (shown === null) return null;
    return this.#members.get(shown.participant)?.ingress.tracks[shown.source] ?? null;
  }

  #people(): SlotPerson[] {
    const people: SlotPerson[] = [];
    for (const member of this.#members.values()) {
      if (!member.visible) continue;
      const { microphone, camera, screen } = member.ingress.tracks;
      const videos: ShownVideo[] = [];
      if (camera.live) videos.push({ source: 'camera', order: camera.order ?? 0 });
      if (screen.live) videos.push({ source: 'screen', order: screen.order ?? 0 });
      people.push({ id: member.id, videos, microphone: microphone.live, spokeAt: microphone.spokeAt });
    }
    return people;
  }
}
