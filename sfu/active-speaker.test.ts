import t from 'tap';
import { ActiveSpeaker, challengeMs, pauseMs, speakerMinMs, VoiceLevel } from './active-speaker.ts';

/** People on a virtual clock, with packets every 20 ms and a look every 200 ms. */
class Conversation {
  now = 0;
  readonly speaker = new ActiveSpeaker();
  readonly voices = new Map<string, VoiceLevel>();
  /** Who became the speaker, in order. */
  readonly heard: string[] = [];

  constructor(...names: string[]) {
    for (const name of names) this.voices.set(name, new VoiceLevel());
  }

  /** Levels in −dBov for this long; who is not named is silent (127), who is null sends nothing. */
  pass(ms: number, levels: Readonly<Record<string, number | null>> = {}): void {
    for (let end = this.now + ms; this.now < end;) {
      this.now += 20;
      for (const [name, voice] of this.voices) {
        const level = levels[name] === undefined ? 127 : levels[name];
        if (level !== null) voice.heard(level, this.now);
      }
      if (this.now % 200 === 0) this.look();
    }
  }

  look(): boolean {
    const voices = [...this.voices].map(([id, level]) => ({ id, level }));
    const changed = this.speaker.update(voices, this.now);
    if (changed) this.heard.push(this.speaker.recent[0] ?? '-');
    return changed;
  }
}

t.test('the first who speaks is the speaker at once, and stays when silent', (t) => {
  const talk = new Conversation('a', 'b');
  talk.pass(1000);
  t.strictSame(talk.heard, []);
  talk.pass(400, { b: 25 });
  t.strictSame(talk.heard, ['b']);
  talk.pass(60_000);
  t.strictSame(talk.speaker.recent, ['b']);
  t.end();
});

t.test('a cough moves nobody, a change of speakers does', (t) => {
  const talk = new Conversation('a', 'b');
  talk.pass(5000, { a: 25 });
  for (let i = 0; i < 5; i++) {
    talk.pass(300, { a: 25, b: 10 });
    talk.pass(1700, { a: 25 });
  }
  t.strictSame(talk.heard, ['a'], 'shorter than a challenge takes');
  talk.pass(pauseMs + challengeMs + 400, { b: 30 });
  t.strictSame(talk.heard, ['a', 'b']);
  t.strictSame(talk.speaker.recent, ['b', 'a'], 'for b itself, a is the last one');
  t.end();
});

t.test('while both speak, only who is clearly louder takes over', (t) => {
  const talk = new Conversation('a', 'b');
  talk.pass(5000, { a: 30 });
  talk.pass(20_000, { a: 30, b: 27 });
  t.strictSame(talk.heard, ['a']);
  talk.pass(5000, { a: 30, b: 15 });
  t.strictSame(talk.heard, ['a', 'b']);
  t.end();
});

t.test('nobody is speaker for a moment only', (t) => {
  const talk = new Conversation('a', 'b');
  const changes: number[] = [];
  for (let turn = 0; turn < 60; turn++) {
    const before = talk.heard.length;
    talk.pass(1000, turn % 2 === 0 ? { a: 20 } : { b: 20 });
    if (talk.heard.length > before) changes.push(talk.now);
  }
  const gaps = changes.slice(1).map((at, i) => at - (changes[i] ?? 0));
  t.ok(gaps.every((gap) => gap >= speakerMinMs - 1000));
  t.ok(changes.length <= 30, `${String(changes.length)} changes in a minute`);
  t.end();
});

t.test('who leaves or is muted is speaker no more', (t) => {
  const talk = new Conversation('a', 'b');
  talk.pass(3000, { a: 20 });
  talk.pass(4000, { b: 20 });
  talk.voices.delete('b');
  t.equal(talk.look(), true);
  t.strictSame(talk.speaker.recent, ['a']);
  t.equal(talk.look(), false);
  t.end();
});

t.test('packets that stop (DTX) are silence', (t) => {
  const voice = new VoiceLevel();
  for (let now = 0; now < 2000; now += 20) voice.heard(20, now);
  const loud = voice.loudness(2000);
  t.ok(loud > 100);
  t.ok(voice.loudness(4000) < loud / 10);
  t.equal(voice.spokeAt, 1980);
  t.end();
});
