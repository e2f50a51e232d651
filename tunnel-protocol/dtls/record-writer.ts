/** Makes records, and datagrams of records, with sequence numbers that are never used twice. */
import { concatBytes } from '../bytes.ts';
import { dtlsContentType, putRecordHeader, recordHeaderBytes } from './record.ts';
import {
  handshakeHeaderBytes,
  messageBody,
  messageSequence,
  messageType,
  putFragmentHeader,
} from './handshake-message.ts';
import { protectedEpoch, protectionBytes, type RecordProtection } from './protection.ts';

/** A handshake message (header and body, unfragmented) or ChangeCipherSpec, and the epoch to send it in. */
export interface FlightMessage {
  readonly type: number;
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

export class RecordWriter {
  readonly #nextSequence: [number, number] = [0, 0];
  protection: RecordProtection | null = null;

  /** One record. Protected when the epoch is; throws when protection is not there yet. */
  record(type: number, epoch: number, plaintext: Uint8Array): Uint8Array {
    const slot = epoch === protectedEpoch ? 1 : 0;
    const sequence = this.#nextSequence[slot]++;
    const fragment = slot === 1 ? this.#seal(type, sequence, plaintext) : plaintext;
    const record = new Uint8Array(recordHeaderBytes + fragment.length);
    putRecordHeader(record, 0, type, epoch, sequence, fragment.length);
    record.set(fragment, recordHeaderBytes);
    return record;
  }

  /**
   * A flight as datagrams of at most `mtu` bytes, messages fragmented where they must be. Called again, it gives new
   * records of the same messages: a peer with a replay window then sees that they are a retransmission
   * (RFC 6347 section 4.2.4).
   */
  flight(messages: readonly FlightMessage[], mtu: number): Uint8Array[] {
    const datagrams: Uint8Array[] = [];
    let gathered: Uint8Array[] = [];
    let gatheredBytes = 0;
    const flush = () => {
      if (gatheredBytes > 0) datagrams.push(concatBytes(gathered));
      gathered = [];
      gatheredBytes = 0;
    };
    for (const message of messages) {
      for (const plaintext of this.#fragments(message, mtu)) {
        const record = this.record(message.type, message.epoch, plaintext);
        if (gatheredBytes + record.length > mtu) flush();
        gathered.push(record);
        gatheredBytes += record.length;
      }
    }
    flush();
    return datagrams;
  }

  #seal(type: number, sequence: number, plaintext: Uint8Array): Uint8Array {
    if (this.protection === null) throw new Error('No keys for protected records yet');
    return this.protection.seal(type, sequence, plaintext);
  }

  #fragments(message: FlightMessage, mtu: number): Uint8Array[] {
    if (message.type !== dtlsContentType.handshake) return [message.bytes];
    const overhead = recordHeaderBytes + (message.epoch === protectedEpoch ? protectionBytes : 0);
    if (message.bytes.length + overhead <= mtu) return [message.bytes];
    const body = messageBody(message.bytes);
    const room = mtu - overhead - handshakeHeaderBytes;
    const fragments: Uint8Array[] = [];
    for (let offset = 0; offset < body.length; offset += room) {
      const part = body.subarray(offset, offset + room);
      const fragment = new Uint8Array(handshakeHeaderBytes + part.length);
      const type = messageType(message.bytes);
      putFragmentHeader(fragment, 0, type, body.length, messageSequence(message.bytes), offset, part.length);
      fragment.set(part, handshakeHeaderBytes);
      fragments.push(fragment);
    }
    return fragments;
  }
}
