/**
 * Stands between the network and a handshake implementation, both ways, and is the record layer (RFC 6347 section 4).
 * What comes in is bounded, authenticated where it can be, put in order, and given out once; what goes out is kept
 * until the peer has answered it. Sans-I/O: it knows neither sockets nor timers, nor what a handshake message means.
 */
import { u16 } from '../bytes.ts';
import type { DtlsCounters } from './counters.ts';
import { decodeFragment, handshakeHeaderBytes, handshakeType } from './handshake-message.ts';
import { protectedEpoch, type RecordProtection } from './protection.ts';
import { HandshakeReassembler } from './reassembler.ts';
import { RecordWriter, type FlightMessage } from './record-writer.ts';
import { dtlsContentType, recordBytesAt, recordEpoch, recordHeaderBytes, recordSequence } from './record.ts';
import type { DtlsRefusal } from './refusals.ts';
import { ReplayWindow } from './replay-window.ts';
import { RetransmissionTimer } from './retransmission.ts';

/** Protected records that arrive before the keys, or application data before the Finished. */
const maxHeldRecords = 8;
const maxHeldRecordBytes = 2048;
/** A peer that is refused so often is not waited for any longer. */
const maxRefusals = 32;

export const alertLevel = { warning: 1, fatal: 2 } as const;
export const alertDescription = { closeNotify: 0, handshakeFailure: 40 } as const;

export interface DtlsGuardOptions {
  readonly counters: DtlsCounters;
  /** Largest datagram to send, in bytes. */
  readonly mtu: number;
  readonly roundTripMs: number | null;
}

/** An authenticated record that is not a handshake message. */
export type DtlsGuardEvent =
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  | { readonly type: 'alert'; readonly level: number; readonly description: number };

export class DtlsGuard {
  readonly #counters: DtlsCounters;
  readonly #mtu: number;
  readonly #reassembler = new HandshakeReassembler();
  readonly #replays = new ReplayWindow();
  readonly #writer = new RecordWriter();
  readonly #timer: RetransmissionTimer;
  readonly #outbound: Uint8Array[] = [];
  readonly #events: DtlsGuardEvent[] = [];
  /** Whole records that wait for keys, then plaintexts that wait for the handshake's end. */
  #heldRecords: Uint8Array[] = [];
  #heldData: Uint8Array[] = [];
  #flight: readonly FlightMessage[] = [];
  #writeEpoch = 0;
  #established = false;
  #refusals = 0;

  constructor(options: DtlsGuardOptions) {
    this.#counters = options.counters;
    this.#mtu = options.mtu;
    this.#timer = new RetransmissionTimer(options.roundTripMs);
  }

  /** One datagram from the network; borrowed until the call returns. */
  handle(datagram: Uint8Array, now: number): void {
    for (let at = 0; at < datagram.length;) {
      const bytes = recordBytesAt(datagram, at);
      if (bytes === 0) {
        this.#counters.malformed++;
        return;
      }
      const epoch = recordEpoch(datagram, at);
      const record = datagram.subarray(at, at + bytes);
      if (epoch === protectedEpoch) this.#handleProtected(record, now);
      else if (epoch === 0) this.#handlePlain(record, now);
      else this.#counters.unexpected++;
      at += bytes;
    }
  }

  /** The next whole handshake message in order (header and body), each once. None once established. */
  nextInbound(): Uint8Array | null {
    return this.#established ? null : this.#reassembler.take();
  }

  nextEvent(): DtlsGuardEvent | null {
    return this.#events.shift() ?? null;
  }

  nextOutbound(): Uint8Array | null {
    return this.#outbound.shift() ?? null;
  }

  /** Sends a flight, which answers the one that came in, and sends it again until it is answered itself. */
  send(flight: readonly FlightMessage[], now: number): void {
    this.#timer.answered(now);
    this.#flight = flight;
    this.#transmit();
    this.#timer.sent(now);
  }

  /** Keys for the protected epoch. The implementation is ready for what comes in it. */
  protect(protection: RecordProtection, now: number): void {
    this.#writer.protection = protection;
    const held = this.#heldRecords;
    this.#heldRecords = [];
    for (const record of held) this.#handleProtected(record, now);
  }

