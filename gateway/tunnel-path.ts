/**
 * A tunnel connection as a path: datagrams in frames, several to a message, one write per turn of the event loop, and no
 * more in flight than the peer's credits allow.
 */
import {
  capability,
  classifyDatagram,
  closeCodes,
  controlType,
  datagramClass,
  fitsFrame,
  forEachFrame,
  frameHeaderBytes,
  isTurnFlowFrame,
  lane,
  putU16,
  TunnelFlow,
  u16,
  type CloseCode,
  type FlowLimits,
  type Path,
  type QueueDropReason,
  type SendMeta,
  type TransportAddress,
} from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import type { EngineSocket } from './engine/index.ts';
import type { Flushable, FlushQueue } from './flush-queue.ts';

export const tunnelLimits = {
  /** RTP is packetised for this, so that whatever comes in by a tunnel fits every other path. */
  mtuBytes: 1200,
  /** What the socket holds can no longer be dropped, so no more than this is given to it ahead, … */
  socketHighWaterBytes: 4096,
  /** … or this where the peer knows no credits, and the socket is all there is to go by. */
  uncreditedHighWaterBytes: 65_536,
  /** A message leaves at this size: a TLS record takes 16 KiB, and the head of a larger one only waits for its tail. */
  messageBytes: 16_384,
  /** A socket that stays full for so long is closed, and so is a peer that credits nothing. */
  stalledMs: 15_000,
  /** Audio that is not credited for so long is stuck on its connection, and goes on the main one; … */
  audioStuckMs: 600,
  /** … which it does for good after this, until the client has made another one for it. */
  audioGiveUpMs: 5_000,
} as const;

/** Where `capabilities` stand in `open` and `welcome`, and the least length that has them. */
const capabilitiesOffset = 2;
const helloBytes = 8;

/** Messages of sockets that copy are all made here, one after another. */
const scratch = new Uint8Array(tunnelLimits.messageBytes);

/** Takes what comes in; in the running edge it is the SFU. */
export type ReceiveDatagram = (path: Path, datagram: Uint8Array) => void;

export interface TunnelPathOptions {
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  readonly flow?: Partial<FlowLimits>;
  /** Takes frames of TURN flows; absent: they are dropped. */
  readonly turnFlow?: ReceiveDatagram;
}

export class TunnelPath implements Path, Flushable {
  readonly kind = 'websocket';
  readonly reliable = true;
  readonly ordered = true;
  readonly mtu = tunnelLimits.mtuBytes;
  readonly remote: TransportAddress;
  owner: unknown = null;
  onDrop: ((meta: SendMeta) => void) | null = null;

  readonly #socket: EngineSocket;
  readonly #receive: ReceiveDatagram;
  readonly #turnFlow: ReceiveDatagram | null;
  readonly #traffic: Traffic;
  readonly #flushes: FlushQueue;
  readonly #now: () => number;
  readonly #flow: TunnelFlow;
  #flushQueued = false;
  #patient = false;
  #opened = false;
  #isSessions = false;
  /** The client said in `open` that it credits. */
  #clientCredits = false;
  /** It is the first frame that a client gets: credits come after it. */
  #welcomeQueued = false;
  #closing = false;
  #closed = false;
  #fullSinceMs: number | null = null;
  /** Bytes of the frames of this message, lengths included, that are credited. */
  #creditableBytes = 0;
  /** Of the first datagram that waits for the next flush, and then of the flush. */
  #turnMs = 0;
  /** Where audio goes while that delivers. */
  #audio: TunnelPath | null = null;
  #isAudio = false;
  /** As an audio connection: what is sent there is credited soon. */
  #prompt = false;

