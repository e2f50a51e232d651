/**
 * A link between two network devices, with delay, jitter, loss and a rate: what `tc … netem` does on kernels that have it.
 *
 * It makes two TUN devices in its own network namespace; whoever started it moves one of them to where the other end
 * of the link is to be (the descriptor keeps working) and gives them addresses. IP packets that enter one device leave the
 * other. It prints one JSON line when the devices are there, and one with the statistics when it ends. It ends when
 * its standard input does, so it never outlives its parent.
 *
 * The loop is synchronous on purpose: it waits in ppoll for a packet or for the next one's time, with a precision far
 * below the millisecond of an event loop's timers, and does nothing else.
 */
import { readSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { slotBytes } from './departures.ts';
import { LinkDirection } from './direction.ts';
import type { DirectionCounters } from './direction.ts';
import { parseLinkParameters } from './parameters.ts';
import { seededRandom } from './random.ts';
import { DescriptorSet, loadSystemCalls } from './system-calls.ts';

const usage = `Usage: node link/main.js --near <device> --far <device> [--up <link>] [--down <link>] [--seed N]

  --near, --far  names of the two TUN devices to make
  --up           what happens to packets from near to far: delay=25,jitter=3,loss=2,rate=5000,queue=64000,reorder
                 (ms one way, ms to either side, percent, kbit/s of IP packets, bytes held; all may be left out)
  --down         the same from far to near
  --seed         of all randomness (default 1): the same packets in the same order meet the same fate

Needs CAP_NET_ADMIN. Ends with its standard input and prints its statistics as JSON.
`;

/** Of one run, printed as the last line. */
export interface LinkStatistics {
  readonly up: DirectionCounters;
  readonly down: DirectionCounters;
  /** Packets that a device did not take, usually because it was down. */
  readonly refused: number;
  /** Of this process, from when the devices were there. */
  readonly cpuUsPerPacket: number;
  readonly seconds: number;
}

/** Read at most so many packets from one device before looking at the clock again. */
const readsPerTurn = 64;
const standardInput = 0;

function run(): void {
  const { values } = parseArgs({
    options: {
      near: { type: 'string' },
      far: { type: 'string' },
      up: { type: 'string', default: '' },
      down: { type: 'string', default: '' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  });
  const { near, far } = values;
  if (values.help || near === undefined || far === undefined) {
    (values.help ? process.stdout : process.stderr).write(usage);
    process.exitCode = values.help ? 0 : 1;
    return;
  }
  const seed = Number(values.seed);
  const up = new LinkDirection(parseLinkParameters(values.up), seededRandom(seed));
  const down = new LinkDirection(parseLinkParameters(values.down), seededRandom(seed + 1));
  const calls = loadSystemCalls();
  const realTime = calls.runFirst() === 0;
  const open = (name: string): number => {
    const fd = calls.openTun(name);
    if (fd < 0) throw new Error(`cannot make the TUN device ${name}: errno ${String(-fd)}`);
    return fd;
  };
  const nearFd = open(near);
  const farFd = open(far);
  print({ ready: true, realTime });
  const refused = forward(calls, { nearFd, farFd, up, down });
  print(refused);
}

interface Ends {
  readonly nearFd: number;
  readonly farFd: number;
  readonly up: LinkDirection;
  readonly down: LinkDirection;
}

/** Until standard input ends. */
function forward(calls: ReturnType<typeof loadSystemCalls>, { nearFd, farFd, up, down }: Ends): LinkStatistics {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const descriptors = new DescriptorSet([standardInput, nearFd, farFd]);
  const incoming = new Uint8Array(new ArrayBuffer(slotBytes));
  const incomingAddress = calls.addressOf(incoming);
  const outgoing = new Uint8Array(new ArrayBuffer(slotBytes));
  const outgoingAddress = calls.addressOf(outgoing);
  let refused = 0;
  const writerTo = (fd: number) => (packet: Uint8Array, length: number) => {
    outgoing.set(packet.subarray(0, length));
    if (calls.write(fd, outgoingAddress, length) < 0) refused += 1;
  };
  const toFar = writerTo(farFd);
  const toNear = writerTo(nearFd);
  const read = (fd: number, direction: LinkDirection): void => {
    for (let reads = 0; reads < readsPerTurn; reads++) {
      const length = calls.read(fd, incomingAddress, slotBytes);
      if (length <= 0) return;
      direction.put(incoming, length, performance.now());
    }
  };
  for (;;) {
    const due = Math.min(up.nextDue, down.nextDue);
    calls.wait(descriptors, due === Infinity ? 1_000 : due - performance.now());
    if (descriptors.isReady(0) && hasEnded()) break;
    if (descriptors.isReady(1)) read(nearFd, up);
    if (descriptors.isReady(2)) read(farFd, down);
    const now = performance.now();
    up.take(now, toFar);
    down.take(now, toNear);
  }
  const cpu = process.cpuUsage(cpuBefore);
  const packets = up.counters.packets + down.counters.packets;
  return {
    up: up.counters,
    down: down.counters,
    refused,
    cpuUsPerPacket: packets === 0 ? 0 : (cpu.user + cpu.system) / packets,
    seconds: (performance.now() - startedAt) / 1_000,
  };
}

function hasEnded(): boolean {
  try {
    return readSync(standardInput, new Uint8Array(64)) === 0;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EAGAIN';
  }
}

function print(value: object): void {
  writeSync(1, `${JSON.stringify(value)}\n`);
}

run();
