/** The whole media stack of a page on the tunnel: what the page says comes in, what it has to know goes out. */
import {
  RtpView,
  concatBytes,
  decodeRtcp,
  encodePli,
  encodeReceiverReport,
  encodeSenderReport,
  encodeSourceDescription,
  publishSections,
  rids,
} from '../../../tunnel-protocol/index.ts';
import type { ReportBlock, Rid, RtcpPacket, SendMeta, Source } from '../../../tunnel-protocol/index.ts';
import { systemClock } from '../../clock.ts';
import { ClientError, clientErrors } from '../../errors.ts';
import { DatagramBatch, readBatch } from '../../media-stack/datagram-batch.ts';
import { createPageIdentity } from '../../media-stack/dtls/index.ts';
import type { PageIdentity } from '../../media-stack/dtls/index.ts';
import { EncoderBudget, highBitrate, lowBitrate } from '../../media-stack/encoder-budget.ts';
import { LipSync } from '../../media-stack/lip-sync.ts';
import { OutgoingRtp } from '../../media-stack/outgoing-rtp.ts';
import { readPageAnswer, writePageOffer } from '../../media-stack/sdp.ts';
import type { PageAnswer } from '../../media-stack/sdp.ts';
import { TunnelTransport } from '../../media-stack/tunnel-transport.ts';
import { AudioSender } from './audio-sender.ts';
import { AudioSlot } from './audio-slot.ts';
import type { FrameSource, FromWorker, ToWorker, WorkerTrackStats } from './messages.ts';
import { VideoSender } from './video-sender.ts';
import type { LayerOptions } from './video-sender.ts';
import { VideoSlot } from './video-slot.ts';

const reportIntervalMs = 1_000;
const statsIntervalMs = 250;
const minPliIntervalMs = 300;
const smallHeight = 180;
const largeHeight = 720;
const screenHeight = 1_080;
const screenBitrate = 1_500_000;

export class MediaEngine {
  readonly #tell: (message: FromWorker, transfer?: Transferable[]) => void;
  readonly #outgoing = new DatagramBatch();
  #flushQueued = false;
  #transport: TunnelTransport | null = null;
  #connected = false;
  #reporterSsrc = 1;
  #cname = '';
  readonly #sync = new LipSync();
  readonly #slots = new Map<string, AudioSlot | VideoSlot>();
  readonly #slotBySsrc = new Map<number, AudioSlot | VideoSlot>();
  readonly #streams: readonly OutgoingRtp[];
  readonly #senders = new Map<Source, AudioSender | VideoSender>();
  /** What is to be sent once media can flow. */
  readonly #sources = new Map<Source, FrameSource>();
  readonly #askedAt = new Map<string, number>();
  readonly #sinks = new Map<string, Extract<ToWorker, { type: 'sink' }>['sink']>();
  readonly #participants = new Map<string, string | null>();
  readonly #budget = new EncoderBudget();
  #watched: ReadonlySet<Rid> = new Set(rids);
  #deliveryRate: number | null = null;
  readonly #view = new RtpView();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #frameId = 0;

  constructor(tell: (message: FromWorker, transfer?: Transferable[]) => void) {
    this.#tell = tell;
    this.#streams = publishSections.flatMap(({ source, mid, kind }) =>
      (source === 'camera' ? rids : [null]).map((rid) => this.#createStream(source, mid, kind, rid)),
    );
  }

