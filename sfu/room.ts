/** A room: who is in it, what they tell each other, and who is shown to whom. */
import { controlLimits } from '../tunnel-protocol/index.ts';
import type {
  DataChannel,
  DataMessage,
  ParticipantInfo,
  ParticipantStatus,
  SignalEvent,
  Source,
} from '../tunnel-protocol/index.ts';
import { ActiveSpeaker } from './active-speaker.ts';
import type { Voice } from './active-speaker.ts';
import type { Track } from './forward/index.ts';
import type { Participant } from './participant.ts';
import type { RoomRecording } from './recording/index.ts';
import type { RoomSummary } from './sfu.ts';
import { emptySlotPlan, planSlots, sameSlotPlan, slotsEvent, stageOf } from './slots.ts';
import type { Shown, ShownVideo, SlotPerson, Stage } from './slots.ts';
import { TokenBucket } from './token-bucket.ts';

/** How often it is looked who speaks, in ms. */
export const speakerIntervalMs = 200;
/** How often places are planned anew where more people speak than can be heard or seen, in ms. */
export const placesIntervalMs = 500;
/** Changes that are told at once, one by one; of more, what came since the last tick is told together. */
export const tellBurst = 20;
const tellsPerSecond = 10;
/** UTF-8 bytes of participants in one message. */
export const maxListBytes = controlLimits.maxMessageBytes / 2;
const audioSlots = emptySlotPlan.audio.length;
const videoSlots = emptySlotPlan.video.length;

/** What is to be told of somebody. */
type News = 'joined' | 'updated' | 'left';

export class Room {
  readonly name: string;
  /** All with an open session, joined or not: what the limit counts. */
  readonly sessions = new Set<Participant>();
  /** The joined ones by id, in join order. */
  readonly #members = new Map<string, Participant>();
  /** What was not told yet, by participant. */
  readonly #news = new Map<string, News>();
  readonly #tellBudget: TokenBucket;
  readonly #speaker = new ActiveSpeaker();
  #recording: RoomRecording | null = null;
  /** Numbers publications, so that the newest can be told. */
  #order = 0;
  /** Places must be planned anew. */
  #planDue = false;
  #speakersAt = -Infinity;
  #placesAt = -Infinity;

  constructor(name: string, now: number) {
    this.name = name;
    this.#tellBudget = new TokenBucket(tellBurst, tellsPerSecond, now);
  }

