/** What all sockets that are used through one libc have together: there may be thousands of them. */
import type { Libc } from './libc.ts';
import { ReadySet } from './ready-set.ts';
import { SendQueue } from './send-queue.ts';
import { UdpAddressCache, type UdpFamily } from './udp-address.ts';
import { ReceiveVector } from './udp-batch-receiver.ts';

export interface Shared {
  readonly queue: SendQueue;
  readonly readySet: ReadySet;
  readonly vector: ReceiveVector;
  readonly addresses: Readonly<Record<UdpFamily, UdpAddressCache>>;
}

const cacheSize = 16_384;
const sharedByLibc = new WeakMap<Libc, Shared>();

export function sharedOf(libc: Libc): Shared {
  const known = sharedByLibc.get(libc);
  if (known !== undefined) return known;
  const queue = new SendQueue(libc);
  const shared: Shared = {
    queue,
    readySet: new ReadySet(libc, () => {
      queue.scheduleEnd();
    }),
    vector: new ReceiveVector(libc),
    addresses: { udp4: new UdpAddressCache('udp4', cacheSize), udp6: new UdpAddressCache('udp6', cacheSize) },
  };
  sharedByLibc.set(libc, shared);
  return shared;
}

/** Calls `run` once, when what this turn of the event loop brought was handled and before what it sends is sent. */
export function atEndOfTurn(libc: Libc | null, run: () => void): void {
  if (libc === null) setImmediate(run);
  else sharedOf(libc).queue.beforeEnd(run);
}
