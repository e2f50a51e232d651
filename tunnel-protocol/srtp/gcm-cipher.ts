/** AEAD_AES_128_GCM: RFC 7714 sections 8 (RTP) and 9 (RTCP). */
import { putU32, u32 } from '../bytes.ts';
import type { AesGcm, SrtpCrypto } from './crypto.ts';
import {
  encryptedFlag,
  indexWordBytes,
  rtcpClearBytes,
  type SrtpPacketCipher,
  type SrtpSessionKeys,
} from './packet-cipher.ts';
import { rolloverCounter } from './packet-index.ts';
import type { PacketSlab } from './packet-slab.ts';

const tagBytes = 16;
const nothing = new Uint8Array(0);

export class GcmCipher implements SrtpPacketCipher {
  readonly tagBytes = tagBytes;
  readonly maxPacketBytes = 65_535;
  readonly #slab: PacketSlab;
  readonly #rtp: AesGcm;
  readonly #rtpSalt: Uint8Array;
  readonly #rtcp: AesGcm;
  readonly #rtcpSalt: Uint8Array;
  readonly #nonce = new Uint8Array(12);
  /** The associated data of encrypted RTCP: its first 8 bytes and the index word. */
  readonly #associated = new Uint8Array(rtcpClearBytes + indexWordBytes);

  constructor(crypto: SrtpCrypto, keys: SrtpSessionKeys, slab: PacketSlab) {
    this.#slab = slab;
    this.#rtp = crypto.aesGcm(keys.rtpKey);
    this.#rtpSalt = keys.rtpSalt;
    this.#rtcp = crypto.aesGcm(keys.rtcpKey);
    this.#rtcpSalt = keys.rtcpSalt;
  }

  sealRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array {
    const sealed = this.#slab.take(packet.length + tagBytes);
    copyPrefix(sealed, packet, headerBytes);
    this.#setRtpNonce(packet, index);
    this.#rtp.seal(this.#nonce, packet.subarray(0, headerBytes), packet.subarray(headerBytes), sealed, headerBytes);
    return sealed;
  }

  openRtp(packet: Uint8Array, headerBytes: number, index: number): Uint8Array | null {
    const tagAt = packet.length - tagBytes;
    this.#setRtpNonce(packet, index);
    const plain = this.#rtp.open(
      this.#nonce,
      packet.subarray(0, headerBytes),
      packet.subarray(headerBytes, tagAt),
      packet.subarray(tagAt),
    );
    if (plain === null) return null;
    const opened = this.#slab.take(tagAt);
    copyPrefix(opened, packet, headerBytes);
    opened.set(plain, headerBytes);
    return opened;
  }

  sealRtcp(packet: Uint8Array, index: number): Uint8Array {
    const sealed = this.#slab.take(packet.length + tagBytes + indexWordBytes);
    copyPrefix(sealed, packet, rtcpClearBytes);
    putU32(sealed, sealed.length - indexWordBytes, index + encryptedFlag);
    this.#setRtcpNonce(packet, index);
    this.#setAssociated(sealed, sealed.length - indexWordBytes);
    this.#rtcp.seal(this.#nonce, this.#associated, packet.subarray(rtcpClearBytes), sealed, rtcpClearBytes);
    return sealed;
  }

  indexWordAt(packetBytes: number): number {
    return packetBytes - indexWordBytes;
  }

  openRtcp(packet: Uint8Array): Uint8Array | null {
    const wordAt = packet.length - indexWordBytes;
    const tagAt = wordAt - tagBytes;
    const word = u32(packet, wordAt);
    const tag = packet.subarray(tagAt, wordAt);
    this.#setRtcpNonce(packet, word & 0x7fff_ffff);
    if (word < encryptedFlag) {
      // Section 9.3: all of the packet and the index word are associated data, and nothing is encrypted.
      const associated = new Uint8Array(tagAt + indexWordBytes);
      associated.set(packet.subarray(0, tagAt));
      putU32(associated, tagAt, word);
      if (this.#rtcp.open(this.#nonce, associated, nothing, tag) === null) return null;
      return associated.subarray(0, tagAt);
    }
    this.#setAssociated(packet, wordAt);
    const plain = this.#rtcp.open(this.#nonce, this.#associated, packet.subarray(rtcpClearBytes, tagAt), tag);
    if (plain === null) return null;
    const opened = this.#slab.take(tagAt);
    copyPrefix(opened, packet, rtcpClearBytes);
    opened.set(plain, rtcpClearBytes);
    return opened;
  }

  /** Section 8.1: 0, SSRC, rollover counter, sequence number, XORed with the salt. */
  #setRtpNonce(packet: Uint8Array, index: number): void {
    const nonce = this.#nonce;
    nonce[0] = nonce[1] = 0;
    copy4(nonce, 2, packet, 8);
    putU32(nonce, 6, rolloverCounter(index));
    nonce[10] = index >>> 8;
    nonce[11] = index;
    xorInto(nonce, this.#rtpSalt);
  }

  /** Section 9.1: 0, SSRC, 0, SRTCP index, XORed with the salt. */
  #setRtcpNonce(packet: Uint8Array, index: number): void {
    const nonce = this.#nonce;
    nonce[0] = nonce[1] = nonce[6] = nonce[7] = 0;
    copy4(nonce, 2, packet, 4);
    putU32(nonce, 8, index);
    xorInto(nonce, this.#rtcpSalt);
  }

  #setAssociated(packet: Uint8Array, wordAt: number): void {
    copyPrefix(this.#associated, packet, rtcpClearBytes);
    copy4(this.#associated, rtcpClearBytes, packet, wordAt);
  }
}

function copy4(target: Uint8Array, at: number, source: Uint8Array, from: number): void {
  for (let i = 0; i < 4; i++) target[at + i] = source[from + i] as number;
}

function copyPrefix(target: Uint8Array, source: Uint8Array, length: number): void {
  for (let i = 0; i < length; i++) target[i] = source[i] as number;
}

function xorInto(target: Uint8Array, salt: Uint8Array): void {
  for (let i = 0; i < salt.length; i++) target[i] = (target[i] as number) ^ (salt[i] as number);
}
