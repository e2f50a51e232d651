import type { PacketRoom } from '../forward/packet-room.ts';

/** A room whose packets can be looked at: each has memory of its own, with other bytes before and behind it. */
export class ArrayRoom implements PacketRoom {
  bytes: Uint8Array = new Uint8Array(0);
  readonly at = 3;
  /** What was opened last. */
  packet: Uint8Array = new Uint8Array(0);

  open(length: number): boolean {
    this.bytes = new Uint8Array(this.at + length + 5).fill(0xee);
    this.packet = this.bytes.subarray(this.at, this.at + length);
    return true;
  }

  /** Whether nothing was written beside the packet. */
  get tidy(): boolean {
    const { bytes, at, packet } = this;
    return bytes.every((byte, i) => (i >= at && i < at + packet.length) || byte === 0xee);
  }
}
