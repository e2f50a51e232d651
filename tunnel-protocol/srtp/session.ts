import { u16, u32 } from '../bytes.ts';
import { CounterCipher } from './counter-cipher.ts';
import type { SrtpCrypto } from './crypto.ts';
import { createSrtpCounters, srtpError, srtpErrorName, type SrtpCounters, type SrtpError } from './errors.ts';
import { GcmCipher } from './gcm-cipher.ts';
import type { SrtpKeyMaterial } from './keys.ts';
import { deriveSessionKeys, indexWordBytes, rtcpClearBytes, type SrtpPacketCipher } from './packet-cipher.ts';
import { estimatePacketIndex, maxRtcpPackets, maxRtpPackets } from './packet-index.ts';
import { PacketSlab } from './packet-slab.ts';
import { ReplayWindow, windowVerdict } from './replay-window.ts';
import type { SrtpTransform } from './transform.ts';

export interface SrtpLimits {
  /** SSRCs known at once, RTP and RTCP and each direction counted by itself. None is ever forgotten. */
  readonly sources: number;
  /** Packets that one key may protect, all SSRCs together; also the end of each SSRC's indices (RFC 3711 section 9.2). */
  readonly rtpPackets: number;
  readonly rtcpPackets: number;
}

export const srtpLimits: SrtpLimits = { sources: 256, rtpPackets: maxRtpPackets, rtcpPackets: maxRtcpPackets };

/** Packets behind the highest of an SSRC that still are accepted. */
const receiveWindow = 128;
/** Wider for what we send ourselves: nothing but the reuse of an index is to be caught. */
const sendWindow = 1024;
const maxPacketBytes = 65_535;
const rtpHeaderBytes = 12;

/** {@link SrtpTransform} of one DTLS association, one packet at a time. */
export class SrtpSession implements SrtpTransform {
  readonly counters: SrtpCounters;
  readonly #limits: SrtpLimits;
  readonly #local: SrtpPacketCipher;
  readonly #remote: SrtpPacketCipher;
  readonly #sent: Sources;
  readonly #received: Sources;
  readonly #receivedControl: Sources;
  #rtpPackets = 0;
  #rtcpPackets = 0;

  /** Throws RangeError when keys or salts are not as long as the profile wants them. */
  constructor(
    keys: SrtpKeyMaterial,
    crypto: SrtpCrypto,
    counters: SrtpCounters = createSrtpCounters(),
    limits: SrtpLimits = srtpLimits,
  ) {
    this.counters = counters;
    this.#limits = limits;
    const saltBytes = keys.profile === 'AEAD_AES_128_GCM' ? 12 : 14;
    for (const key of [keys.localKey, keys.remoteKey]) {
      if (key.length !== 16) throw new RangeError(`${keys.profile} takes keys of 16 bytes`);
    }
    for (const salt of [keys.localSalt, keys.remoteSalt]) {
      if (salt.length !== saltBytes) throw new RangeError(`${keys.profile} takes salts of ${String(saltBytes)} bytes`);
    }
    const Cipher = keys.profile === 'AEAD_AES_128_GCM' ? GcmCipher : CounterCipher;
    const slab = new PacketSlab();
    this.#local = new Cipher(crypto, deriveSessionKeys(crypto, keys.localKey, keys.localSalt), slab);
    this.#remote = new Cipher(crypto, deriveSessionKeys(crypto, keys.remoteKey, keys.remoteSalt), slab);
    this.#sent = new Sources(limits.sources, sendWindow);
    this.#received = new Sources(limits.sources, receiveWindow);
    this.#receivedControl = new Sources(limits.sources, receiveWindow);
  }