  /**
   * The peer is authenticated: application data flows, unprotected handshake messages are over. The last flight, if it
   * is ours, is sent, and again whenever the peer shows that it did not get it. If it was the peer's, it is empty, and
   * nothing is ever sent again: two ends that both answer retransmissions would do so for ever.
   */
  establish(lastFlight: readonly FlightMessage[], now: number): void {
    this.#established = true;
    this.#flight = lastFlight;
    this.#transmit();
    this.#timer.stop(now);
    for (const bytes of this.#heldData) this.#events.push({ type: 'data', bytes });
    this.#heldData = [];
  }

  /**
   * What was given out from `sequence` on is worthless: forged, or from a peer that is not who it should be. An honest
   * copy may still come.
   */
  refuse(refusal: DtlsRefusal, sequence: number, now: number): void {
    this.#counters[`refused_${refusal}`]++;
    this.#refusals++;
    this.#reassembler.rewind(sequence);
    this.#timer.refused(now, this.#refusals >= maxRefusals);
  }

  /** Application data. Throws before keys are there. */
  sendData(bytes: Uint8Array): void {
    this.#outbound.push(this.#writer.record(dtlsContentType.applicationData, protectedEpoch, bytes));
  }

  sendAlert(level: number, description: number): void {
    const alert = Uint8Array.of(level, description);
    this.#outbound.push(this.#writer.record(dtlsContentType.alert, this.#writeEpoch, alert));
  }

  /** When to call `handleTimeout`; null when nothing waits. */
  nextTimeout(): number | null {
    return this.#timer.nextTimeout();
  }

  /** Returns true when the handshake is to be given up. */
  handleTimeout(now: number): boolean {
    if (this.#timer.expired(now)) return true;
    if (this.#timer.takeDue(now)) this.#retransmit();
    return false;
  }

  #handlePlain(record: Uint8Array, now: number): void {
    switch (record[0]) {
      case dtlsContentType.alert:
        this.#counters.plaintext_alert++;
        return;
      case dtlsContentType.handshake:
        this.#handleHandshake(record.subarray(recordHeaderBytes), 0, now);
        return;
      case dtlsContentType.changeCipherSpec:
        // The epoch of a record says all that this message would.
        return;
      default:
        this.#counters.unexpected++;
    }
  }

  #handleProtected(record: Uint8Array, now: number): void {
    const type = record[0] as number;
    const sequence = recordSequence(record, 0);
    if (this.#replays.isReplay(sequence)) {
      this.#counters.replayed++;
      // Implementations that retransmit the very same record ask for our flight like this.
      if (type === dtlsContentType.handshake) this.#answerRetransmission(now);
      return;
    }
    const protection = this.#writer.protection;
    if (protection === null) {
      this.#holdRecord(record, sequence);
      return;
    }
    const plaintext = protection.open(type, sequence, record.subarray(recordHeaderBytes));
    if (plaintext === null) {
      this.#counters.undecryptable++;
      return;
    }
    this.#replays.mark(sequence);
    if (type === dtlsContentType.applicationData) this.#handleData(plaintext);
    else if (type === dtlsContentType.handshake) this.#handleHandshake(plaintext, protectedEpoch, now);
    else if (type === dtlsContentType.alert && plaintext.length === 2) this.#handleAlert(plaintext);
    else this.#counters.unexpected++;
  }

  #handleData(plaintext: Uint8Array): void {
    if (this.#established) {
      // Who sends data has our last flight.
      this.#flight = [];
      this.#events.push({ type: 'data', bytes: plaintext });
    } else if (this.#heldData.length < maxHeldRecords) {
      this.#heldData.push(plaintext);
    } else {
      this.#counters.overflow++;
    }
  }

  #handleAlert(plaintext: Uint8Array): void {
    const code = u16(plaintext, 0);
    this.#events.push({ type: 'alert', level: code >>> 8, description: code & 0xff });
  }

  #holdRecord(record: Uint8Array, sequence: number): void {
    if (this.#heldRecords.some((held) => recordSequence(held, 0) === sequence)) return;
    const fits = this.#heldRecords.length < maxHeldRecords && record.length <= maxHeldRecordBytes;
    if (fits) this.#heldRecords.push(record.slice());
    else this.#counters.overflow++;
  }

  /** A record may carry several messages or fragments. */
  #handleHandshake(plaintext: Uint8Array, epoch: number, now: number): void {
    let retransmission = false;
    for (let at = 0; at < plaintext.length;) {
      const fragment = decodeFragment(plaintext, at);
      if (fragment === null) {
        this.#counters.malformed++;
        break;
      }
      at += handshakeHeaderBytes + fragment.body.length;
      const inFinished = fragment.type === handshakeType.finished;
      if (inFinished !== (epoch === protectedEpoch)) {
        // Finished is the only message in the protected epoch, and never outside of it.
        this.#counters[epoch === protectedEpoch ? 'renegotiation' : 'unexpected']++;
      } else if (this.#established && isHello(fragment.type)) {
        this.#counters.hello_after_connected++;
      } else if (this.#established && fragment.sequence >= this.#reassembler.next) {
        this.#counters.unexpected++;
      } else {
        const result = this.#reassembler.add(fragment);
        if (result === 'overflow') this.#counters.overflow++;
        retransmission ||= result === 'old';
      }
    }
    if (retransmission) this.#answerRetransmission(now);
  }

  #answerRetransmission(now: number): void {
    if (this.#flight.length > 0 && this.#timer.takeAnswer(now)) this.#retransmit();
  }

  #retransmit(): void {
    this.#counters.retransmitted++;
    this.#transmit();
  }

  #transmit(): void {
    for (const datagram of this.#writer.flight(this.#flight, this.#mtu)) this.#outbound.push(datagram);
    if (this.#flight.some((message) => message.epoch === protectedEpoch)) this.#writeEpoch = protectedEpoch;
  }
}

function isHello(type: number): boolean {
  return type === handshakeType.clientHello || type === handshakeType.serverHello;
}
