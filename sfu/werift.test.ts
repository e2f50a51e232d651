import t from 'tap';
import { vp8 } from './testing/rtp.ts';
import { startSfu } from './testing/sfu-fixture.ts';
import { connectWerift } from './testing/werift-peer.ts';
import type { WeriftPeer } from './testing/werift-peer.ts';

/** Sends a frame every 5 ms until stopped; the first of ten is a key frame. */
function publish(peer: WeriftPeer, from: number): () => void {
  let count = 0;
  const timer = setInterval(() => {
    const number = from + count;
    peer.send('video', (number * 3) & 0xffff, number * 3000, vp8(number & 0x7fff, count % 10 === 0, number), true);
    peer.send('audio', number & 0xffff, number * 960, Uint8Array.of(0xf8, number >> 8, number & 0xff), false);
    count++;
  }, 5);
  return () => {
    clearInterval(timer);
  };
}

t.test("werift's stack at both ends: one numbering per slot, whoever is shown", async (t) => {
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const join = async (name: string): Promise<{ peer: WeriftPeer; id: string }> => {
    const client = sfu.open({ name });
    const { self } = await client.must({ type: 'join' });
    const peer = await connectWerift(client);
    t.teardown(() => peer.close());
    if (name !== 'viewer') {
      await client.must({ type: 'publish', source: 'microphone', muted: false });
      await client.must({ type: 'publish', source: 'camera', muted: false });
    }
    return { peer, id: self.id };
  };
  const viewer = await join('viewer');
  const a = await join('a');
  const arrived = (mid: string, fits: (number: number) => boolean, count: number): Promise<void> =>
    new Promise((resolve) => {
      viewer.peer.onRtp = () => {
        const packets = viewer.peer.received.get(mid) ?? [];
        if (packets.filter(({ payload }) => fits(payload.readUInt16BE(payload.length - 2))).length >= count) resolve();
      };
    });

  const stopA = publish(a.peer, 1000);
  t.teardown(stopA);
  await arrived('3', (number) => number < 30_000, 40);
  const b = await join('b');
  const stopB = publish(b.peer, 40_000);
  t.teardown(stopB);
  await arrived('3', (number) => number >= 40_000, 40);
  await arrived('4', (number) => number < 30_000, 20);
  stopA();
  stopB();

  const main = viewer.peer.received.get('3') ?? [];
  const numbers = main.map(({ payload }) => payload.readUInt16BE(payload.length - 2));
  const first = numbers.findIndex((number) => number >= 40_000);
  t.ok(first > 0);
  t.ok(numbers.slice(0, first).every((number) => number < 30_000) && numbers.slice(first).every((n) => n >= 40_000));
  t.equal((main[first]?.payload[4] ?? 1) & 1, 0, 'the switch is at a key frame');
  t.equal(new Set(main.map(({ header }) => header.ssrc)).size, 1);
  for (const [at, packet] of main.entries()) {
    const before = main[at - 1];
    if (before === undefined) continue;
    const step = (packet.header.sequenceNumber - before.header.sequenceNumber) & 0xffff;
    const frames = (numbers[at] ?? 0) - (numbers[at - 1] ?? 0);
    // The publisher left two numbers out between frames; a switch leaves none out.
    t.equal(step, at === first ? 1 : frames * 3, `packet ${String(at)}`);
    t.equal((packet.payload.readUInt16BE(2) - before.payload.readUInt16BE(2)) & 0x7fff, at === first ? 1 : frames);
    t.ok(((packet.header.timestamp - before.header.timestamp) | 0) > 0);
  }
  t.ok((viewer.peer.received.get('9') ?? []).length > 0);
  t.ok((viewer.peer.received.get('10') ?? []).length > 0);
  t.equal(sfu.sfu.counters['internal_errors'], 0);
});
