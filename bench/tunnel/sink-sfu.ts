/**
 * Stands where the SFU stands and does nothing with what it gets, so that the gateway's share of a datagram's cost can be
 * measured alone.
 */
import type { Path, SendMeta } from '../../tunnel-protocol/index.ts';
import { controlType, encodeControlFrame, lane, transportMeta } from '../../tunnel-protocol/index.ts';
import type { Sfu } from '../../sfu/index.ts';

export interface SinkSfu extends Sfu {
  received: number;
  /** Sees what is received, borrowed. */
  onDatagram: ((datagram: Uint8Array) => void) | null;
  readonly paths: ReadonlySet<Path>;
  /** Sends `count` datagrams of so many bytes on every path, as one turn of the event loop would. */
  sendOnAll(bytes: number, count: number): void;
}

const controlMeta: SendMeta = { ...transportMeta, lane: lane.control };
const welcome = { type: 'welcome', version: 1, capabilities: 0, lastReceived: 0, epoch: 1 } as const;
const stockDatagrams = 1024;
const audioMeta: SendMeta = { lane: lane.audio, frameId: 0, keyFrame: false, discardable: true, deadlineMs: 200 };

/**
 * More than are on their way at a time. To bring them into the processor's cache is the cost of the SFU, which has just
 * encrypted what it sends, and not the gateway's; but one and the same datagram would be too good to be true.
 */
function makeStock(bytes: number): readonly Uint8Array[] {
  const slab = new Uint8Array(stockDatagrams * bytes).fill(0x80);
  return Array.from({ length: stockDatagrams }, (_, i) => slab.subarray(i * bytes, (i + 1) * bytes));
}

export function createSinkSfu(): SinkSfu {
  const paths = new Set<Path>();
  let stock: readonly Uint8Array[] = [];
  let next = 0;
  const sink: SinkSfu = {
    received: 0,
    onDatagram: null,
    paths,
    counters: {},
    start: () => Promise.resolve(),
    openSession: () => ({ epoch: 1 }),
    openWhip: () => ({ refused: 'unsupported', detail: 'nothing is served here' }),
    patchWhip: () => ({ outcome: 'stale' }),
    hasSession: () => true,
    attach: (_sessionId, path) => paths.add(path),
    detach: (path) => paths.delete(path),
    receive: (path, datagram) => {
      if (datagram[0] === controlType.open) path.send(encodeControlFrame(welcome), controlMeta);
      else {
        sink.received++;
        sink.onDatagram?.(datagram);
      }
    },
    endSession: () => true,
    leaveRoom: () => 0,
    rooms: () => [],
    room: () => undefined,
    kick: () => undefined,
    mute: () => undefined,
    endRoom: () => undefined,
    startRecording: () => Promise.reject(new Error('nothing is recorded here')),
    stopRecording: () => false,
    sessionsByRung: () => new Map(),
    close: () => {
      for (const path of paths) path.close(4000, 'normal');
      return Promise.resolve();
    },
    sendOnAll: (bytes, count) => {
      if (stock[0]?.length !== bytes) stock = makeStock(bytes);
      for (const path of paths) {
        for (let i = 0; i < count; i++) {
          next = (next + 1) % stock.length;
          path.send(stock[next] as Uint8Array, audioMeta);
        }
      }
    },
  };
  return sink;
}