  get summary(): RoomSummary {
    const participants = [...this.#members.values()].map(({ info, rung }) => ({
      id: info.id,
      identity: info.identity,
      name: info.name,
      rung,
      publications: info.publications,
    }));
    const { recording } = this;
    return {
      room: this.name,
      recording: recording === null ? null : { id: recording.id, startedAt: recording.startedAt },
      participants,
    };
  }

  get recording(): RoomRecording | null {
    return this.#recording;
  }

  /** The room is recorded from now on; everybody is told. */
  startRecording(recording: RoomRecording, now: number): void {
    this.#recording = recording;
    recording.follow(this.#members.values(), this.#stage(), now);
    this.#tellLayers(now);
    this.#tellRecording(null, now);
  }

  /** No longer. Returns what it was recorded by, which is to be ended; null when it was not. */
  stopRecording(fault: string | null, now: number): RoomRecording | null {
    const recording = this.#recording;
    this.#recording = null;
    if (recording !== null) this.#tellRecording(fault, now);
    return recording;
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
    participant.tellRung(now);
    if (this.#recording !== null) participant.send({ type: 'recording', active: true, fault: null }, now);
    this.#changed(participant, 'joined', now);
  }

  /** Takes the participant out; nothing is shown to it, and it is shown to nobody. */
  leave(participant: Participant, now: number): void {
    this.sessions.delete(participant);
    if (!this.#members.delete(participant.id)) return;
    participant.egress.assign([], [], now);
    this.releaseData(participant, null);
    this.#recording?.left(participant, now);
    this.#changed(participant, 'left', now);
    participant.joined = false;
  }

  /** Everybody is about to leave: nothing is told or planned any more. */
  close(): void {
    for (const member of this.#members.values()) member.joined = false;
    this.#members.clear();
    this.#news.clear();
  }

  /** Publishes, or publishes again with another mute state. */
  publish(participant: Participant, source: Source, muted: boolean, now: number): void {
    const track = participant.ingress.tracks[source];
    if (track.order !== null && track.muted === muted) return;
    track.order ??= ++this.#order;
    track.muted = muted;
    if (muted) track.hide(now);
    this.#changed(participant, 'updated', now);
  }

  /** False when the source is not published. */
  unpublish(participant: Participant, source: Source, now: number): boolean {
    const track = participant.ingress.tracks[source];
    if (track.order === null) return false;
    track.order = null;
    track.hide(now);
    this.#changed(participant, 'updated', now);
    return true;
  }

  /** False when the source is not published. */
  mute(participant: Participant, source: Source, muted: boolean, now: number): boolean {
    const track = participant.ingress.tracks[source];
    if (track.order === null) return false;
    this.publish(participant, source, muted, now);
    return true;
  }

  /** A moderator mutes: the others and the participant itself are told. False when the source is not published. */
  muteByModerator(participant: Participant, source: Source, now: number): boolean {
    if (!this.mute(participant, source, true, now)) return false;
    participant.send({ type: 'participant-updated', participant: participant.info }, now);
    return true;
  }

  setStatus(participant: Participant, status: ParticipantStatus, now: number): void {
    participant.status = status;
    this.#note(participant, 'updated');
    this.#tellSoon(now);
  }

  /** A message of the participant's own data channel, for whom it is for (data-endpoint.ts). */
  relayData(from: Participant, channel: DataChannel, message: DataMessage): void {
    if (!from.joined) return;
    const to = channel.protocol;
    if (to === '') {
      for (const member of this.#members.values()) {
        if (member !== from) member.endpoint?.deliver(from.id, channel, message);
      }
      return;
    }
    const member = this.#members.get(to);
    if (member !== from) member?.endpoint?.deliver(from.id, channel, message);
  }

  /** The speaker closed that channel; null: all of its own are gone. */
  releaseData(speaker: Participant, channel: DataChannel | null): void {
    for (const member of this.#members.values()) member.endpoint?.release(speaker.id, channel);
  }

  /** What this participant wishes to see is new. */
  wishesChanged(participant: Participant, now: number): void {
    participant.egress.setCeilings(participant.wishes.layers, now);
    // Nobody may be shown who was not announced.
    if (this.#news.size > 0 || this.#planDue) this.#tell(now);
    this.#planFor(participant, this.#stage(), now);
    this.#tellLayers(now);
  }

  tick(now: number): void {
    if (now - this.#speakersAt >= speakerIntervalMs) {
      this.#speakersAt = now;
      if (this.#speaker.update(this.#voices(), now)) this.#planDue = true;
    }
    if (now - this.#placesAt >= placesIntervalMs) {
      this.#placesAt = now;
      if (this.#isCrowded()) this.#planDue = true;
    }
    if (this.#news.size > 0 || this.#planDue) this.#tell(now);
    this.#recording?.tick(now);
  }

  /** What others may see of this participant is new. */
  #changed(participant: Participant, news: News, now: number): void {
    this.#note(participant, news);
    this.#planDue = true;
    this.#tellSoon(now);
  }

  #note(participant: Participant, news: News): void {
    if (!participant.visible) return;
    const earlier = this.#news.get(participant.id);
    // Who came and changed has come. Who came and went is told to be gone: others who came meanwhile were told of them.
    if (earlier !== 'joined' || news === 'left') this.#news.set(participant.id, news);
  }

  #tellSoon(now: number): void {
    if (this.#tellBudget.take(1, now)) this.#tell(now);
  }

  /** Announces what is new and plans the places: the cost is that of the members, not of its square. */
  #tell(now: number): void {
    if (this.#news.size > 0) this.#announce(now);
    if (!this.#planDue) return;
    this.#planDue = false;
    const stage = this.#stage();
    for (const member of this.#members.values()) this.#planFor(member, stage, now);
    this.#recording?.follow(this.#members.values(), stage, now);
    this.#tellLayers(now);
  }

  #announce(now: number): void {
    const news = new Map(this.#news);
    this.#news.clear();
    // Made for the first who is told them: often there is nobody else.
    let all: readonly string[] | null = null;
    for (const member of this.#members.values()) {
      const isNews = news.has(member.id);
      if (isNews && news.size === 1) continue;
      const texts = isNews ? this.#eventsFor(news, member.id) : (all ??= this.#eventsFor(news, null));
      for (const text of texts) member.sendText(text, now);
    }
  }

  /** The announcements for everybody but `self`, or for `self`, who is not told of itself. */
  #eventsFor(news: ReadonlyMap<string, News>, self: string | null): readonly string[] {
    const changed: ParticipantInfo[] = [];
    const left: string[] = [];
    let joined = false;
    for (const [id, what] of news) {
      if (id === self) continue;
      const member = this.#members.get(id);
      joined ||= what === 'joined';
      if (member === undefined) left.push(id);
      else changed.push(member.info);
    }
    if (changed.length + left.length === 0) return [];
    const [only] = changed;
    if (changed.length === 1 && left.length === 0 && only !== undefined) {
      return [event({ type: joined ? 'participant-joined' : 'participant-updated', participant: only })];
    }
    const [gone] = left;
    if (left.length === 1 && changed.length === 0 && gone !== undefined) {
      return [event({ type: 'participant-left', id: gone })];
    }
    const portions = inPortions(changed);
    return portions.map((portion, at) => event({ type: 'participants', changed: portion, left: at === 0 ? left : [] }));
  }

  #tellRecording(fault: string | null, now: number): void {
    const text = event({ type: 'recording', active: this.#recording !== null, fault });
    for (const member of this.#members.values()) member.sendText(text, now);
  }

  #tellLayers(now: number): void {
    for (const member of this.#members.values()) member.tellLayers(now);
  }

  #planFor(member: Participant, stage: Stage, now: number): void {
    if (!member.can('subscribe')) return;
    const plan = planSlots(stage, member.id, member.wishes, member.plan);
    const same = sameSlotPlan(plan, member.plan);
    member.plan = plan;
    // Even when it is the same: a source may have been hidden and shown again in between.
    member.egress.assign(
      plan.video.map((shown) => this.#track(shown)),
      plan.audio.map((shown) => this.#track(shown)),
      now,
    );
    if (!same) member.sendText(slotsEvent(plan), now);
  }

  #track(shown: Shown | null): Track | null {
    if (shown === null) return null;
    return this.#members.get(shown.participant)?.ingress.tracks[shown.source] ?? null;
  }

  #stage(): Stage {
    const people: SlotPerson[] = [];
    for (const member of this.#members.values()) {
      if (!member.visible) continue;
      const { microphone, camera, screen } = member.ingress.tracks;
      const videos: ShownVideo[] = [];
      if (camera.live) videos.push({ source: 'camera', order: camera.order ?? 0 });
      if (screen.live) videos.push({ source: 'screen', order: screen.order ?? 0 });
      people.push({ id: member.id, videos, microphone: microphone.live, spokeAt: microphone.voice.spokeAt });
    }
    return stageOf(people, this.#speaker.recent);
  }

  #voices(): Voice[] {
    const voices: Voice[] = [];
    for (const member of this.#members.values()) {
      const { microphone } = member.ingress.tracks;
      if (member.visible && microphone.live) voices.push({ id: member.id, level: microphone.voice });
    }
    return voices;
  }

  /** Whether there are more voices or videos than a subscriber has places for. */
  #isCrowded(): boolean {
    let voices = 0;
    let videos = 0;
    for (const { visible, ingress } of this.#members.values()) {
      if (!visible) continue;
      if (ingress.tracks.microphone.live) voices++;
      if (ingress.tracks.camera.live) videos++;
      if (ingress.tracks.screen.live) videos++;
    }
    return voices > audioSlots || videos > videoSlots;
  }
}

function event(content: SignalEvent): string {
  return JSON.stringify(content);
}

/** At least one, each small enough for a message. */
export function inPortions(people: readonly ParticipantInfo[]): ParticipantInfo[][] {
  let portion: ParticipantInfo[] = [];
  const portions = [portion];
  let bytes = 0;
  for (const person of people) {
    const own = Buffer.byteLength(JSON.stringify(person)) + 1;
    if (portion.length > 0 && bytes + own > maxListBytes) {
      portions.push((portion = []));
      bytes = 0;
    }
    portion.push(person);
    bytes += own;
  }
  return portions;
}
