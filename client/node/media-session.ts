/** All RTP of a call: slots that receive, sections that send, and the RTCP between them. */
import { randomBytes } from 'node:crypto';
import type { MediaStreamTrack } from 'werift';
import {
  RtpView,
  concatBytes,
  decodeRtcp,
  encodePli,
  encodeReceiverReport,
  encodeSenderReport,
  encodeSourceDescription,
  publishSections,
} from '../../tunnel-protocol/index.ts';
import type { ReportBlock, RtcpPacket, SendMeta, Source } from '../../tunnel-protocol/index.ts';
import type { TrackStats } from '../call.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';
import { pictureLossIndication } from '../media/key-frame-request.ts';
import type { NodeTransport } from './node-transport.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { ReceiveSlot } from './receive-slot.ts';
import type { Answer } from './sdp-answer.ts';

export interface MediaSessionOptions {
  readonly transport: NodeTransport;
  readonly clock: ClientClock;
  readonly cname: string;
  readonly ssrcs: Readonly<Record<Source, number>>;
  readonly answer: Answer;
  /** Of an earlier session, which has let go of them: their tracks go on. */
  readonly slotsBefore?: ReadonlyMap<string, ReceiveSlot> | undefined;
}

interface Feed {
  readonly track: MediaStreamTrack;
  muted: boolean;
  readonly stop: () => void;
}

/** Requests for one slot's key frame within this time are one. */
const minPliIntervalMs = 200;

export class MediaSession {
  readonly slots: ReadonlyMap<string, ReceiveSlot>;
  readonly #options: MediaSessionOptions;
  readonly #slotBySsrc = new Map<number, ReceiveSlot>();
  readonly #streams = new Map<Source, OutgoingStream>();
  readonly #feeds = new Map<Source, Feed>();
  readonly #askedAt = new Map<string, number>();
  readonly #view = new RtpView();
  readonly #reporterSsrc: number;
  #strangers = 0;
  #frameId = 0;

