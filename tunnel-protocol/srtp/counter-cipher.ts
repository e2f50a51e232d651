/** AES_CM_128_HMAC_SHA1_80: RFC 3711 sections 3.3, 3.4, 4.1.1 and 4.2.1. */
import { putU32, u32 } from '../bytes.ts';
import type { SrtpCrypto } from './crypto.ts';
import {
  encryptedFlag,
  indexWordBytes,
  rtcpClearBytes,
  type SrtpPacketCipher,
  type SrtpSessionKeys,
} from './packet-cipher.ts';
import { rolloverCounter } from './packet-index.ts';
import type { PacketSlab } from './packet-slab.ts';

const tagBytes = 10;
const nothing = new Uint8Array(0);

export class CounterCipher implements SrtpPacketCipher {
  readonly tagBytes = tagBytes;
  readonly maxPacketBytes = 65_535;
  readonly #slab: PacketSlab;
  readonly #rtpStream: CounterStream;
  readonly #rtcpStream: CounterStream;
  readonly #rtpMac: (first: Uint8Array, second: Uint8Array) => Uint8Array;
  readonly #rtcpMac: (first: Uint8Array, second: Uint8Array) => Uint8Array;
  readonly #rollover = new Uint8Array(4);

  constructor(crypto: SrtpCrypto, keys: SrtpSessionKeys, slab: PacketSlab) {
    this.#slab = slab;
    this.#rtpStream = new CounterStream(crypto.aesBlocks(keys.rtpKey), keys.rtpSalt);
    this.#rtcpStream = new CounterStream(crypto.aesBlocks(keys.rtcpKey), keys.rtcpSalt);
    this.#rtpMac = crypto.hmacSha1(keys.rtpAuthentication);
    this.#rtcpMac = crypto.hmacSha1(keys.rtcpAuthentication);
  }

  sealRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array {
    const sealed = this.#slab.take(packet.length + tagBytes);
    sealed.set(packet);
    this.#rtpStream.apply(sealed, headerBytes, packet.length, 8, index);
    putTag(sealed, packet.length, this.#rtpTag(sealed, packet.length, index));
    return sealed;
  }

  openRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array | null {
    const tagAt = packet.length - tagBytes;
    if (!tagMatches(packet, tagAt, this.#rtpTag(packet, tagAt, index))) return null;
    const opened = this.#slab.take(tagAt);
    opened.set(packet.subarray(0, tagAt));
    this.#rtpStream.apply(opened, headerBytes, tagAt, 8, index);
    return opened;
  }

  sealRtcp(packet: Uint8Array, index: number): Uint8Array {
    const sealed = this.#slab.take(packet.length + indexWordBytes + tagBytes);
    sealed.set(packet);
    this.#rtcpStream.apply(sealed, rtcpClearBytes, packet.length, 4, index);
    putU32(sealed, packet.length, index + encryptedFlag);
    const tagAt = packet.length + indexWordBytes;
    putTag(sealed, tagAt, this.#rtcpMac(sealed.subarray(0, tagAt), nothing));
    return sealed;
  }

  indexWordAt(packetBytes: number): number {
    return packetBytes - tagBytes - indexWordBytes;
  }

  openRtcp(packet: Uint8Array): Uint8Array | null {
    const tagAt = packet.length - tagBytes;
    const wordAt = tagAt - indexWordBytes;
    if (!tagMatches(packet, tagAt, this.#rtcpMac(packet.subarray(0, tagAt), nothing))) return null;
    const opened = this.#slab.take(wordAt);
    opened.set(packet.subarray(0, wordAt));
    const word = u32(packet, wordAt);
    if (word >= encryptedFlag) this.#rtcpStream.apply(opened, rtcpClearBytes, wordAt, 4, word & 0x7fff_ffff);
    return opened;
  }

  /** Section 4.2: what is authenticated is the packet with the rollover counter behind it. */
  #rtpTag(packet: Uint8Array, length: number, index: number): Uint8Array {
    putU32(this.#rollover, 0, rolloverCounter(index));
    return this.#rtpMac(packet.subarray(0, length), this.#rollover);
  }
}

/** AES in counter mode (section 4.1.1), its blocks made by one long-lived cipher. */
export class CounterStream {
  readonly #aesBlocks: (blocks: Uint8Array) => Uint8Array;
  readonly #salt: Uint8Array;
  #counters = new Uint8Array(2048);
  #words = new Uint32Array(this.#counters.buffer);

  constructor(aesBlocks: (blocks: Uint8Array) => Uint8Array, salt: Uint8Array) {
    this.#aesBlocks = aesBlocks;
    this.#salt = salt;
  }

  /** XORs keystream onto `packet` from `from` up to `end`. The packet's SSRC stands at `ssrcAt`. */
  apply(packet: Uint8Array, from: number, end: number, ssrcAt: number, index: number): void {
    if (end <= from) return;
    const length = (end - from + 15) & ~15;
    this.#setCounters(length, packet, ssrcAt, index);
    const keystream = this.#aesBlocks(this.#counters.subarray(0, length));
    for (let at = from, i = 0; at < end; at++, i++) {
      packet[at] = (packet[at] as number) ^ (keystream[i] as number);
    }
  }

  /** The counter of block i is (salt × 2^16) XOR (SSRC × 2^64) XOR (index × 2^16), plus i. */
  #setCounters(length: number, packet: Uint8Array, ssrcAt: number, index: number): void {
    if (length > this.#counters.length) {
      this.#counters = new Uint8Array(length);
      this.#words = new Uint32Array(this.#counters.buffer);
    }
    const counters = this.#counters;
    counters.fill(0, 0, 16);
    for (let i = 0; i < 4; i++) counters[4 + i] = packet[ssrcAt + i] as number;
    putU32(counters, 8, rolloverCounter(index));
    counters[12] = index >>> 8;
    counters[13] = index;
    for (let i = 0; i < this.#salt.length; i++) counters[i] = (counters[i] as number) ^ (this.#salt[i] as number);

    const words = this.#words;
    for (let block = 1; block < length / 16; block++) {
      for (let i = 0; i < 4; i++) words[block * 4 + i] = words[i] as number;
      counters[block * 16 + 14] = block >>> 8;
      counters[block * 16 + 15] = block;
    }
  }
}

function putTag(packet: Uint8Array, at: number, mac: Uint8Array): void {
  for (let i = 0; i < tagBytes; i++) packet[at + i] = mac[i] as number;
}

/** Without an early exit. */
function tagMatches(packet: Uint8Array, at: number, mac: Uint8Array): boolean {
  let difference = 0;
  for (let i = 0; i < tagBytes; i++) difference |= (packet[at + i] as number) ^ (mac[i] as number);
  return difference === 0;
}
