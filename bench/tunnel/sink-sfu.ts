/**
 * Stands where the SFU stands and does nothing with what it gets, so that the gateway's share of a datagram's cost can be
 * measured alone.
 */
import type { Path, SendMeta } from '../../tunnel-protocol/index.ts';
import { lane } from '../../tunnel-protocol/index.ts';
import type { Sfu } from '../../sfu/index.ts';

export interface SinkSfu extends Sfu {
  received: number;
  readonly paths: ReadonlySet<Path>;
  /** Sends `count` copies of a datagram on every path, as one turn of the event loop would. */
  sendOnAll(datagram: Uint8Array, count: number): number;
}

const audioMeta: SendMeta = { lane: lane.audio, frameId: 0, keyFrame: false, discardable: true, deadlineMs: 200 };

export function createSinkSfu(): SinkSfu {
  const paths = new Set<Path>();
  const sink: SinkSfu = {
    received: 0,
    paths,
    counters: {},
    start: () => Promise.resolve(),
    openSession: () => ({ epoch: 1 }),
    hasSession: () => true,
    attach: (_sessionId, path) => paths.add(path),
    detach: (path) => paths.delete(path),
    receive: () => {
      sink.received++;
    },
    endSession: () => true,
    rooms: () => [],
    room: () => undefined,
    kick: () => undefined,
    mute: () => undefined,
    sessionsByRung: () => new Map(),
    close: () => {
      for (const path of paths) path.close(4000, 'normal');
      return Promise.resolve();
    },
    sendOnAll: (datagram, count) => {
      let sent = 0;
      for (const path of paths) {
        for (let i = 0; i < count; i++) if (path.send(datagram.slice(), audioMeta)) sent++;
      }
      return sent;
    },
  };
  return sink;
}