  protectRtp(packet: Uint8Array): Uint8Array | SrtpError {
    const headerBytes = rtpHeaderLength(packet, packet.length);
    if (headerBytes === 0) return this.#refuse(srtpError.malformed);
    const ssrc = u32(packet, 8);
    const known = this.#sent.find(ssrc);
    if (known === null && this.#sent.full) return this.#refuse(srtpError.tooManySources);
    const sequenceNumber = u16(packet, 2);
    const index = known === null ? sequenceNumber : estimatePacketIndex(known.highest, sequenceNumber);
    if (Math.max(index, this.#rtpPackets) >= this.#limits.rtpPackets) return this.#refuse(srtpError.keyExhausted);
    if (known !== null && known.check(index) !== windowVerdict.fresh) return this.#refuse(srtpError.indexReused);
    const sealed = this.#local.sealRtp(packet, headerBytes, index);
    (known ?? this.#sent.add(ssrc)).mark(index);
    this.#rtpPackets++;
    this.counters.protectedRtp++;
    return sealed;
  }

  protectRtcp(packet: Uint8Array): Uint8Array | SrtpError {
    if (!isRtcpHeader(packet, packet.length)) return this.#refuse(srtpError.malformed);
    // One index for all SSRCs: unique is all it has to be, and it counts what the key has protected.
    if (this.#rtcpPackets >= this.#limits.rtcpPackets) return this.#refuse(srtpError.keyExhausted);
    const sealed = this.#local.sealRtcp(packet, this.#rtcpPackets++);
    this.counters.protectedRtcp++;
    return sealed;
  }

  unprotectRtp(packet: Uint8Array): Uint8Array | SrtpError {
    const headerBytes = rtpHeaderLength(packet, packet.length - this.#remote.tagBytes);
    if (headerBytes === 0) return this.#refuse(srtpError.malformed);
    const ssrc = u32(packet, 8);
    const known = this.#received.find(ssrc);
    if (known === null && this.#received.full) return this.#refuse(srtpError.tooManySources);
    const sequenceNumber = u16(packet, 2);
    const index = known === null ? sequenceNumber : estimatePacketIndex(known.highest, sequenceNumber);
    if (index >= this.#limits.rtpPackets) return this.#refuse(srtpError.keyExhausted);
    if (known !== null) {
      const verdict = known.check(index);
      if (verdict !== windowVerdict.fresh) return this.#refuseOld(verdict);
    }
    const opened = this.#remote.openRtp(packet, headerBytes, index);
    if (opened === null) return this.#refuse(srtpError.unauthenticated);
    (known ?? this.#received.add(ssrc)).mark(index);
    this.counters.unprotectedRtp++;
    return opened;
  }

  unprotectRtcp(packet: Uint8Array): Uint8Array | SrtpError {
    const remote = this.#remote;
    if (!isRtcpHeader(packet, packet.length - remote.tagBytes - indexWordBytes)) {
      return this.#refuse(srtpError.malformed);
    }
    const ssrc = u32(packet, 4);
    const known = this.#receivedControl.find(ssrc);
    if (known === null && this.#receivedControl.full) return this.#refuse(srtpError.tooManySources);
    const index = u32(packet, remote.indexWordAt(packet.length)) & 0x7fff_ffff;
    if (known !== null) {
      const verdict = known.check(index);
      if (verdict !== windowVerdict.fresh) return this.#refuseOld(verdict);
    }
    const opened = remote.openRtcp(packet);
    if (opened === null) return this.#refuse(srtpError.unauthenticated);
    (known ?? this.#receivedControl.add(ssrc)).mark(index);
    this.counters.unprotectedRtcp++;
    return opened;
  }

  #refuseOld(verdict: number): SrtpError {
    return this.#refuse(verdict === windowVerdict.seen ? srtpError.replayed : srtpError.tooOld);
  }

  #refuse(error: SrtpError): SrtpError {
    this.counters[srtpErrorName(error)]++;
    return error;
  }
}

/** Replay windows by SSRC. One comes into being with the first packet that was authenticated, not before. */
class Sources {
  readonly #limit: number;
  readonly #windowSize: number;
  /** Keys are SSRCs as signed integers, which the engine keeps unboxed. */
  readonly #windows = new Map<number, ReplayWindow>();

  constructor(limit: number, windowSize: number) {
    this.#limit = limit;
    this.#windowSize = windowSize;
  }

  get full(): boolean {
    return this.#windows.size >= this.#limit;
  }

  find(ssrc: number): ReplayWindow | null {
    return this.#windows.get(ssrc | 0) ?? null;
  }

  add(ssrc: number): ReplayWindow {
    const window = new ReplayWindow(this.#windowSize);
    this.#windows.set(ssrc | 0, window);
    return window;
  }
}

/** Header, CSRCs and header extension, which stay in clear; 0 when they do not fit before `end` (RFC 3550 section 5). */
function rtpHeaderLength(packet: Uint8Array, end: number): number {
  if (packet.length > maxPacketBytes || end < rtpHeaderBytes) return 0;
  const first = packet[0] as number;
  if (first >>> 6 !== 2) return 0;
  let length = rtpHeaderBytes + (first & 0x0f) * 4;
  if ((first & 0x10) !== 0) {
    if (length + 4 > end) return 0;
    length += 4 + u16(packet, length + 2) * 4;
  }
  return length > end ? 0 : length;
}

function isRtcpHeader(packet: Uint8Array, end: number): boolean {
  return packet.length <= maxPacketBytes && end >= rtcpClearBytes && (packet[0] as number) >>> 6 === 2;
}
