/** One ICE-TCP connection as a path: RFC 4571 frames, those of one turn of the event loop in one write. */
import type { Socket } from 'node:net';
import {
  classifyDatagram,
  datagramClass,
  encodeFrameInto,
  fitsFrame,
  frameHeaderBytes,
  FrameDecoder,
  maxDatagramBytes,
  SendQueue,
  type DatagramClass,
  type Path,
  type QueueDropReason,
  type SendMeta,
  type TransportAddress,
} from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import type { Flushable, FlushQueue } from './flush-queue.ts';

export const iceTcpPathLimits = {
  /** Media waiting beyond this is dropped from the head: half a second at 2 Mbit/s. */
  maxMediaBytes: 131_072,
  /** STUN, DTLS and RTCP are never dropped; a reader that lets so much wait is cut. */
  maxReliableBytes: 262_144,
  /** What the socket holds can no longer be dropped, so no more than this is given to it ahead. */
  socketHighWaterBytes: 65_536,
  /** The most that one write takes. */
  writeBytes: 32_768,
  /** A socket that stays full for so long is cut. */
  stalledMs: 15_000,
  /** Datagrams that a connection may send without one that the SFU accepts. */
  strangersDatagrams: 64,
} as const;

/** Why a connection was ended from this side. */
export const iceTcpEndings = [
  'ice_tcp_full',
  'ice_tcp_full_client',
  'ice_tcp_unproved',
  'ice_tcp_malformed',
  'ice_tcp_slow_reader',
] as const;
export type IceTcpEnding = (typeof iceTcpEndings)[number];

/** What the connections of one server share. */
export interface IceTcpHost {
  readonly receive: (path: Path, datagram: Uint8Array) => void;
  readonly traffic: Traffic;
  readonly flushes: FlushQueue;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Memory of {@link iceTcpPathLimits.writeBytes} for one write, … */
  readonly scratch: () => Uint8Array;
  /** … which somebody still needs. */
  readonly scratchTaken: () => void;
  /** The SFU has accepted a connectivity check, or let go of the path. */
  readonly boundChanged: (path: IceTcpPath) => void;
  /** Nothing comes or goes any more. Called once; `ending` is null where it was not this side's wish. */
  readonly ended: (path: IceTcpPath, ending: IceTcpEnding | null) => void;
}

export class IceTcpPath implements Path, Flushable {
  readonly kind = 'ice-tcp';
  readonly reliable = true;
  readonly ordered = true;
  readonly mtu = maxDatagramBytes;
  readonly remote: TransportAddress;
  owner: unknown = null;
  onDrop: ((meta: SendMeta) => void) | null = null;

  readonly #socket: Socket;
  readonly #host: IceTcpHost;
  readonly #decoder = new FrameDecoder();
  readonly #queue: SendQueue;
  #flushQueued = false;
  /** Of the first datagram that waits for the next flush. */
  #turnMs = 0;
  #bound = false;
  #closed = false;
  #strangersDatagrams = 0;
  #fullSinceMs: number | null = null;

