/** What one turn of the event loop sends, of all transports: written into one memory, then protected and sent key by key. */
import { SrtpEngine, SrtpSession } from '../tunnel-protocol/index.ts';
import type {
  BindNativeCiphers,
  Path,
  SendMeta,
  SrtpCounters,
  SrtpCrypto,
  SrtpKeyMaterial,
  SrtpWasm,
} from '../tunnel-protocol/index.ts';

export interface BatchSender {
  /** Protects and sends all that it committed. */
  sendQueued(): void;
}

/** Calls `run` when all that this turn of the event loop brought was handled. */
export type EndOfTurn = (run: () => void) => void;

export class SendBatch {
  readonly bytes: Uint8Array;
  readonly #engine: SrtpEngine;
  readonly #endOfTurn: EndOfTurn;
  /** By job. */
  readonly #metas: SendMeta[] = [];
  readonly #lengths: number[] = [];
  /** Those that have something queued: the first {@link #senderCount} entries. */
  readonly #senders: (BatchSender | null)[] = [];
  #senderCount = 0;
  #scheduled = false;
  #flushing = false;
  readonly #flushAtEnd = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  constructor(wasm: SrtpWasm, endOfTurn: EndOfTurn, nativeCiphers: BindNativeCiphers | null = null) {
    this.#engine = new SrtpEngine(wasm, nativeCiphers);
    this.#endOfTurn = endOfTurn;
    this.bytes = this.#engine.bytes;
  }

  /** An SRTP context whose packets are protected here. */
  session(keys: SrtpKeyMaterial, crypto: SrtpCrypto, counters: SrtpCounters): SrtpSession {
    return new SrtpSession(keys, crypto, counters, undefined, this.#engine);
  }

  /** Where in {@link bytes} a packet can be written; -1: nowhere. */
  open(length: number): number {
    if (this.#flushing) return -1;
    const at = this.#engine.open(length);
    if (at >= 0) return at;
    this.flush();
    return this.#engine.open(length);
  }

  /** The packet that was written since {@link open} waits, as that job of its sender's SRTP context. */
  queued(job: number, length: number, meta: SendMeta): void {
    this.#metas[job] = meta;
    this.#lengths[job] = length;
  }

  /** The first packet of this sender is queued. */
  join(sender: BatchSender): void {
    this.#senders[this.#senderCount++] = sender;
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#endOfTurn(this.#flushAtEnd);
  }

  next(job: number): number {
    return this.#engine.next(job);
  }

  /** Of the packet in clear. */
  lengthOf(job: number): number {
    return this.#lengths[job] as number;
  }

  /** Sends a job's packet, which is protected by now. */
  send(path: Path, job: number, length: number): boolean {
    const at = this.#engine.packetAt(job);
    const meta = this.#metas[job] as SendMeta;
    if (path.sendFrom !== undefined) return path.sendFrom(this.bytes, at, length, meta);
    return path.send(this.bytes.slice(at, at + length), meta);
  }

  flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    for (let i = 0; i < this.#senderCount; i++) {
      this.#senders[i]?.sendQueued();
      this.#senders[i] = null;
    }
    this.#senderCount = 0;
    this.#engine.reset();
    this.#flushing = false;
  }
}