  constructor(
    socket: EngineSocket,
    receive: ReceiveDatagram,
    traffic: Traffic,
    flushes: FlushQueue,
    { now = () => performance.now(), flow = {}, turnFlow }: TunnelPathOptions = {},
  ) {
    this.#socket = socket;
    this.#receive = receive;
    this.#turnFlow = turnFlow ?? null;
    this.#traffic = traffic;
    this.#flushes = flushes;
    this.#now = now;
    this.#flow = new TunnelFlow({
      now: now(),
      onDrop: this.#dropped,
      limits: flow,
      messageBytes: tunnelLimits.messageBytes,
      ...(socket.copies === true ? { scratch } : {}),
    });
    this.remote = { address: socket.remoteAddress, port: socket.remotePort };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The client asked by `open` that this connection carries its session. */
  get isSessions(): boolean {
    return this.#isSessions;
  }

  get deliveryRate(): number | null {
    return this.#flow.rateLimit(this.#now());
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
    if (meta.lane === lane.audio && this.#audio !== null && this.#audio.#prompt)
      return this.#audio.send(datagram, meta);
    if (meta.lane === lane.control && this.#clientCredits) this.#answerForConnection(datagram);
    if (!this.#flushQueued) this.#queueFlush(this.#now());
    if (this.#flow.push(datagram, meta, this.#turnMs)) return true;
    this.closeWith('slow-reader');
    return false;
  }

  /** Audio goes on this connection from now on, as long as that is prompt; null: on none but this again. */
  carryAudio(connection: TunnelPath | null): void {
    this.#audio = connection;
  }

  /** This one carries another's audio: there is no handshake, because the other had it, and no control channel. */
  beginAsAudio(main: TunnelPath): void {
    this.#opened = this.#isAudio = this.#prompt = true;
    this.#flow.agree();
    this.onDrop = (meta) => main.onDrop?.(meta);
  }

  /** Writes what the socket and the peer take, lane by lane. Called by the flush queue, and when the socket has drained. */
  flush(): void {
    this.#flushQueued = this.#patient = false;
    if (this.#closed) return;
    const now = this.#now();
    if (this.#flow.wantsToSend(now)) {
      // Several messages become one write; of a single one that is made anyway, without the way there and back.
      this.#turnMs = now;
      if (this.#flow.queuedBytes > tunnelLimits.messageBytes) this.#socket.cork(this.#write);
      else this.#write();
    }
    if (this.#isAudio) this.#notePromptness(now);
    this.#waitForCredit();
  }

  /** One WebSocket message. The bytes are borrowed. */
  handleMessage(message: Uint8Array, isBinary: boolean): void {
    if (this.#closed) return;
    this.#creditableBytes = message.length;
    if (!isBinary || forEachFrame(message, this.#handleFrame) !== null) {
      this.closeWith('protocol-error');
      return;
    }
    const now = this.#now();
    this.#flow.received(this.#creditableBytes, now);
    if (this.#isAudio) this.#notePromptness(now);
    if (this.#flushQueued) return;
    if (this.#flow.wantsToSend(now)) this.#queueFlush(now);
    else this.#waitForCredit();
  }

  handleDrain(): void {
    this.#fullSinceMs = null;
    this.flush();
  }

  /** The connection is gone. */
  handleClosed(): void {
    this.#closed = true;
    this.#prompt = false;
  }

  /** To be called every few seconds. A reader that stopped for good is closed; its session may come back. */
  checkStalled(nowMs: number): void {
    const { stalledMs, audioGiveUpMs } = tunnelLimits;
    const { blockedSince, uncreditedSince } = this.#flow;
    if (this.#isAudio && nowMs - (uncreditedSince ?? nowMs) >= audioGiveUpMs) this.closeWith('slow-reader');
    if (this.#closed || this.#socket.bufferedBytes < this.#highWaterBytes()) this.#fullSinceMs = null;
    else this.#fullSinceMs ??= nowMs;
    const since = Math.min(this.#fullSinceMs ?? Infinity, blockedSince ?? Infinity);
    if (!this.#closed && nowMs - since >= stalledMs) this.closeWith('slow-reader');
  }

  /** A tunnel belongs to its session from the start. */
  bind(): void {
    // Nothing is to be remembered.
  }

  unbind(): void {
    // The tunnel stays open: its owner closes it.
  }

  close(code: number, reason: string): void {
    if (this.#closed || this.#closing) return;
    this.#closing = true;
    // What says why, a close frame of the control channel, goes first.
    this.#flow.end();
    this.flush();
    this.#closed = true;
    this.#prompt = false;
    this.#socket.close(code, reason);
  }

  closeWith(code: CloseCode): void {
    this.close(closeCodes[code].wire, code);
  }

  #highWaterBytes(): number {
    return this.#flow.agreed ? tunnelLimits.socketHighWaterBytes : tunnelLimits.uncreditedHighWaterBytes;
  }

  #notePromptness(now: number): void {
    this.#prompt = !this.#closed && now - (this.#flow.uncreditedSince ?? now) < tunnelLimits.audioStuckMs;
  }

  #queueFlush(now: number): void {
    this.#flushQueued = true;
    this.#turnMs = now;
    this.#flushes.add(this);
  }

  /** A credit that finds nothing to ride with leaves by itself in the end. */
  #waitForCredit(): void {
    if (this.#patient || this.#flow.nextTimeout() === null) return;
    this.#patient = true;
    this.#flushes.addPatient(this);
  }

  /** Credits are between the ends of a connection: the session's endpoint behind this path knows nothing of them. */
  #answerForConnection(frame: Uint8Array): void {
    if (frame[0] !== controlType.welcome || frame.length < helloBytes) return;
    putU16(frame, capabilitiesOffset, u16(frame, capabilitiesOffset) | capability.credit);
    this.#welcomeQueued = true;
  }

  readonly #dropped = (meta: SendMeta, reason: QueueDropReason): void => {
    this.#traffic.dropped[reason]++;
    this.onDrop?.(meta);
  };

  readonly #handleFrame = (frame: Uint8Array): void => {
    if (this.#closed) return;
    const { dropped } = this.#traffic;
    switch (classifyDatagram(frame)) {
      case datagramClass.control:
        if (this.#takeControl(frame)) return;
        break;
      case datagramClass.stun:
      case datagramClass.dtls:
      case datagramClass.rtp:
        if (this.#opened) break;
        // Until `open`, the peer has not said what it received: nothing else can be understood.
        this.closeWith('protocol-error');
        return;
      default:
        if (this.#opened && this.#turnFlow !== null && isTurnFlowFrame(frame)) {
          this.#traffic.received++;
          this.#turnFlow(this, frame);
        } else dropped.class++;
        return;
    }
    this.#traffic.received++;
    this.#receive(this, frame);
  };

  /** True when the frame is for this end of the connection, and not for the session's endpoint. */
  #takeControl(frame: Uint8Array): boolean {
    if (frame[0] === controlType.credit) {
      this.#creditableBytes -= frameHeaderBytes + frame.length;
      if (!this.#flow.credit(frame, this.#now())) this.closeWith('protocol-error');
      return true;
    }
    // Pings may come before it.
    if (frame[0] === controlType.open && frame.length >= helloBytes) {
      this.#isSessions = true;
      this.#clientCredits = (u16(frame, capabilitiesOffset) & capability.credit) !== 0;
    }
    this.#opened = true;
    return false;
  }

  readonly #write = (): void => {
    const flow = this.#flow;
    const before = flow.sentFrames;
    while (this.#socket.bufferedBytes < this.#highWaterBytes()) {
      const message = flow.nextMessage(this.#turnMs);
      if (message === null) break;
      if (!this.#socket.send(message)) {
        // Control frames may have been in it, and they must not be lost on a living connection.
        this.closeWith('slow-reader');
        break;
      }
      if (this.#welcomeQueued) {
        this.#welcomeQueued = false;
        flow.agree();
      }
    }
    this.#traffic.sent += flow.sentFrames - before;
  };
}