  constructor(options: MediaSessionOptions) {
    this.#options = options;
    const { answer, transport, ssrcs } = options;
    const slots = new Map<string, ReceiveSlot>();
    for (const [mid, { kind, ssrc }] of answer.slots) {
      const slot = new ReceiveSlot(mid, kind, ssrc, options.slotsBefore?.get(mid));
      slots.set(mid, slot);
      this.#slotBySsrc.set(ssrc, slot);
    }
    this.slots = slots;
    for (const { source, mid, kind } of publishSections) {
      if (!answer.accepted.has(source)) continue;
      const random = (): number => randomBytes(4).readUInt32BE();
      const stream = new OutgoingStream(mid, kind, ssrcs[source], answer.takesMid, random, () => ++this.#frameId);
      this.#streams.set(source, stream);
    }
    this.#reporterSsrc = ssrcs.microphone;
    transport.on('rtp', (packet) => {
      this.#receiveRtp(packet);
    });
    transport.on('rtcp', (compound) => {
      this.#receiveRtcp(compound);
    });
    transport.on('dropped', (meta) => {
      this.#dropped(meta);
    });
  }

  /** Packets of SSRCs that are no slot's. */
  get strangers(): number {
    return this.#strangers;
  }

  get trackStats(): readonly TrackStats[] {
    const sent = [...this.#streams.values()].map((stream) => stream.stats);
    const received = [...this.slots.values()].map((slot) => slot.stats);
    return [...sent, ...received].filter((stats) => stats.packets > 0);
  }

  /** Lets a track's packets through. Throws ClientError `forbidden` when the server does not take this source. */
  feed(source: Source, track: MediaStreamTrack, muted: boolean): void {
    const stream = this.#streams.get(source);
    if (stream === undefined)
      throw new ClientError('refused', { detail: `the server takes no ${source} of this client` });
    this.stopFeed(source);
    stream.restart();
    const { unSubscribe } = track.onReceiveRtp.subscribe((packet) => {
      if (feed.muted) return;
      const rewritten = stream.rewrite(packet, this.#options.clock.now());
      if (rewritten !== null) this.#options.transport.sendRtp(rewritten, stream.meta);
    });
    const feed: Feed = { track, muted, stop: unSubscribe };
    this.#feeds.set(source, feed);
    if (!muted) this.#askFeed(feed, this.#reporterSsrc, stream.ssrc);
  }

  muteFeed(source: Source, muted: boolean): void {
    const feed = this.#feeds.get(source);
    if (feed === undefined || feed.muted === muted) return;
    feed.muted = muted;
    const stream = this.#streams.get(source);
    if (muted || stream === undefined) return;
    // What was not sent leaves no gap in the numbers; but receivers lack the frames that later ones build upon.
    stream.restart();
    this.#askFeed(feed, this.#reporterSsrc, stream.ssrc);
  }

  stopFeed(source: Source): void {
    this.#feeds.get(source)?.stop();
    this.#feeds.delete(source);
  }

  requestKeyFrame(mid: string): void {
    const slot = this.slots.get(mid);
    if (slot?.kind !== 'video') throw new ClientError('bad-option', { detail: `there is no video slot ${mid}` });
    const now = this.#options.clock.now();
    if (now - (this.#askedAt.get(mid) ?? -Infinity) < minPliIntervalMs) return;
    this.#askedAt.set(mid, now);
    this.#options.transport.sendRtcp(encodePli(this.#reporterSsrc, slot.ssrc));
  }

  /** Once a second: sender reports of what is published, receiver reports of what comes (RFC 3550 section 6.4). */
  sendReports(unixMs: number): void {
    const { clock, cname, transport } = this.#options;
    const now = clock.now();
    const reports: ReportBlock[] = [];
    for (const slot of this.slots.values()) {
      const report = slot.takeReport(now);
      if (report !== null) reports.push(report);
    }
    const parts: Uint8Array[] = [];
    for (const stream of this.#streams.values()) {
      const info = stream.senderInfo(now, unixMs);
      if (info !== null) parts.push(encodeSenderReport(info, parts.length === 0 ? reports : []));
    }
    if (parts.length === 0) parts.push(encodeReceiverReport(this.#reporterSsrc, reports));
    for (const stream of this.#streams.values()) {
      if (stream.stats.packets > 0) parts.push(encodeSourceDescription(stream.ssrc, cname));
    }
    if (parts.length === 1) parts.push(encodeSourceDescription(this.#reporterSsrc, cname));
    transport.sendRtcp(concatBytes(parts));
  }

  /** Sends nothing more; the tracks of the slots are for another session. */
  release(): void {
    for (const source of [...this.#feeds.keys()]) this.stopFeed(source);
  }

  close(): void {
    this.release();
    for (const slot of this.slots.values()) slot.end();
  }

  #receiveRtp(packet: Uint8Array): void {
    const view = this.#view;
    if (view.parse(packet) !== null) return;
    const slot = this.#slotBySsrc.get(view.ssrc);
    if (slot === undefined) this.#strangers += 1;
    else slot.receive(view, this.#options.clock.now());
  }

  #receiveRtcp(compound: Uint8Array): void {
    const packets = decodeRtcp(compound);
    if (typeof packets === 'string') return;
    for (const packet of packets) this.#handleRtcp(packet);
  }

  #handleRtcp(packet: RtcpPacket): void {
    switch (packet.type) {
      case 'sender-report':
        this.#slotBySsrc.get(packet.ssrc)?.senderReport(packet, this.#options.clock.now());
        this.#handleReports(packet.reports);
        return;
      case 'receiver-report':
        this.#handleReports(packet.reports);
        return;
      case 'pli':
        this.#askSource(packet.senderSsrc, packet.mediaSsrc);
        return;
      case 'fir':
        for (const { ssrc } of packet.requests) this.#askSource(packet.senderSsrc, ssrc);
        return;
      default:
    }
  }

  #handleReports(reports: readonly ReportBlock[]): void {
    for (const report of reports) {
      for (const stream of this.#streams.values()) if (stream.ssrc === report.ssrc) stream.reported(report);
    }
  }

  #askSource(senderSsrc: number, mediaSsrc: number): void {
    for (const [source, stream] of this.#streams) {
      const feed = this.#feeds.get(source);
      if (stream.ssrc === mediaSsrc && feed?.muted === false) this.#askFeed(feed, senderSsrc, mediaSsrc);
    }
  }

  /** The path is too slow for what is sent: the stream goes on with a key frame, which its source is asked for. */
  #dropped(meta: SendMeta): void {
    const stream = [...this.#streams.values()].find((each) => each.dropped(meta));
    if (stream === undefined) return;
    // Not from within the sending that led to it.
    queueMicrotask(() => {
      this.#askSource(this.#reporterSsrc, stream.ssrc);
    });
  }

  #askFeed({ track }: Feed, senderSsrc: number, mediaSsrc: number): void {
    if (track.kind === 'video') track.onReceiveRtcp.execute(pictureLossIndication(senderSsrc, mediaSsrc));
  }
}
