/** Who speaks, told from audio levels (RFC 6464) with hysteresis: a cough or a "yes" must not move anybody's picture. */

/** How fast a voice's loudness follows its level, in ms. */
const smoothingMs = 400;
/** A level in −dBov at or below which a microphone is taken to carry speech. */
export const speechLevel = 45;
/** How much louder than the speaker somebody must be to take over while both speak, in dB. */
export const leadDb = 6;
/** For how long a challenger must be ahead, in ms. */
export const challengeMs = 600;
/** How long a speaker stays at least, in ms, unless gone or muted. */
export const speakerMinMs = 2000;
/** A speaker of whom nothing was heard for so long has stopped, in ms. */
export const pauseMs = 1000;
/** How many past speakers are remembered, for subscribers who are the speaker themselves. */
const remembered = 3;

/** The smoothed loudness of one microphone. */
export class VoiceLevel {
  /** When it was last loud enough to be speech, in ms; -Infinity for never. */
  spokeAt = -Infinity;
  #loudness = 0;
  #heardAt = -Infinity;

  /** One packet's level in −dBov, 0 (loudest) to 127 (silence). */
  heard(level: number, now: number): void {
    // After a pause (DTX) what was before counts for little; the first packet ever counts for 20 ms.
    const passed = Math.min(smoothingMs, Math.max(0, this.#heardAt === -Infinity ? 20 : now - this.#heardAt));
    this.#heardAt = now;
    this.#loudness += (127 - level - this.#loudness) * (passed / (passed + smoothingMs));
    if (level <= speechLevel) this.spokeAt = now;
  }

  /** In dB above silence; falls by itself while nothing comes. */
  loudness(now: number): number {
    const silent = now - this.#heardAt;
    return silent <= smoothingMs ? this.#loudness : this.#loudness * Math.exp(1 - silent / smoothingMs);
  }
}

export interface Voice {
  readonly id: string;
  readonly level: VoiceLevel;
}

export class ActiveSpeaker {
  #recent: readonly string[] = [];
  #since = -Infinity;
  #challenger: string | null = null;
  #challengedAt = 0;

  /** The present speaker and those before, the latest first. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** Looks at all voices of a room, at least every {@link challengeMs} / 2. True when the speaker is another one. */
  update(voices: readonly Voice[], now: number): boolean {
    const present = this.#recent.filter((id) => voices.some((voice) => voice.id === id));
    const gone = present[0] !== this.#recent[0];
    this.#recent = present;
    const speaker = voices.find(({ id }) => id === present[0]) ?? null;
    const loudest = loudestOf(voices, now);
    if (loudest === null || loudest === speaker || !this.#beats(loudest, speaker, now)) {
      this.#challenger = null;
      return gone;
    }
    if (this.#challenger !== loudest.id) {
      this.#challenger = loudest.id;
      this.#challengedAt = now;
    }
    const waits = speaker !== null && (now - this.#challengedAt < challengeMs || now - this.#since < speakerMinMs);
    if (waits) return gone;
    this.#challenger = null;
    this.#since = now;
    this.#recent = [loudest.id, ...present.filter((id) => id !== loudest.id)].slice(0, remembered);
    return true;
  }

  #beats(challenger: Voice, speaker: Voice | null, now: number): boolean {
    if (speaker === null || now - speaker.level.spokeAt >= pauseMs) return true;
    return challenger.level.loudness(now) >= speaker.level.loudness(now) + leadDb;
  }
}

/** Of those who have just spoken; null when nobody has. */
function loudestOf(voices: readonly Voice[], now: number): Voice | null {
  let loudest: Voice | null = null;
  let loudness = -Infinity;
  for (const voice of voices) {
    if (now - voice.level.spokeAt >= pauseMs) continue;
    const own = voice.level.loudness(now);
    if (own <= loudness) continue;
    loudest = voice;
    loudness = own;
  }
  return loudest;
}
