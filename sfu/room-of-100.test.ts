import t from 'tap';
import type { ParticipantInfo, SignalEvent } from '../tunnel-protocol/index.ts';
import { tellBurst } from './room.ts';
import { planSlots, defaultLayers, emptySlotPlan, stageOf } from './slots.ts';
import type { SlotPerson } from './slots.ts';
import { startSfu } from './testing/sfu-fixture.ts';
import type { TunnelClient } from './testing/tunnel.ts';

/** What events cost the room: how many messages, and how many bytes of them. */
interface Cost {
  readonly messages: number;
  readonly bytes: number;
}

function costOf(clients: readonly TunnelClient[]): Cost {
  const events = clients.flatMap(({ events }) => events);
  return { messages: events.length, bytes: events.reduce((sum, event) => sum + JSON.stringify(event).length, 0) };
}

t.test('in a room of 100 an event costs a message for each member, and bursts are told together', async (t) => {
  let now = 1000;
  const { open, close, sfu } = await startSfu({}, () => now);
  t.teardown(() => close());
  const clients: TunnelClient[] = [];
  const ids: string[] = [];
  /** Until the tick has told all there is to tell. */
  const settle = async (): Promise<void> => {
    now += 10_000;
    const last = clients.at(-1);
    await last?.must({ type: 'status', status: { settled: now } });
    const [first] = clients;
    while (first?.events.some((event) => changed(event).some(({ status }) => status['settled'] === now)) === false) {
      await new Promise<void>((resolve) => {
        first.onEvent = () => {
          resolve();
        };
      });
    }
  };
  const measure = async (act: () => Promise<unknown>): Promise<Cost> => {
    for (const client of clients) client.events.length = 0;
    await act();
    return costOf(clients);
  };
  for (let i = 0; i < 100; i++) {
    const client = open({ name: `p${String(i)}`, can: ['publish', 'subscribe'] });
    ids.push((await client.must({ type: 'join' })).self.id);
    clients.push(client);
    now += 100;
    await client.must({ type: 'publish', source: 'microphone', muted: false });
    now += 100;
    await client.must({ type: 'publish', source: 'camera', muted: false });
    now += 100;
  }
  await settle();
  const [first, second] = clients;

  const mute = await measure(async () => first?.must({ type: 'mute', source: 'microphone', muted: true }));
  t.ok(mute.messages <= 2 * 99, `${String(mute.messages)} messages for a mute`);
  const pin = await measure(async () =>
    second?.must({ type: 'subscribe', main: ids[50] ?? '', audio: true, video: true }),
  );
  t.equal(pin.messages, 1, 'a wish concerns nobody else');

  // All at once: told in portions of what came since the last tick, not one by one.
  await settle();
  const burst = await measure(async () => {
    await Promise.all(clients.map((client) => client.must({ type: 'mute', source: 'camera', muted: true })));
    await settle();
  });
  const singly = 99 * 100;
  t.ok(
    burst.messages <= (tellBurst + 5) * 99 * 2,
    `${String(burst.messages)} messages, where one by one were ${String(singly)} and as many slots`,
  );
  const everything = clients.map(({ events }) => events.flatMap(changed).map(({ id }) => id));
  for (const [at, seen] of everything.entries()) {
    const others = ids.filter((id) => id !== ids[at]);
    if (!others.every((id) => seen.includes(id))) t.fail(`p${String(at)} was not told everything`);
  }

  const leave = await measure(async () => {
    await clients.pop()?.must({ type: 'leave' });
  });
  t.ok(leave.messages <= 2 * 99, `${String(leave.messages)} messages for a leave`);
  t.ok(leave.bytes <= 99 * 1500, `${String(leave.bytes)} bytes for a leave`);
  t.equal(sfu.counters['internal_errors'], 0);
});

function changed(event: SignalEvent): readonly ParticipantInfo[] {
  if (event.type === 'participants') return event.changed;
  return event.type === 'participant-updated' ? [event.participant] : [];
}

t.test('planning a subscriber looks at no more people than it has places for', (t) => {
  const looked = (count: number): number => {
    const people: SlotPerson[] = Array.from({ length: count }, (_, at) => ({
      id: `p${String(at)}`,
      videos: [{ source: 'camera', order: at }],
      microphone: true,
      spokeAt: at % 7 === 0 ? at : -Infinity,
    }));
    const stage = stageOf(people, ['p3']);
    const wishes = { main: null, audio: true, video: true, layers: defaultLayers };
    const before = planSlots(stage, 'p0', wishes, emptySlotPlan);
    let reads = 0;
    const counted = <T extends object>(target: T): T =>
      new Proxy(target, {
        get: (of, key) => {
          reads++;
          const value: unknown = Reflect.get(of, key, of);
          return typeof value === 'function' ? (value.bind(of) as unknown) : value;
        },
      });
    const ranked = { videos: counted([...stage.videos]), voices: counted([...stage.voices]) };
    const rest = { people: counted(stage.people as Map<string, SlotPerson>), newest: counted([...stage.newest]) };
    planSlots({ ...stage, ...ranked, ...rest }, 'p0', wishes, before);
    return reads;
  };
  t.ok(looked(1000) <= looked(20) * 2, `${String(looked(1000))} looks at 1000, ${String(looked(20))} at 20`);
  t.end();
});
