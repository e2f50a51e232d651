/**
 * One connection of a trunk. What one turn of the event loop sends leaves in one write; while the connection does not keep
 * up, frames wait in lanes, and media is dropped when it is too old, but nothing else ever is.
 */
import type { TLSSocket } from 'node:tls';
import {
  fitsFrame,
  lane,
  maxTrunkDatagramBytes,
  putTrunkDatagram,
  putTrunkDatagramWithMeta,
  SendQueue,
  TrunkDecoder,
  type QueueDropReason,
  type SendMeta,
} from '../../tunnel-protocol/index.ts';
import type { Flushable, FlushQueue } from '../flush-queue.ts';

export const trunkStreamLimits = {
  /** What one write takes. */
  batchBytes: 65_536,
  /** What the socket holds can no longer be dropped, so no more than this is given to it ahead. */
  socketHighWaterBytes: 262_144,
  /** Of media, beyond which the oldest is dropped whatever its age. */
  maxMediaBytes: 8_388_608,
  /** Of all else; a peer that lets more wait is cut. */
  maxReliableBytes: 16_777_216,
} as const;

/** What waits and may be dropped: whose it is, and what to tell. */
export interface QueuedMeta extends SendMeta {
  readonly flow: DropListener;
}

export interface DropListener {
  dropped(meta: SendMeta): void;
}

export interface TrunkStreamEvents {
  /** One frame, borrowed. */
  frame(flow: number, payload: Uint8Array): void;
  /** Once. */
  closed(reason: string): void;
}

export interface TrunkTraffic {
  sent: number;
  received: number;
  readonly dropped: Record<QueueDropReason | 'oversized' | 'closed', number>;
}

export function newTrunkTraffic(): TrunkTraffic {
  return {
    sent: 0,
    received: 0,
    dropped: { stale: 0, frame: 0, dependent: 0, 'queue-full': 0, oversized: 0, closed: 0 },
  };
}

export interface TrunkStreamDeps {
  readonly traffic: TrunkTraffic;
  readonly flushes: FlushQueue;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

const controlMeta: SendMeta = { lane: lane.control, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };
const maxSpareBatches = 8;
const lingerMs = 500;
const noBytes = new Uint8Array(0);

export class TrunkStream implements Flushable {
  readonly socket: TLSSocket;
  readonly #events: TrunkStreamEvents;
  readonly #traffic: TrunkTraffic;
  readonly #flushes: FlushQueue;
  readonly #now: () => number;
  readonly #decoder = new TrunkDecoder();
  readonly #queue: SendQueue;
  readonly #spare: Uint8Array[] = [];
  #batch: Uint8Array = noBytes;
  #at = 0;
  #flushQueued = false;
  #closed = false;
  /** When something came last. */
  heardAt: number;

