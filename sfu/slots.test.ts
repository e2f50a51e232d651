import fc from 'fast-check';
import t from 'tap';
import { decodeSignalEvent } from '../tunnel-protocol/index.ts';
import type { SignalEvent } from '../tunnel-protocol/index.ts';
import { defaultLayers, emptySlotPlan, planSlots, sameSlotPlan, slotsEvent, speakerHoldMs, stageOf } from './slots.ts';
import type { ShownVideo, SlotPerson, SlotPlan, SlotWishes } from './slots.ts';

const all: SlotWishes = { main: null, audio: true, video: true, layers: defaultLayers };

function person(id: string, videos: readonly ShownVideo[] = [], spokeAt = -Infinity, microphone = true): SlotPerson {
  return { id, videos, microphone, spokeAt };
}
const camera = (order: number): ShownVideo => ({ source: 'camera', order });
const screen = (order: number): ShownVideo => ({ source: 'screen', order });
const video = (plan: SlotPlan): string =>
  plan.video
    .map((shown) => (shown === null ? '-' : shown.participant + (shown.source === 'screen' ? '!' : '')))
    .join(' ');
const audio = (plan: SlotPlan): string => plan.audio.map((shown) => shown?.participant ?? '-').join(' ');
const plan = (
  people: readonly SlotPerson[],
  wishes = all,
  before = emptySlotPlan,
  speakers: readonly string[] = [],
  self = 'me',
): SlotPlan => planSlots(stageOf(people, speakers), self, wishes, before);

t.test('main is the pinned one, else a screen, else the newest camera', (t) => {
  const a = person('a', [camera(1)]);
  const b = person('b', [camera(2)]);
  const c = person('c', [camera(3), screen(4)]);
  t.equal(video(plan([a, b])), 'b a - - - -');
  t.equal(video(plan([a, b, c])), 'c! a b c - -');
  t.equal(video(plan([a, b, c], { ...all, main: 'a' })), 'a c! b c - -');
  t.equal(video(plan([a, b, c], { ...all, main: 'c' })), 'c! a b c - -', 'a pinned sharer shows the screen');
  t.equal(video(plan([a, b], { ...all, main: 'gone' })), 'b a - - - -');
  t.equal(
    video(plan([a, person('b')], { ...all, main: 'b' })),
    'a - - - - -',
    'a pinned one without video cannot be main',
  );
  t.end();
});

t.test('nobody moves without need', (t) => {
  const people = ['a', 'b', 'c', 'd', 'e', 'f'].map((id, at) => person(id, [camera(at)]));
  let now = plan(people);
  t.equal(video(now), 'f a b c d e');
  now = plan(
    people.filter(({ id }) => id !== 'b'),
    all,
    now,
  );
  t.equal(video(now), 'f a - c d e', 'a place becomes free');
  now = plan([...people.filter(({ id }) => id !== 'b'), person('g', [camera(9)])], all, now);
  t.equal(video(now), 'g a f c d e', 'the old main takes the free place');
  now = plan([...people.filter(({ id }) => id !== 'b'), person('g', [camera(9)])], { ...all, main: 'c' }, now);
  t.equal(video(now), 'c a f g d e', 'a pinned one changes places with main');
  t.end();
});

t.test('more videos than slots: those who came first are shown', (t) => {
  const people = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((id, at) => person(id, [camera(at)]));
  t.equal(video(plan(people)), 'h a b c d e');
  t.end();
});

t.test('audio slot 0 follows main, the others stay', (t) => {
  const people = [person('a', [camera(1)]), person('b', [camera(2)]), person('c', [camera(3)])];
  let now = plan(people);
  t.equal(audio(now), 'c a b');
  now = plan(people, { ...all, main: 'a' }, now);
  t.equal(audio(now), 'a c b', 'b stays where it was');
  t.equal(audio(plan([person('a', [camera(1)], 0, false), person('b')])), '- b -', 'a silent main has no audio');
  t.equal(audio(plan([person('a'), person('b'), person('c')])), 'a b c', 'without video three are heard');
  t.end();
});

t.test('who speaks is heard', (t) => {
  const people = (spoke: Record<string, number>): SlotPerson[] =>
    ['a', 'b', 'c', 'd', 'e'].map((id) => person(id, [], spoke[id]));
  let now = plan(people({}));
  t.equal(audio(now), 'a b c');
  now = plan(people({ e: 10_000, b: 10_001 - speakerHoldMs, c: 9999 }), all, now);
  t.equal(audio(now), 'a b c', 'the others have just spoken');
  now = plan(people({ e: 10_000, b: 10_000 - speakerHoldMs, c: 9999 }), all, now);
  t.equal(audio(now), 'a e c');
  t.end();
});

t.test('main is who speaks, unless somebody is pinned or a screen is shared', (t) => {
  const people = ['a', 'b', 'c', 'd'].map((id, at) => person(id, id === 'd' ? [] : [camera(at)]));
  t.equal(video(plan(people, all, emptySlotPlan, ['a', 'b'])), 'a b c - - -');
  t.equal(video(plan(people, { ...all, main: 'c' }, emptySlotPlan, ['a'])), 'c a b - - -');
  t.equal(video(plan([...people, person('s', [screen(9)])], all, emptySlotPlan, ['a'])), 's! a b c - -');
  t.equal(video(plan(people, all, emptySlotPlan, ['a', 'b'], 'a')), 'b c - - - -', 'the speaker sees the one before');
  const before = plan(people, all, emptySlotPlan, ['a']);
  t.equal(video(plan(people, all, before, ['d'])), 'a b c - - -', 'a voice without a picture changes none');
  t.equal(audio(plan(people, all, before, ['d'])), 'a b c', 'main keeps its voice');
  t.end();
});

