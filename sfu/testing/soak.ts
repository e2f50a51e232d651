/**
 * People who come, are connected, send, and leave, over and over, and what they leave behind: heap, descriptors, timers, and
 * what the SFU itself keeps. `node --expose-gc dist/sfu/testing/soak.js [cycles]` prints it; the test runs fewer.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDtlsIdentity } from '../dtls/index.ts';
import { NativePeer } from './native-peer.ts';
import { offered, rtpPacket, vp8 } from './rtp.ts';
import { startSfu } from './sfu-fixture.ts';

export interface Remains {
  readonly cycles: number;
  /** Growth per cycle over the second half, in bytes; NaN where the process may not collect garbage. */
  readonly heapBytesPerCycle: number;
  readonly descriptors: number;
  readonly timers: number;
  readonly sessions: number;
  readonly rooms: number;
  readonly internalErrors: number;
}

/** How many are in the room at once. */
const together = 4;

export async function soak(cycles: number, progress: (text: string) => void = () => undefined): Promise<Remains> {
  const sfu = await startSfu();
  const identity = await createDtlsIdentity();
  let count = 0;
  const visit = async (): Promise<void> => {
    const name = `p${String(count++)}`;
    const client = sfu.open({ name });
    const peer = new NativePeer(sfu.sfu, client, identity);
    await client.must({ type: 'join' });
    await peer.offer();
    const path = peer.openPath('udp');
    peer.check(path);
    peer.nominate(path);
    await peer.handshake();
    await client.must({ type: 'publish', source: 'camera', muted: false });
    for (let i = 1; i <= 5; i++) {
      const frame = { ssrc: 1000 + count, payloadType: offered.vp8, sequenceNumber: i, timestamp: i * 3000 };
      peer.sendRtp(rtpPacket({ ...frame, payload: vp8(i, i === 1, i), mid: '1', rid: i % 2 === 0 ? 'l' : 'h' }));
    }
    // Every third one vanishes instead of saying goodbye; a moderator would see to it.
    if (count % 3 === 0) sfu.sfu.endSession(`session-${name}`, 'expired');
    else await client.must({ type: 'leave' });
    peer.close();
  };
  const half = Math.max(together, Math.floor(cycles / 2));
  const run = async (until: number): Promise<void> => {
    while (count < until) {
      await Promise.all(Array.from({ length: Math.min(together, until - count) }, visit));
      if (count % 500 < together)
        progress(`${String(count)} of ${String(cycles)}, heap ${String(heapBytes() >> 20)} MiB`);
    }
  };
  await run(half);
  const before = { heap: heapBytes(), descriptors: descriptors(), timers: timers() };
  await run(cycles);
  const { counters } = sfu.sfu;
  const remains = {
    cycles,
    heapBytesPerCycle: globalThis.gc === undefined ? NaN : (heapBytes() - before.heap) / Math.max(1, cycles - half),
    descriptors: descriptors() - before.descriptors,
    timers: timers() - before.timers,
    sessions: (counters['sessions_opened'] ?? 0) - (counters['sessions_ended'] ?? 0),
    rooms: sfu.sfu.rooms().length,
    internalErrors: counters['internal_errors'] ?? 0,
  };
  await sfu.close();
  return remains;
}

function heapBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Open ones; 0 where the system does not tell. */
function descriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const remains = await soak(Number(process.argv[2] ?? 10_000), (text) => process.stderr.write(`${text}\n`));
  process.stdout.write(`${JSON.stringify(remains, null, 2)}\n`);
  const bad = remains.heapBytesPerCycle > 512 || remains.descriptors > 0 || remains.timers > 2 || remains.sessions > 0;
  process.exitCode = bad || remains.rooms > 0 || remains.internalErrors > 0 ? 1 : 0;
}
