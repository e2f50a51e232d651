import { u16, u32 } from '../bytes.ts';
import { CounterCipher } from './counter-cipher.ts';
import type { SrtpCrypto } from './crypto.ts';
import { createSrtpCounters, srtpError, srtpErrorName, type SrtpCounters, type SrtpError } from './errors.ts';
import { EngineCipher } from './engine-cipher.ts';
import type { SrtpEngine } from './engine.ts';
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
const rtpHeaderBytes = 12;

/**
 * {@link SrtpTransform} of one DTLS association. With an engine, packets can be protected in batches as well, in the engine's
 * memory, and what is unprotected is borrowed until the engine unprotects the next packet; such a session must be closed.
 */
export class SrtpSession implements SrtpTransform {
  readonly counters: SrtpCounters;
  readonly #limits: SrtpLimits;
  readonly #local: SrtpPacketCipher;
  readonly #remote: SrtpPacketCipher;
  readonly #sent: Sources;
  readonly #received: Sources;
  readonly #receivedControl: Sources;
  readonly #queue: EngineCipher | null = null;
  readonly #engine: SrtpEngine | null;
  #rtpPackets = 0;
  #rtcpPackets = 0;

  /** Throws RangeError when keys or salts are not as long as the profile wants them. */
  constructor(
    keys: SrtpKeyMaterial,
    crypto: SrtpCrypto,
    counters: SrtpCounters = createSrtpCounters(),
    limits: SrtpLimits = srtpLimits,
    engine: SrtpEngine | null = null,
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
    const gcm = keys.profile === 'AEAD_AES_128_GCM';
    const slab = new PacketSlab();
    const local = deriveSessionKeys(crypto, keys.localKey, keys.localSalt);
    const remote = deriveSessionKeys(crypto, keys.remoteKey, keys.remoteSalt);
    this.#engine = engine;
    if (engine === null) {
      const Cipher = gcm ? GcmCipher : CounterCipher;
      this.#local = new Cipher(crypto, local, slab);
      this.#remote = new Cipher(crypto, remote, slab);
    } else {
      this.#queue = new EngineCipher(crypto, local, slab, engine, gcm, true);
      this.#local = this.#queue;
      this.#remote = new EngineCipher(crypto, remote, slab, engine, gcm, false);
    }
    this.#sent = new Sources(limits.sources, sendWindow);
    this.#received = new Sources(limits.sources, receiveWindow);
    this.#receivedControl = new Sources(limits.sources, receiveWindow);
  }

  /** Gives back what it has in the engine. Nothing may be called afterwards. Idempotent. */
  close(): void {
    for (const cipher of [this.#local, this.#remote]) if (cipher instanceof EngineCipher) cipher.close();
  }

  protectRtp(packet: Uint8Array): Uint8Array | SrtpError {
    if (packet.length > this.#local.maxPacketBytes - this.#local.tagBytes) return this.#refuse(srtpError.malformed);
    const headerBytes = rtpHeaderLength(packet, 0, packet.length);
    const index = this.#sendIndex(packet, 0, headerBytes);
    return index < 0 ? this.#refuse(-index as SrtpError) : this.#local.sealRtp(packet, headerBytes, index);
  }

  /**
   * `protectRtp` for a packet that was written where the engine gave room: it waits there with others for
   * {@link sealQueued}. Returns the number of its job, which is above 0, or an error's code with a minus.
   */
  queueRtp(at: number, length: number): number {
    const engine = this.#engine;
    if (engine === null || this.#queue === null) throw new TypeError('there is no engine');
    const headerBytes = rtpHeaderLength(engine.bytes, at, length);
    const index = this.#sendIndex(engine.bytes, at, headerBytes);
    if (index >= 0) return this.#queue.queueRtp(at, length, headerBytes, index);
    this.#refuse(-index as SrtpError);
    return index;
  }

  /** The first packet that waits, as the number of its job; -1: none. The engine tells the next ones. */
  get firstQueued(): number {
    return this.#queue?.first ?? -1;
  }

  /** By how much a packet grows. */
  get tagBytes(): number {
    return this.#local.tagBytes;
  }

  /** Protects all that wait, in place. */
  sealQueued(): void {
    this.#queue?.sealQueued();
  }

  /** What was sealed is sent. */
  clearQueue(): void {
    this.#queue?.clearQueue();
  }

  /** The index of a packet to be sent, which is used up then; or an error's code with a minus. */
  #sendIndex(bytes: Uint8Array, at: number, headerBytes: number): number {
    if (headerBytes === 0) return -srtpError.malformed;
    const ssrc = u32(bytes, at + 8);
    const known = this.#sent.find(ssrc);
    if (known === null && this.#sent.full) return -srtpError.tooManySources;
    const sequenceNumber = u16(bytes, at + 2);
    const index = known === null ? sequenceNumber : estimatePacketIndex(known.highest, sequenceNumber);
    if (Math.max(index, this.#rtpPackets) >= this.#limits.rtpPackets) return -srtpError.keyExhausted;
    if (known !== null && known.check(index) !== windowVerdict.fresh) return -srtpError.indexReused;
    (known ?? this.#sent.add(ssrc)).mark(index);
    this.#rtpPackets++;
    this.counters.protectedRtp++;
    return index;
  }

  protectRtcp(packet: Uint8Array): Uint8Array | SrtpError {
    const { maxPacketBytes, tagBytes } = this.#local;
    const tooLong = packet.length > maxPacketBytes - tagBytes - indexWordBytes;
    if (tooLong || !isRtcpHeader(packet, packet.length)) return this.#refuse(srtpError.malformed);
    // One index for all SSRCs: unique is all it has to be, and it counts what the key has protected.
    if (this.#rtcpPackets >= this.#limits.rtcpPackets) return this.#refuse(srtpError.keyExhausted);
    const sealed = this.#local.sealRtcp(packet, this.#rtcpPackets++);
    this.counters.protectedRtcp++;
    return sealed;
  }

  unprotectRtp(packet: Uint8Array): Uint8Array | SrtpError {
    const headerBytes = rtpHeaderLength(packet, 0, packet.length - this.#remote.tagBytes);
    if (headerBytes === 0 || packet.length > this.#remote.maxPacketBytes) return this.#refuse(srtpError.malformed);
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
    const end = packet.length - remote.tagBytes - indexWordBytes;
    if (packet.length > remote.maxPacketBytes || !isRtcpHeader(packet, end)) {
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

/** Header, CSRCs and header extension of the `length` bytes at `at`, which stay in clear; 0 when they do not fit (RFC 3550 section 5). */
function rtpHeaderLength(bytes: Uint8Array, at: number, length: number): number {
  if (length < rtpHeaderBytes) return 0;
  const first = bytes[at] as number;
  if (first >>> 6 !== 2) return 0;
  let header = rtpHeaderBytes + (first & 0x0f) * 4;
  if ((first & 0x10) !== 0) {
    if (header + 4 > length) return 0;
    header += 4 + u16(bytes, at + header + 2) * 4;
  }
  return header > length ? 0 : header;
}

function isRtcpHeader(packet: Uint8Array, end: number): boolean {
  return end >= rtcpClearBytes && (packet[0] as number) >>> 6 === 2;
}