  /** The socket belongs to the path from now on; its `close` is its owner's to watch. */
  constructor(socket: Socket, remote: TransportAddress, host: IceTcpHost) {
    this.#socket = socket;
    this.#host = host;
    this.remote = remote;
    this.#queue = new SendQueue({ ...iceTcpPathLimits, onDrop: this.#dropped });
    socket.setNoDelay(true);
    socket.on('data', this.#handleData);
    socket.on('drain', () => {
      this.#fullSinceMs = null;
      this.flush();
    });
    socket.on('end', () => {
      this.#end(null);
    });
  }

  get bound(): boolean {
    return this.#bound;
  }

  send(datagram: Uint8Array, meta: SendMeta): boolean {
    const { traffic, flushes, now } = this.#host;
    if (this.#closed) {
      traffic.dropped.closed++;
      return false;
    }
    if (!fitsFrame(datagram)) {
      traffic.dropped.oversized++;
      return false;
    }
    if (!this.#passes(classifyDatagram(datagram))) return false;
    if (!this.#flushQueued) {
      this.#flushQueued = true;
      this.#turnMs = now();
      flushes.add(this);
    }
    if (this.#queue.push(datagram, meta, this.#turnMs)) return true;
    this.cut('ice_tcp_slow_reader');
    return false;
  }

  /** Writes what the socket takes, lane by lane. Called by the flush queue, and when the socket has drained. */
  flush(): void {
    this.#flushQueued = false;
    if (this.#closed) return;
    this.#queue.expire(this.#host.now());
    while (!this.#queue.isEmpty && this.#socket.writableLength < iceTcpPathLimits.socketHighWaterBytes) this.#write();
  }

  /** To be called every few seconds. */
  checkStalled(nowMs: number): void {
    const { socketHighWaterBytes, stalledMs } = iceTcpPathLimits;
    if (this.#socket.writableLength < socketHighWaterBytes) this.#fullSinceMs = null;
    else if (this.#fullSinceMs === null) this.#fullSinceMs = nowMs;
    else if (nowMs - this.#fullSinceMs >= stalledMs) this.cut('ice_tcp_slow_reader');
  }

  bind(): void {
    if (this.#closed || this.#bound) return;
    this.#bound = true;
    this.#host.boundChanged(this);
  }

  /** The connection stays for a while: a restarted ICE agent may take it up again. */
  unbind(): void {
    if (this.#closed || !this.#bound) return;
    this.#bound = false;
    this.#strangersDatagrams = 0;
    this.#host.boundChanged(this);
  }

  /** Code and reason have no place in ICE. */
  close(): void {
    // DTLS may have said goodbye just now.
    this.flush();
    this.#end(null);
  }

  /** Ends the connection at once. */
  cut(ending: IceTcpEnding): void {
    this.#end(ending);
  }

  /** The connection is gone. */
  handleClosed(): void {
    this.#end(null);
  }

  /** Runs for every chunk, and its loop for every datagram. */
  readonly #handleData = (chunk: Uint8Array): void => {
    const decoder = this.#decoder;
    if (this.#closed) return;
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
      this.#handleFrame(frame);
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- handling may have ended the connection
      if (this.#closed) return;
    }
    if (decoder.error === null) return;
    if (decoder.error === 'oversized-frame') this.#host.traffic.dropped.oversized++;
    this.cut('ice_tcp_malformed');
  };

  /** One write of as many frames as it may take. */
  #write(): void {
    const { traffic } = this.#host;
    const queue = this.#queue;
    const frames = this.#host.scratch();
    let at = 0;
    for (let next = queue.peek(); next !== null; next = queue.peek()) {
      if (at + frameHeaderBytes + next.length > frames.length) break;
      at = encodeFrameInto(frames, at, next);
      queue.shift();
      traffic.sent++;
    }
    this.#socket.write(frames.subarray(0, at));
    // What the system did not take at once is sent from this very memory.
    if (this.#socket.writableLength > 0) this.#host.scratchTaken();
  }

  readonly #dropped = (meta: SendMeta, reason: QueueDropReason): void => {
    this.#host.traffic.dropped[reason]++;
    this.onDrop?.(meta);
  };

  #handleFrame(frame: Uint8Array): void {
    const { traffic, receive } = this.#host;
    const kind = classifyDatagram(frame);
    if (!this.#bound && ++this.#strangersDatagrams > iceTcpPathLimits.strangersDatagrams) {
      traffic.dropped['rate-limited']++;
      this.cut('ice_tcp_unproved');
      return;
    }
    if (!this.#passes(kind)) return;
    if (!this.#bound && kind !== datagramClass.stun) {
      traffic.dropped['unknown-source']++;
      return;
    }
    traffic.received++;
    receive(this, frame);
  }

  /** RFC 7983, either way: ChannelData is TURN's, and control frames are for tunnels that have proved whose they are. */
  #passes(kind: DatagramClass): boolean {
    if (kind === datagramClass.rtp || kind === datagramClass.stun || kind === datagramClass.dtls) return true;
    this.#host.traffic.dropped[kind === datagramClass.control ? 'control-not-allowed' : 'class']++;
    return false;
  }

  #end(ending: IceTcpEnding | null): void {
    if (this.#closed) return;
    this.#closed = true;
    // What the system has already is still sent; the rest has waited for a reader that does not read.
    this.#socket.destroy();
    this.#host.ended(this, ending);
  }
}
