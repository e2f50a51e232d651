import fc from 'fast-check';
import t from 'tap';
import { emptySlotPlan, planSlots, sameSlotPlan, slotAssignments, speakerHoldMs } from './slots.ts';
import type { ShownVideo, SlotPerson, SlotPlan, SlotWishes } from './slots.ts';

const all: SlotWishes = { main: null, audio: true, video: true };

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
const plan = (people: readonly SlotPerson[], wishes = all, before = emptySlotPlan): SlotPlan =>
  planSlots(people, wishes, before);

t.test('main is the pinned one, else a screen, else the newest camera', (t) => {
  const a = person('a', [camera(1)]);
  const b = person('b', [camera(2)]);
  const c = person('c', [camera(3), screen(4)]);
  t.equal(video(plan([a, b])), 'b a - - - -');
  t.equal(video(plan([a, b, c])), 'c! a b c - -');
  t.equal(video(plan([a, b, c], { ...all, main: 'a' })), 'a b c c! - -');
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

t.test('kinds that are not wanted are not assigned', (t) => {
  const people = [person('a', [camera(1)]), person('b', [camera(2)])];
  t.equal(video(plan(people, { ...all, video: false })), '- - - - - -');
  t.equal(audio(plan(people, { ...all, video: false })), 'a b -');
  t.equal(audio(plan(people, { ...all, audio: false })), '- - -');
  t.end();
});

t.test('assignments name every mid', (t) => {
  const told = slotAssignments(plan([person('a', [screen(1)])]));
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
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(people, wishes), { minLength: 1, maxLength: 6 }), (steps) => {
      let now = emptySlotPlan;
      for (const [present, wanted] of steps) {
        now = planSlots(present, wanted, now);
        if (!sameSlotPlan(planSlots(present, wanted, now), now)) return false;
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
        const wantedVideos = wanted.video ? Math.min(6, present.flatMap(({ videos }) => videos).length) : 0;
        if (now.video.filter((one) => one !== null).length !== wantedVideos) return false;
      }
      return true;
    }),
  );
  t.end();
});
