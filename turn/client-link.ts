/** The way back to one client: over its listener's UDP socket, or on its connection. */
import { putU16, type TransportAddress } from '../tunnel-protocol/index.ts';
import type { Allocation } from './allocation.ts';

export type TurnKind = 'turn-udp' | 'turn-tcp' | 'turn-tls';

export abstract class ClientLink {
  abstract readonly kind: TurnKind;
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  /** ChannelData is padded to four bytes on streams (RFC 8656 section 12.5). */
  abstract readonly padded: boolean;
  allocation: Allocation | null = null;
  /** Where the message that {@link open} made room for is to be written. */
  bytes: Uint8Array = nothing;
  at = 0;

  constructor(remote: TransportAddress, local: TransportAddress) {
    this.remote = remote;
    this.local = local;
  }

  /** Makes room for one message; false when the client does not keep up and the message is to be dropped. */
  abstract open(length: number): boolean;
  /** Sends what was written since {@link open}. */
  abstract commit(): void;
  abstract attach(allocation: Allocation): void;
  abstract detach(): void;

  /** A whole STUN message. */
  sendMessage(message: Uint8Array): void {
    if (!this.open(message.length)) return;
    this.bytes.set(message, this.at);
    this.commit();
  }

  /** False when dropped. */
  sendChannelData(channel: number, datagram: Uint8Array): boolean {
    const { length } = datagram;
    const end = 4 + length;
    const size = this.padded ? (end + 3) & ~3 : end;
    if (!this.open(size)) return false;
    const { bytes, at } = this;
    putU16(bytes, at, channel);
    putU16(bytes, at + 2, length);
    bytes.set(datagram, at + 4);
    for (let i = end; i < size; i++) bytes[at + i] = 0;
    this.commit();
    return true;
  }
}

const nothing = new Uint8Array(0);
