/** A tunnel connection as a path: datagrams in frames, several to a message, one write per turn of the event loop. */
import {
  classifyDatagram,
  closeCodes,
  datagramClass,
  fitsFrame,
  forEachFrame,
  FrameBatch,
  frameHeaderBytes,
  lane,
  type CloseCode,
  type Path,
  type SendMeta,
  type TransportAddress,
} from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import { DatagramFifo } from './datagram-fifo.ts';
import type { EngineSocket } from './engine/index.ts';
import type { Flushable, FlushQueue } from './flush-queue.ts';

export const tunnelLimits = {
  /** RTP is packetised for this, so that whatever comes in by a tunnel fits every other path. */
  mtuBytes: 1200,
  /** Media waiting beyond this is dropped from the head: half a second at 2 Mbit/s. */
  maxMediaBytes: 131_072,
  /** Control frames and transport datagrams are never dropped; a reader that lets so much wait is closed. */
  maxReliableBytes: 524_288,
  /** What the socket holds can no longer be dropped, so no more than this is given to it ahead. */
  socketHighWaterBytes: 65_536,
  /** A message leaves at this size: a TLS record takes 16 KiB, and the head of a larger one only waits for its tail. */
  messageBytes: 16_384,
  /** A socket that stays full for so long is closed. */
  stalledMs: 15_000,
} as const;

/** Takes what comes in; in the running edge it is the SFU. */
export type ReceiveDatagram = (path: Path, datagram: Uint8Array) => void;

export class TunnelPath implements Path, Flushable {
  readonly kind = 'websocket';
  readonly reliable = true;
  readonly ordered = true;
  readonly mtu = tunnelLimits.mtuBytes;
  readonly remote: TransportAddress;
  owner: unknown = null;

  readonly #socket: EngineSocket;
  readonly #receive: ReceiveDatagram;
  readonly #traffic: Traffic;
  readonly #flushes: FlushQueue;
  /** By lane, served in this order. */
  readonly #queues = [new DatagramFifo(), new DatagramFifo(), new DatagramFifo(), new DatagramFifo()] as const;
  readonly #batch = new FrameBatch();
  #flushQueued = false;
  #opened = false;
  #closed = false;
  #fullSinceMs: number | null = null;

  constructor(socket: EngineSocket, receive: ReceiveDatagram, traffic: Traffic, flushes: FlushQueue) {
    this.#socket = socket;
    this.#receive = receive;
    this.#traffic = traffic;
    this.#flushes = flushes;
    this.remote = { address: socket.remoteAddress, port: socket.remotePort };
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(datagram: Uint8Array, meta: SendMeta): boolean {
    if (this.#closed) {
      this.#traffic.dropped.closed++;
      return false;
    }
    if (!fitsFrame(datagram)) {
      this.#traffic.dropped.oversized++;
      return false;
    }
    this.#queues[meta.lane].push(datagram);
    if (meta.lane >= lane.audio) this.#dropMediaFromHead();
    else if (this.#queues[0].bytes + this.#queues[1].bytes > tunnelLimits.maxReliableBytes) {
      this.closeWith('slow-reader');
      return false;
    }
    if (!this.#flushQueued) {
      this.#flushQueued = true;
      this.#flushes.add(this);
    }
    return true;
  }

  /** Writes what the socket takes, lane by lane. Called by the flush queue, and when the socket has drained. */
  flush(): void {
    this.#flushQueued = false;
    if (!this.#closed && this.#waitingBytes() > 0) this.#socket.cork(this.#write);
  }

  /** One WebSocket message. The bytes are borrowed. */
  handleMessage(message: Uint8Array, isBinary: boolean): void {
    if (this.#closed) return;
    if (!isBinary || forEachFrame(message, this.#handleFrame) !== null) this.closeWith('protocol-error');
  }

  handleDrain(): void {
    this.#fullSinceMs = null;
    this.flush();
  }

  /** The connection is gone. */
  handleClosed(): void {
    this.#closed = true;
  }

  /** To be called every few seconds. A reader that stopped for good is closed; its session may come back. */
  checkStalled(nowMs: number): void {
    if (this.#closed || this.#socket.bufferedBytes < tunnelLimits.socketHighWaterBytes) this.#fullSinceMs = null;
    else if (this.#fullSinceMs === null) this.#fullSinceMs = nowMs;
    else if (nowMs - this.#fullSinceMs >= tunnelLimits.stalledMs) this.closeWith('slow-reader');
  }

  /** A tunnel belongs to its session from the start. */
  bind(): void {
    // Nothing is to be remembered.
  }

  unbind(): void {
    // The tunnel stays open: its owner closes it.
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    // What says why, a close frame of the control channel, goes first.
    this.flush();
    this.#closed = true;
    this.#socket.close(code, reason);
  }

  closeWith(code: CloseCode): void {
    this.close(closeCodes[code].wire, code);
  }

  readonly #handleFrame = (frame: Uint8Array): void => {
    if (this.#closed) return;
    const { dropped } = this.#traffic;
    switch (classifyDatagram(frame)) {
      case datagramClass.control:
        this.#opened = true;
        break;
      case datagramClass.stun:
      case datagramClass.dtls:
      case datagramClass.rtp:
        if (this.#opened) break;
        // Until `open`, the peer has not said what it received: nothing else can be understood.
        this.closeWith('protocol-error');
        return;
      default:
        dropped.class++;
        return;
    }
    this.#traffic.received++;
    this.#receive(this, frame);
  };

  readonly #write = (): void => {
    while (this.#socket.bufferedBytes < tunnelLimits.socketHighWaterBytes && this.#fillBatch()) {
      const message = this.#batch.take();
      if (message !== null && !this.#socket.send(message)) {
        // Control frames may have been in it, and they must not be lost on a living connection.
        this.closeWith('slow-reader');
        return;
      }
    }
  };

  /** False when nothing waits. */
  #fillBatch(): boolean {
    for (const queue of this.#queues) {
      for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
        if (this.#batch.bytes > 0 && this.#batch.bytes + frameHeaderBytes + next.length > tunnelLimits.messageBytes) {
          return true;
        }
        this.#batch.add(next);
        queue.shift();
        this.#traffic.sent++;
      }
    }
    return this.#batch.bytes > 0;
  }

  /** Video first; audio only when there is no video left to drop. */
  #dropMediaFromHead(): void {
    const audio = this.#queues[lane.audio];
    const video = this.#queues[lane.video];
    while (audio.bytes + video.bytes > tunnelLimits.maxMediaBytes) {
      if (video.shift() === undefined) audio.shift();
      this.#traffic.dropped['queue-full']++;
    }
  }

  #waitingBytes(): number {
    const [control, transport, audio, video] = this.#queues;
    return control.bytes + transport.bytes + audio.bytes + video.bytes;
  }
}
