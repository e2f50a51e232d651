/** RTP header extensions, one-byte and two-byte form (RFC 8285 sections 4.2 and 4.3). */
import { putU16 } from '../bytes.ts';
import type { RtpView } from './rtp-view.ts';

export const oneByteProfile = 0xbede;
/** The low 4 bits are "appbits" and mean nothing here. */
export const twoByteProfile = 0x1000;

/**
 * Walks the extension elements of a packet, in order. One object serves packet after packet:
 * `cursor.start(view); while (cursor.next()) …`. Elements that do not fit end the walk; nothing throws.
 */
export class ExtensionCursor {
  id = 0;
  /** Of the element's data in the packet. */
  offset = 0;
  length = 0;
  #packet: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #twoByte = false;

  /** The view must hold a sound packet. */
  start(view: RtpView): void {
    const profile = view.extensionProfile;
    this.#twoByte = profile >= 0 && (profile & 0xfff0) === twoByteProfile;
    this.#packet = view.packet;
    this.#at = view.extensionOffset;
    this.#end = this.#twoByte || profile === oneByteProfile ? view.extensionOffset + view.extensionLength : 0;
  }

  next(): boolean {
    const packet = this.#packet;
    while (this.#at < this.#end) {
      const first = packet[this.#at] as number;
      if (first === 0) {
        this.#at++;
        continue;
      }
      if (this.#twoByte) {
        if (this.#at + 2 > this.#end) break;
        this.id = first;
        this.length = packet[this.#at + 1] as number;
        this.offset = this.#at + 2;
      } else {
        this.id = first >>> 4;
        // Section 4.2: 15 ends the walk; 0 that is no padding byte is nothing that a later element could follow.
        if (this.id === 15 || this.id === 0) break;
        this.length = (first & 0x0f) + 1;
        this.offset = this.#at + 1;
      }
      if (this.offset + this.length > this.#end) break;
      this.#at = this.offset + this.length;
      return true;
    }
    this.#at = this.#end;
    return false;
  }

  /** Starts a walk and stops at the element with this id; false when there is none. */
  find(view: RtpView, id: number): boolean {
    this.start(view);
    while (this.next()) if (this.id === id) return true;
    return false;
  }
}

/** Whether an element has no place in the one-byte form. Elements are at most 255 bytes. */
export function needsTwoByteForm(id: number, length: number): boolean {
  return id > 14 || length === 0 || length > 16;
}

/**
 * Writes a header extension: `begin`, `add` for each element, `end`. The target must have room: 4 bytes, for each
 * element its data and 1 byte (one-byte form) or 2, and up to 3 bytes of padding.
 */
export class ExtensionWriter {
  #target: Uint8Array = new Uint8Array(0);
  #start = 0;
  #at = 0;
  #twoByte = false;

  begin(target: Uint8Array, at: number, twoByte: boolean): void {
    this.#target = target;
    this.#start = at;
    this.#at = at + 4;
    this.#twoByte = twoByte;
  }

  /** Throws RangeError for an element that the form cannot carry. */
  add(id: number, source: Uint8Array, offset: number, length: number): void {
    const target = this.#target;
    if (this.#twoByte) {
      if (id < 1 || id > 255 || length > 255) throw new RangeError('no such header extension element');
      target[this.#at++] = id;
      target[this.#at++] = length;
    } else {
      if (id < 1 || needsTwoByteForm(id, length)) throw new RangeError('this element takes the two-byte form');
      target[this.#at++] = (id << 4) | (length - 1);
    }
    for (let i = 0; i < length; i++) target[this.#at++] = source[offset + i] as number;
  }

  /** Pads, writes the header, returns the offset behind the extension. */
  end(): number {
    const target = this.#target;
    while (((this.#at - this.#start) & 3) !== 0) target[this.#at++] = 0;
    putU16(target, this.#start, this.#twoByte ? twoByteProfile : oneByteProfile);
    putU16(target, this.#start + 2, (this.#at - this.#start - 4) >>> 2);
    return this.#at;
  }
}
