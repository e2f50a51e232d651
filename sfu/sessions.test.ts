import { createHook } from 'node:async_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { createDtlsIdentity } from './dtls/index.ts';
import { NativePeer } from './testing/native-peer.ts';
import { offered, rtpPacket, vp8 } from './testing/rtp.ts';
import { startSfu } from './testing/sfu-fixture.ts';
import type { SfuFixture } from './testing/sfu-fixture.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Ids of timers that run, also of those that hold no process alive. */
const timers = new Set<number>();
const timerWatch = createHook({
  init: (id, type) => {
    if (type === 'Timeout') timers.add(id);
  },
  destroy: (id) => timers.delete(id),
});

/** One whole session: joined, published, with a transport that is up in every tenth, ended in one of three ways. */
async function session(
  sfu: SfuFixture,
  identity: Awaited<ReturnType<typeof createDtlsIdentity>>,
  at: number,
): Promise<void> {
  const client = sfu.open({ name: `p${String(at)}`, room: `room ${String(at % 3)}` });
  await client.must({ type: 'join' });
  const peer = new NativePeer(sfu.sfu, client, identity);
  await peer.offer();
  await client.must({ type: 'publish', source: 'camera', muted: false });
  if (client.path !== null) peer.nominate(client.path);
  if (at % 10 === 0) {
    await peer.handshake();
    const options = { ssrc: at + 1, payloadType: offered.vp8, sequenceNumber: at, timestamp: 0, mid: '1', rid: 'h' };
    peer.sendRtp(rtpPacket({ ...options, payload: vp8(1, true, 1) }));
  }
  if (at % 3 === 0) await client.must({ type: 'leave' });
  else if (at % 3 === 1) sfu.sfu.endSession(`session-p${String(at)}`, 'kicked');
  else sfu.sfu.kick(`room 2`, (sfu.sfu.room('room 2')?.participants.at(-1) ?? { id: '' }).id);
  peer.close();
}

t.test('200 sessions come and go, and nothing of them stays', async (t) => {
  timerWatch.enable();
  t.teardown(() => timerWatch.disable());
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const identity = await createDtlsIdentity();
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  for (let at = 0; at < 40; at++) await session(sfu, identity, at);
  const before = heap();
  for (let at = 40; at < 240; at++) await session(sfu, identity, at);
  t.equal(sfu.sfu.counters['sessions_opened'], 240);
  t.equal(sfu.sfu.counters['sessions_ended'], 240);
  t.equal(sfu.sfu.counters['transports_connected'], 24);
  t.strictSame(sfu.sfu.rooms(), []);
  t.strictSame([...sfu.sfu.sessionsByRung()], []);
  // Destruction is told a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(timers.size <= 2, `${String(timers.size)} timers run, one of them the SFU's own`);
  const grown = heap() - before;
  t.ok(grown < 2_000_000, `the heap grew by ${String(grown)} bytes`);
});