  /** The socket's handshake is over, and it belongs to the stream from now on. */
  constructor(socket: TLSSocket, events: TrunkStreamEvents, deps: TrunkStreamDeps) {
    this.socket = socket;
    this.#events = events;
    this.#traffic = deps.traffic;
    this.#flushes = deps.flushes;
    this.#now = deps.now;
    this.heardAt = deps.now();
    const { maxMediaBytes, maxReliableBytes } = trunkStreamLimits;
    this.#queue = new SendQueue({ maxMediaBytes, maxReliableBytes, onDrop: this.#dropped });
    socket.setNoDelay(true);
    socket.on('data', this.#handleData);
    socket.on('drain', () => {
      this.flush();
    });
    socket.on('error', (error: Error) => {
      this.close(error.message);
    });
    socket.on('close', () => {
      this.close('the connection was closed');
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The peer has proved itself: frames may be as long as they can be. */
  trust(): void {
    this.#decoder.trust();
  }

  /** A whole frame of flow 0. Control is never dropped: a peer that does not take it is cut. */
  sendControl(frame: Uint8Array): void {
    if (this.#closed) return;
    this.#queueFlush();
    if (this.#isCongested() || frame.length > trunkStreamLimits.batchBytes) this.#enqueue(frame, controlMeta);
    else {
      this.#makeRoom(frame.length);
      this.#batch.set(frame, this.#at);
      this.#at += frame.length;
    }
  }

  /** A datagram from an edge. False when it will not arrive. `packedMeta` goes with it unless it is -1. */
  sendDatagram(
    flow: number,
    packedMeta: number,
    datagram: Uint8Array,
    meta: SendMeta,
    listener: DropListener,
  ): boolean {
    if (this.#closed) {
      this.#traffic.dropped.closed++;
      return false;
    }
    if (!fitsFrame(datagram)) {
      this.#traffic.dropped.oversized++;
      return false;
    }
    if (!this.#flushQueued) this.#queueFlush();
    this.#traffic.sent++;
    if (this.#isCongested()) {
      const frame = new Uint8Array(maxTrunkDatagramBytes - 2048 + datagram.length);
      const end = writeDatagram(frame, 0, flow, packedMeta, datagram);
      // Frames of different flows have the same numbers, so none is known here by its number.
      const queued: QueuedMeta = { ...meta, frameId: 0, flow: listener };
      return this.#enqueue(frame.subarray(0, end), queued);
    }
    this.#makeRoom(maxTrunkDatagramBytes);
    this.#at = writeDatagram(this.#batch, this.#at, flow, packedMeta, datagram);
    return true;
  }

  /** Writes what the connection takes. Called by the flush queue, and when the socket has drained. */
  flush(): void {
    this.#flushQueued = false;
    if (this.#closed) return;
    this.#writeBatch();
    if (this.#queue.isEmpty) return;
    this.#queue.expire(this.#now());
    const { socketHighWaterBytes, batchBytes } = trunkStreamLimits;
    while (this.socket.writableLength < socketHighWaterBytes) {
      const next = this.#queue.peek();
      if (next === null) break;
      if (next.length > batchBytes) {
        this.#writeBatch();
        this.socket.write(next);
      } else {
        this.#makeRoom(next.length);
        this.#batch.set(next, this.#at);
        this.#at += next.length;
      }
      this.#queue.shift();
    }
    this.#writeBatch();
  }

  /** Ends the connection at once, after what was given to it. Idempotent. */
  close(reason: string): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.socket.end();
    // A peer that has vanished acknowledges nothing.
    setTimeout(() => this.socket.destroy(), lingerMs).unref();
    this.#events.closed(reason);
  }

  readonly #handleData = (chunk: Uint8Array): void => {
    const decoder = this.#decoder;
    const events = this.#events;
    this.heardAt = this.#now();
    decoder.push(chunk);
    while (!this.#closed && decoder.next()) events.frame(decoder.flow, decoder.payload);
    if (decoder.error !== null) this.close(`the peer sent a ${decoder.error}`);
  };

  readonly #dropped = (meta: SendMeta, reason: QueueDropReason): void => {
    this.#traffic.dropped[reason]++;
    (meta as QueuedMeta).flow.dropped(meta);
  };

  #isCongested(): boolean {
    return !this.#queue.isEmpty || this.socket.writableLength >= trunkStreamLimits.socketHighWaterBytes;
  }

  #enqueue(frame: Uint8Array, meta: SendMeta): boolean {
    // What is batched already goes first.
    if (this.#at > 0) this.#writeBatch();
    if (this.#queue.push(frame, meta, this.#now())) return true;
    this.close('the peer does not take what it is sent');
    return false;
  }

  #queueFlush(): void {
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    this.#flushes.add(this);
  }

  #makeRoom(bytes: number): void {
    if (this.#batch.length - this.#at >= bytes) return;
    this.#writeBatch();
    this.#batch = this.#spare.pop() ?? new Uint8Array(trunkStreamLimits.batchBytes);
  }

  #writeBatch(): void {
    if (this.#at === 0) return;
    const batch = this.#batch;
    this.socket.write(batch.subarray(0, this.#at), () => {
      if (this.#spare.length < maxSpareBatches) this.#spare.push(batch);
    });
    this.#batch = noBytes;
    this.#at = 0;
  }
}

function writeDatagram(target: Uint8Array, at: number, flow: number, packedMeta: number, datagram: Uint8Array): number {
  return packedMeta === -1
    ? putTrunkDatagram(target, at, flow, datagram)
    : putTrunkDatagramWithMeta(target, at, flow, packedMeta, datagram);
}