  handle(message: ToWorker): void {
    switch (message.type) {
      case 'start':
        void this.#start();
        return;
      case 'answer':
        this.#answered(message.sdp);
        return;
      case 'path':
        this.#transport?.setPath(message.rung);
        return;
      case 'datagrams':
        readBatch(message.batch, (datagram) => this.#transport?.receive(datagram));
        return;
      case 'dropped':
        this.#dropped(message.meta);
        return;
      case 'rate':
        this.#deliveryRate = message.bitsPerSecond;
        this.#applyBudget();
        return;
      case 'send':
        this.#send(message.source, message.frames);
        return;
      case 'sink':
        this.#sinks.set(message.mid, message.sink);
        this.#slots.get(message.mid)?.setSink(message.sink);
        return;
      case 'slots':
        for (const { mid, participant } of message.slots) this.#assign(mid, participant);
        return;
      case 'watched':
        this.#watched = new Set(message.rids);
        this.#applyBudget();
        return;
      case 'refresh':
        for (const slot of this.#slots.values()) if (slot.kind === 'video') this.#ask(slot);
        return;
      case 'close':
        this.#close();
    }
  }

  async #start(): Promise<void> {
    try {
      const { subtle } = crypto;
      const identity = await createPageIdentity(subtle, Date.now());
      const transport = this.#createTransport(identity, subtle);
      this.#transport = transport;
      this.#reporterSsrc = this.#streams[0]?.ssrc ?? 1;
      this.#cname = hex(crypto.getRandomValues(new Uint8Array(9)));
      const originId = String(crypto.getRandomValues(new Uint32Array(1))[0]);
      const { fingerprint } = identity;
      this.#tell({
        type: 'offer',
        sdp: writePageOffer({ ice: transport.localIce, fingerprint, originId }),
        fingerprint,
      });
    } catch (error) {
      this.#fail(new ClientError('handshake-failed', { detail: String(error) }));
    }
  }

  #createTransport(identity: PageIdentity, subtle: SubtleCrypto): TunnelTransport {
    return new TunnelTransport(
      {
        identity,
        subtle,
        clock: systemClock,
        send: (datagram, meta) => {
          this.#queue(datagram, meta);
        },
      },
      {
        connected: () => {
          this.#connected = true;
          for (const [source, frames] of this.#sources) this.#begin(source, frames);
          this.#sources.clear();
          this.#tell({ type: 'connected' });
        },
        nominated: () => {
          this.#tell({ type: 'nominated' });
        },
        roundTrip: (ms) => {
          this.#tell({ type: 'round-trip', ms });
        },
        rtp: (packet) => {
          this.#receiveRtp(packet);
        },
        rtcp: (compound) => {
          const packets = decodeRtcp(compound);
          if (typeof packets !== 'string') for (const packet of packets) this.#receiveRtcp(packet);
        },
        closed: (error) => {
          this.#fail(error);
        },
      },
    );
  }

  #answered(sdp: string): void {
    let answer: PageAnswer;
    try {
      answer = readPageAnswer(sdp);
    } catch (error) {
      this.#fail(error instanceof ClientError ? error : new ClientError('bad-answer'));
      return;
    }
    for (const [mid, { kind, ssrc }] of answer.slots) {
      const alive = (): void => {
        this.#tell({ type: 'alive', mid });
      };
      const slot: AudioSlot | VideoSlot =
        kind === 'audio'
          ? new AudioSlot(mid, ssrc, this.#sync, alive)
          : new VideoSlot(mid, ssrc, this.#sync, {
              alive,
              needKeyFrame: () => {
                this.#ask(slot);
              },
            });
      this.#slots.set(mid, slot);
      this.#slotBySsrc.set(ssrc, slot);
      const sink = this.#sinks.get(mid);
      if (sink !== undefined) slot.setSink(sink);
      this.#sync.assign(mid, this.#participants.get(mid) ?? null);
    }
    this.#timers.push(
      setInterval(() => {
        this.#sendReports();
      }, reportIntervalMs),
      setInterval(() => {
        this.#tellStats();
      }, statsIntervalMs),
    );
    this.#transport?.start(answer);
  }

  #createStream(source: Source, mid: string, kind: 'audio' | 'video', rid: Rid | null): OutgoingRtp {
    const random = (): number => crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
    return new OutgoingRtp({
      source,
      kind,
      mid,
      rid,
      ssrc: Math.max(1, random()),
      random,
      nextFrameId: () => ++this.#frameId,
      send: (packet, meta) => {
        this.#transport?.sendRtp(packet, meta);
      },
    });
  }

  #queue(datagram: Uint8Array, meta: SendMeta): void {
    this.#outgoing.add(datagram, meta);
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    queueMicrotask(() => {
      this.#flushQueued = false;
      const batch = this.#outgoing.take();
      this.#tell({ type: 'datagrams', batch }, [batch.buffer]);
    });
  }

  #send(source: Source, frames: FrameSource | null): void {
    this.#senders.get(source)?.stop();
    this.#senders.delete(source);
    this.#sources.delete(source);
    if (frames === null) return;
    if (this.#connected) this.#begin(source, frames);
    else this.#sources.set(source, frames);
  }

  #begin(source: Source, frames: FrameSource): void {
    const streams = this.#streams.filter((stream) => stream.source === source);
    const [first] = streams;
    if (first === undefined) return;
    const sender =
      first.kind === 'audio' ? new AudioSender(first, frames) : new VideoSender(this.#layers(streams), frames);
    this.#senders.set(source, sender);
    this.#applyBudget();
  }

  #layers(streams: readonly OutgoingRtp[]): LayerOptions[] {
    return streams.map((stream) => {
      if (stream.rid === null) {
        return { stream, maxHeight: screenHeight, bitrate: screenBitrate, maxFramesPerSecond: 15 };
      }
      return stream.rid === 'h'
        ? { stream, maxHeight: largeHeight, bitrate: highBitrate, maxFramesPerSecond: 30 }
        : { stream, maxHeight: smallHeight, bitrate: lowBitrate, maxFramesPerSecond: 30 };
    });
  }

  #applyBudget(): void {
    const { high, low } = this.#budget.update(this.#deliveryRate, performance.now());
    const camera = this.#senders.get('camera');
    if (!(camera instanceof VideoSender)) return;
    for (const stream of this.#streams) {
      if (stream.rid === null) continue;
      const bitrate = stream.rid === 'h' ? high : low;
      camera.setBitrate(stream, this.#watched.has(stream.rid) ? bitrate : 0);
    }
  }

  #assign(mid: string, participant: string | null): void {
    if ((this.#participants.get(mid) ?? null) === participant) return;
    this.#participants.set(mid, participant);
    this.#sync.assign(mid, participant);
    const slot = this.#slots.get(mid);
    if (slot?.kind === 'video') slot.reassigned();
  }

  #receiveRtp(packet: Uint8Array): void {
    const view = this.#view;
    if (view.parse(packet) !== null) return;
    this.#slotBySsrc.get(view.ssrc)?.receive(view, performance.now());
  }

  #receiveRtcp(packet: RtcpPacket): void {
    switch (packet.type) {
      case 'sender-report': {
        const slot = this.#slotBySsrc.get(packet.ssrc);
        if (slot !== undefined) {
          slot.reception.senderReport(packet, performance.now());
          this.#sync.reported(slot.mid, packet.ntp, packet.rtpTimestamp);
        }
        this.#receiveReports(packet.reports);
        return;
      }
      case 'receiver-report':
        this.#receiveReports(packet.reports);
        return;
      case 'pli':
        this.#askedForKeyFrame(packet.mediaSsrc);
        return;
      case 'fir':
        for (const { ssrc } of packet.requests) this.#askedForKeyFrame(ssrc);
        return;
      default:
    }
  }

  #receiveReports(reports: readonly ReportBlock[]): void {
    for (const report of reports) this.#streams.find(({ ssrc }) => ssrc === report.ssrc)?.reported(report);
  }

  #askedForKeyFrame(ssrc: number): void {
    const stream = this.#streams.find((each) => each.ssrc === ssrc);
    const sender = stream === undefined ? undefined : this.#senders.get(stream.source);
    if (stream !== undefined && sender instanceof VideoSender) sender.requestKeyFrame(stream);
  }

  #dropped(meta: SendMeta): void {
    const stream = this.#streams.find((each) => each.dropped(meta));
    if (stream !== undefined) this.#askedForKeyFrame(stream.ssrc);
  }

  #ask(slot: AudioSlot | VideoSlot): void {
    const now = performance.now();
    if (now - (this.#askedAt.get(slot.mid) ?? -Infinity) < minPliIntervalMs) return;
    this.#askedAt.set(slot.mid, now);
    const { ssrc } = slot.reception;
    const report = encodeReceiverReport(this.#reporterSsrc, []);
    const description = encodeSourceDescription(this.#reporterSsrc, this.#cname);
    this.#transport?.sendRtcp(concatBytes([report, description, encodePli(this.#reporterSsrc, ssrc)]));
  }

  /** RFC 3550 section 6.4. */
  #sendReports(): void {
    const now = performance.now();
    const unixMs = Date.now();
    const reports: ReportBlock[] = [];
    for (const { reception } of this.#slots.values()) {
      const report = reception.takeReport(now);
      if (report !== null) reports.push(report);
    }
    const parts: Uint8Array[] = [];
    for (const stream of this.#streams) {
      const info = stream.senderInfo(now, unixMs);
      if (info !== null) parts.push(encodeSenderReport(info, parts.length === 0 ? reports : []));
    }
    if (parts.length === 0) parts.push(encodeReceiverReport(this.#reporterSsrc, reports));
    parts.push(encodeSourceDescription(this.#reporterSsrc, this.#cname));
    for (const { packets, ssrc } of this.#streams) {
      if (packets > 0 && ssrc !== this.#reporterSsrc) parts.push(encodeSourceDescription(ssrc, this.#cname));
    }
    this.#transport?.sendRtcp(concatBytes(parts));
  }

  #tellStats(): void {
    const received = [...this.#slots.values()].map((slot) => slot.stats);
    const levels = [...this.#slots.values()].flatMap((slot): [string, number][] =>
      slot.kind === 'audio' ? [[slot.mid, slot.level]] : [],
    );
    const tracks = [...publishSections.map(({ source }) => this.#sentStats(source)), ...received];
    this.#tell({ type: 'stats', tracks: tracks.filter(({ packets }) => packets > 0), levels });
  }

  #sentStats(source: Source): WorkerTrackStats {
    const streams = this.#streams.filter((stream) => stream.source === source);
    const best = streams.reduce((a, b) => (b.frames > a.frames ? b : a));
    const sender = this.#senders.get(source);
    const size = sender instanceof VideoSender ? sender.size(best) : { width: 0, height: 0 };
    const sum = (of: (stream: OutgoingRtp) => number): number => streams.reduce((total, each) => total + of(each), 0);
    return {
      mid: best.mid,
      kind: best.kind,
      direction: 'send',
      packets: sum((each) => each.packets),
      bytes: sum((each) => each.bytes),
      lost: sum((each) => each.lost),
      jitterMs: Math.max(...streams.map((each) => each.jitterMs)),
      frames: best.frames,
      framesPerSecond: 0,
      ...size,
      audioEnergy: 0,
      audioSamples: 0,
      concealedSamples: 0,
      playoutDelayMs: 0,
      freezes: 0,
      freezeMs: 0,
    };
  }

  #fail({ code, message }: ClientError): void {
    const detail = message.slice(clientErrors[code].length).replace(/^ \((.*)\)$/s, '$1');
    this.#tell({ type: 'closed', code, detail });
  }

  #close(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    for (const sender of this.#senders.values()) sender.stop();
    this.#senders.clear();
    for (const slot of this.#slots.values()) slot.close();
    this.#transport?.close();
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