t.test('thumbnails are those who spoke last', (t) => {
  const people = (spoke: Record<string, number>): SlotPerson[] =>
    ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((id, at) => person(id, [camera(at)], spoke[id]));
  let now = plan(people({}), all, emptySlotPlan, ['a']);
  t.equal(video(now), 'a b c d e f');
  now = plan(people({ a: 9000, h: 10_000, b: 9500, c: 9000, d: 8500, f: 8000 }), all, now, ['a']);
  t.equal(video(now), 'a b c d h f', 'e never spoke');
  now = plan(people({ a: 9000, h: 10_000, g: 10_500, b: 9500, c: 9000, d: 8501, f: 8501 }), all, now, ['a']);
  t.equal(video(now), 'a b c d h f', 'nobody has been silent long enough');
  now = plan(people({ a: 9000, h: 10_000, g: 10_501, b: 9500, c: 9000, d: 8501, f: 8501 }), all, now, ['a']);
  t.equal(video(now), 'a b c g h f');
  t.end();
});

t.test('nobody is put where nothing is shown', (t) => {
  const people = ['a', 'b', 'c', 'd', 'e'].map((id, at) => person(id, [camera(at)]));
  const lastTwo: SlotWishes = { ...all, layers: ['h', 'l', null, 'l', null, null] };
  t.equal(video(plan(people, lastTwo)), 'e a - b - -');
  t.equal(video(plan(people, { ...all, layers: [null, ...defaultLayers.slice(1)] })), '- a b c d e');
  t.equal(video(plan(people, lastTwo, plan(people))), 'e a - c - -', 'who has an open place keeps it');
  t.end();
});

t.test('kinds that are not wanted are not assigned', (t) => {
  const people = [person('a', [camera(1)]), person('b', [camera(2)])];
  t.equal(video(plan(people, { ...all, video: false })), '- - - - - -');
  t.equal(audio(plan(people, { ...all, video: false })), 'a b -');
  t.equal(audio(plan(people, { ...all, audio: false })), '- - -');
  t.end();
});

t.test('assignments name every mid', (t) => {
  const text = slotsEvent(plan([person('a', [screen(1)])]));
  const event = decodeSignalEvent(text) as Extract<SignalEvent, { type: 'slots' }>;
  t.equal(JSON.stringify(event), text);
  const told = event.slots;
  t.equal(told.map(({ mid }) => mid).join(), '3,4,5,6,7,8,9,10,11');
  t.strictSame(told[0], { mid: '3', kind: 'video', participant: 'a', source: 'screen' });
  t.strictSame(told[1], { mid: '4', kind: 'video', participant: null, source: null });
  t.strictSame(told[6], { mid: '9', kind: 'audio', participant: 'a', source: 'microphone' });
  t.end();
});

const names = 'a b c d e f g h i j'.split(' ');

t.test('properties: nothing twice, nothing unknown, and the same input changes nothing', (t) => {
  const people = fc.uniqueArray(
    fc.record({
      id: fc.constantFrom(...names),
      videos: fc.uniqueArray(
        fc.record({ source: fc.constantFrom('camera' as const, 'screen' as const), order: fc.nat(99) }),
        { maxLength: 2, selector: (shown) => shown.source },
      ),
      microphone: fc.boolean(),
      spokeAt: fc.oneof(fc.constant(-Infinity), fc.nat(20_000)),
    }),
    { selector: (someone) => someone.id },
  );
  const wishes = fc.record({
    main: fc.oneof(fc.constant(null), fc.constantFrom(...names)),
    audio: fc.boolean(),
    video: fc.boolean(),
    layers: fc.tuple(...defaultLayers.map((layer) => fc.constantFrom(layer, null))),
  });
  const speakers = fc.uniqueArray(fc.constantFrom(...names), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(fc.tuple(people, wishes, speakers), { minLength: 1, maxLength: 6 }), (steps) => {
      let now = emptySlotPlan;
      for (const [everybody, wanted, spoke] of steps) {
        const stage = stageOf(everybody, spoke);
        const present = everybody.filter(({ id }) => id !== 'a');
        now = planSlots(stage, 'a', wanted, now);
        if (!sameSlotPlan(planSlots(stage, 'a', wanted, now), now)) return false;
        if (wanted.layers.some((layer, at) => layer === null && now.video[at] !== null)) return false;
        const shown = [...now.video, ...now.audio].filter((one) => one !== null);
        if (new Set(shown.map((one) => `${one.participant} ${one.source}`)).size !== shown.length) return false;
        if (now.video.length !== 6 || now.audio.length !== 3) return false;
        for (const { participant, source } of shown) {
          const someone = present.find(({ id }) => id === participant);
          if (someone === undefined) return false;
          if (source === 'microphone' ? !someone.microphone : !someone.videos.some((one) => one.source === source)) {
            return false;
          }
        }
        const open = wanted.layers.filter((layer) => layer !== null).length;
        const wantedVideos = wanted.video ? Math.min(open, present.flatMap(({ videos }) => videos).length) : 0;
        if (now.video.filter((one) => one !== null).length !== wantedVideos) return false;
      }
      return true;
    }),
  );
  t.end();
});
