/**
 * Memory in which one packet after the other is written, where it can be sent from. No packet has an object of its own:
 * its room is opened, written, and given away by whoever opened it.
 */
export interface PacketRoom {
  /** Where the opened room is: from `at` on. Both hold until the next call of anything on the room. */
  readonly bytes: Uint8Array;
  readonly at: number;
  /** Makes room for a packet of exactly `length` bytes. False: there is none, and nothing may be written. */
  open(length: number): boolean;
}
