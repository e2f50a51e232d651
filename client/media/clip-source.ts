/** Plays a clip in real time, over and over, as tracks to publish. */
import { randomBytes } from 'node:crypto';
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import { systemClock } from '../clock.ts';
import type { ClientClock } from '../clock.ts';
import { ClipSchedule } from './clip-schedule.ts';
import type { Clip } from './clip.ts';
import { asksForKeyFrame } from './key-frame-request.ts';
import { Vp8Packetizer } from './vp8-packetizer.ts';

/** A request for a key frame within this time of the last one is answered by that one. */
const minJumpIntervalMs = 300;

/**
 * ```ts
 * const source = new ClipSource(await loadClip(['clip.ivf', 'clip.ogg']));
 * for (const track of source.tracks) await call.publish(track);
 * source.start();
 * ```
 * A request for a key frame (a PLI that reaches the video track's `onReceiveRtcp`) makes the clip jump to its next one.
 */
export class ClipSource {
  readonly video: MediaStreamTrack | null;
  readonly audio: MediaStreamTrack | null;
  readonly #clip: Clip;
  readonly #clock: ClientClock;
  readonly #packetizer = new Vp8Packetizer(randomBytes(2).readUInt16BE());
  readonly #videoStream = new OutgoingStream(96, 90);
  readonly #audioStream = new OutgoingStream(111, 48);
  #schedule: ClipSchedule | null = null;
  #timer: unknown = null;
  #lastJumpMs = -Infinity;
  #framesSent = 0;

  constructor(clip: Clip, clock: ClientClock = systemClock) {
    this.#clip = clip;
    this.#clock = clock;
    this.video = clip.video === null ? null : new MediaStreamTrack({ kind: 'video' });
    this.audio = clip.audio === null ? null : new MediaStreamTrack({ kind: 'audio' });
    this.video?.onReceiveRtcp.subscribe((packet) => {
      if (asksForKeyFrame(packet)) this.#jump();
    });
  }

  get tracks(): readonly MediaStreamTrack[] {
    return [this.video, this.audio].filter((track) => track !== null);
  }

  /** Video frames sent so far. */
  get framesSent(): number {
    return this.#framesSent;
  }

  start(): void {
    if (this.#schedule !== null) return;
    this.#schedule = new ClipSchedule(this.#clip, this.#clock.now());
    this.#play();
  }

  /** Ends the tracks as well. Idempotent. */
  stop(): void {
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#schedule = null;
    for (const track of this.tracks) track.stop();
  }

  #play(): void {
    const schedule = this.#schedule;
    if (schedule === null) return;
    const now = this.#clock.now();
    for (let item = schedule.take(now); item !== null; item = schedule.take(now)) {
      if (item.kind === 'audio') {
        this.audio?.writeRtp(this.#audioStream.packet(item.packet.data, item.atMs, false));
        continue;
      }
      this.#framesSent += 1;
      const payloads = this.#packetizer.packetize(item.frame.data);
      for (const [index, payload] of payloads.entries()) {
        this.video?.writeRtp(this.#videoStream.packet(payload, item.atMs, index === payloads.length - 1));
      }
    }
    const due = schedule.nextDueMs();
    if (due === null) return;
    this.#timer = this.#clock.setTimer(
      () => {
        this.#play();
      },
      Math.max(0, due - now),
    );
  }

  #jump(): void {
    const now = this.#clock.now();
    if (now - this.#lastJumpMs < minJumpIntervalMs) return;
    this.#lastJumpMs = now;
    this.#schedule?.jumpToKeyFrame();
  }
}

/** Headers of one stream; its sender rewrites SSRC and payload type. */
class OutgoingStream {
  readonly #payloadType: number;
  readonly #ticksPerMs: number;
  readonly #firstTimestamp = randomBytes(4).readUInt32BE();
  #sequenceNumber = randomBytes(2).readUInt16BE();

  constructor(payloadType: number, ticksPerMs: number) {
    this.#payloadType = payloadType;
    this.#ticksPerMs = ticksPerMs;
  }

  packet(payload: Uint8Array, atMs: number, marker: boolean): RtpPacket {
    const { buffer, byteOffset, byteLength } = payload;
    const header = new RtpHeader({
      marker,
      payloadType: this.#payloadType,
      sequenceNumber: this.#sequenceNumber,
      timestamp: (this.#firstTimestamp + Math.round(atMs * this.#ticksPerMs)) >>> 0,
    });
    this.#sequenceNumber = (this.#sequenceNumber + 1) & 0xffff;
    return new RtpPacket(header, Buffer.from(buffer, byteOffset, byteLength));
  }
}
