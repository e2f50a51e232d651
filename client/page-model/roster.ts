/** Who is in the room and who is in which slot, kept up to date by the server's events. */
import type { ParticipantInfo, SignalEvent, SlotAssignment } from '../../tunnel-protocol/index.ts';

type RosterNotice = Exclude<SignalEvent, { type: 'reply' | 'participants' }>;

export type RosterChange =
  | {
      readonly type: 'participant-joined' | 'participant-left' | 'participant-updated';
      readonly participant: ParticipantInfo;
    }
  | { readonly type: 'self-updated'; readonly participant: ParticipantInfo }
  | { readonly type: 'slots'; readonly slots: readonly SlotAssignment[] }
  | Extract<RosterNotice, { type: 'recording' }>;

export class Roster {
  readonly #others = new Map<string, ParticipantInfo>();
  /** The room is recorded. */
  recording = false;
  #self: ParticipantInfo | null = null;
  #slots: readonly SlotAssignment[] = [];
  /** Events that came right behind the reply to `join`, before its awaiting code ran. */
  #early: RosterNotice[] = [];

  /** Only after {@link begin}. */
  get self(): ParticipantInfo {
    if (this.#self === null) throw new Error('the roster has not begun');
    return this.#self;
  }

  get others(): readonly ParticipantInfo[] {
    return [...this.#others.values()];
  }

  get slots(): readonly SlotAssignment[] {
    return this.#slots;
  }

  /** What the reply to `join` says. Events that overtook it are applied on top. */
  begin(self: ParticipantInfo, participants: readonly ParticipantInfo[]): void {
    this.#self = self;
    for (const participant of participants) {
      if (participant.id !== self.id) this.#others.set(participant.id, participant);
    }
    const early = this.#early;
    this.#early = [];
    for (const notice of early) this.apply(notice);
  }

  /** Returns what changed for those who watch, or null. */
  apply(notice: RosterNotice): RosterChange | null {
    if (this.#self === null) {
      this.#early.push(notice);
      return null;
    }
    switch (notice.type) {
      case 'participant-joined':
      case 'participant-updated': {
        const { participant } = notice;
        if (participant.id === this.#self.id) {
          this.#self = participant;
          return { type: 'self-updated', participant };
        }
        const known = this.#others.has(participant.id);
        this.#others.set(participant.id, participant);
        return { type: known ? 'participant-updated' : 'participant-joined', participant };
      }
      case 'participant-left': {
        const participant = this.#others.get(notice.id);
        if (participant === undefined) return null;
        this.#others.delete(notice.id);
        return { type: 'participant-left', participant };
      }
      case 'slots':
        this.#slots = notice.slots;
        return { type: 'slots', slots: notice.slots };
      case 'recording':
        this.recording = notice.active;
        return notice;
      case 'layers':
      case 'rung':
      case 'data-ended':
        return null;
    }
  }
}
