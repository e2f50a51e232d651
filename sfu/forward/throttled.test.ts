import { readFileSync } from 'node:fs';
import t from 'tap';
import { decodeRtcp, RtpView, u16 } from '../../tunnel-protocol/index.ts';
import { ArrivalLog } from '../congestion/arrival-log.ts';
import { createCounters } from '../counters.ts';
import type { SfuCounters } from '../counters.ts';
import { isOfferError, parseOffer } from '../sdp-offer.ts';
import type { OfferSection } from '../sdp-offer.ts';
import { offered, rtpPacket, vp8 } from '../testing/rtp.ts';
import { testdata } from '../testing/testdata.ts';
import { Egress } from './egress.ts';
import { Ingress } from './ingress.ts';

const stepMs = 5;
const frameMs = 40;
const delayMs = 20;
const queueMs = 250;
const ssrcs = { h: 11, l: 12 } as const;
/** How many packets a frame has, and their payloads. */
const frames = { h: { packets: 4, bytes: 1100 }, l: { packets: 1, bytes: 500 } } as const;

function sections(): readonly OfferSection[] {
  const offer = parseOffer(readFileSync(testdata('chromium-156-offer.sdp'), 'utf8'));
  if (isOfferError(offer)) throw new Error(offer.reason);
  return offer.sections;
}

/** A publisher of about 900 and 110 kbit/s, and a subscriber on a path that is throttled, on a virtual clock. */
class ThrottledCall {
  now = 1000;
  /** In bit/s. */
  capacity = 5_000_000;
  readonly counters: SfuCounters = createCounters().sfu;
  readonly ingress: Ingress;
  readonly egress: Egress;
  /** Layer of each packet that arrived, with the time. */
  readonly arrived: [number, 'h' | 'l'][] = [];
  readonly #arrivals = new ArrivalLog();
  readonly #room = new Uint8Array(2048);
  #opened = 0;
  #busyUntil = 0;
  #onTheWay: { readonly at: number; readonly act: () => void }[] = [];
  readonly #numbers = { h: 0, l: 0 };
  readonly #pictures = { h: 0, l: 0 };
  readonly #keyFrames = new Set<number>();
  readonly #watched = { h: true, l: true };

  constructor() {
    const { counters } = this;
    const all = sections();
    this.ingress = new Ingress({ counters, ssrc: 1, cname: 'c' });
    const slots = new Map(all.map(({ mid }) => [mid, { media: 100 + Number(mid), rtx: 200 + Number(mid) }]));
    const random = (length: number): Uint8Array => new Uint8Array(length).fill(7);
    this.egress = new Egress({ counters, random, cname: 'c', ssrcs: slots });
    this.ingress.negotiate(all);
    this.egress.negotiate(all, this.now);
    const sendRtcp = (compound: Uint8Array): boolean => {
      const packets = decodeRtcp(compound);
      for (const packet of typeof packets === 'string' ? [] : packets) {
        if (packet.type === 'pli') this.#later(delayMs * 2, () => this.#keyFrames.add(packet.mediaSsrc));
      }
      return true;
    };
    this.ingress.connect({ reliable: false, sendRtcp }, this.now);
    this.egress.connect(
      {
        reliable: false,
        deliveryRate: null,
        bytes: this.#room,
        at: 0,
        open: (length) => {
          this.#opened = length;
          return true;
        },
        commit: () => {
          this.#send(this.#room.slice(0, this.#opened));
          return true;
        },
        sendRtcp: () => true,
      },
      this.now,
    );
    this.ingress.tracks.camera.order = 1;
    this.egress.assign([this.ingress.tracks.camera], [], this.now);
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += stepMs) {
      const due = this.#onTheWay.filter(({ at }) => at <= this.now);
      this.#onTheWay = this.#onTheWay.filter(({ at }) => at > this.now);
      for (const { act } of due) act();
      if (this.now % frameMs === 0) for (const rid of ['l', 'h'] as const) if (this.#watched[rid]) this.#frame(rid);
      if (this.now % 100 === 0) this.#tick();
    }
  }

  /** What arrived since, in short: `h`, `l`, `hl`, or nothing. */
  shown(since: number): string {
    const layers = new Set(this.arrived.flatMap(([at, layer]) => (at >= since ? [layer] : [])));
    return [...layers].sort().join('');
  }

  /** The longest time without a packet that can be shown, in ms. */
  longestGap(since: number): number {
    const times = [since, ...this.arrived.flatMap(([at]) => (at >= since ? [at] : [])), this.now];
    return Math.max(...times.slice(1).map((at, i) => at - (times[i] ?? at)));
  }

  #tick(): void {
    this.ingress.tick(this.now);
    this.egress.tick(this.now);
    for (const rid of ['h', 'l'] as const) {
      const watched = this.ingress.tracks.camera.isWatched(rid, this.now);
      // Told on the control channel; a layer that begins, begins with a key frame.
      this.#later(watched ? 2 * delayMs : 1000, () => {
        if (watched && !this.#watched[rid]) this.#keyFrames.add(ssrcs[rid]);
        this.#watched[rid] = watched;
      });
    }
    const feedback = this.#arrivals.feedback(1);
    if (feedback === null) return;
    this.#later(delayMs, () => {
      const [packet] = decodeRtcp(feedback);
      if (packet !== undefined && typeof packet !== 'string') this.egress.receiveRtcp(packet, this.now);
    });
  }

  #frame(rid: 'h' | 'l'): void {
    const { packets, bytes } = frames[rid];
    const ssrc = ssrcs[rid];
    const keyFrame = this.#keyFrames.delete(ssrc);
    const picture = ++this.#pictures[rid];
    for (let i = 0; i < packets; i++) {
      const payload = new Uint8Array(bytes).fill(rid === 'h' ? 1 : 2);
      payload.set(
        i === 0 ? vp8(picture, keyFrame, 0) : Uint8Array.of(0x80, 0x80, 0x80 | (picture >> 8), picture & 0xff),
      );
      const sequenceNumber = ++this.#numbers[rid] & 0xffff;
      const head = {
        ssrc,
        payloadType: offered.vp8,
        sequenceNumber,
        timestamp: picture * 3600,
        marker: i === packets - 1,
      };
      this.ingress.receiveRtp(rtpPacket({ ...head, payload, mid: '1', rid }), this.now);
    }
  }

  #send(packet: Uint8Array): void {
    const perMs = this.capacity / 8000;
    const waitMs = Math.max(0, this.#busyUntil - this.now);
    if (waitMs > queueMs) return;
    this.#busyUntil = this.now + waitMs + packet.length / perMs;
    this.#later(this.#busyUntil - this.now + delayMs, () => {
      const view = new RtpView();
      if (view.parse(packet) !== null) throw new Error('no packet');
      // The transport-wide number is the first element.
      this.#arrivals.received(u16(packet, 17), view.ssrc, this.now);
      const isMedia = view.ssrc === 103 && view.payloadLength > 0;
      if (isMedia) this.arrived.push([this.now, packet.at(-1) === 1 ? 'h' : 'l']);
    });
  }

  #later(ms: number, act: () => void): void {
    this.#onTheWay.push({ at: this.now + ms, act });
  }
}

t.test('a throttled path gets the small layer, and the large one when it is wide again', (t) => {
  const call = new ThrottledCall();
  call.run(10_000);
  t.equal(call.shown(call.now - 5000), 'h');
  const throttledAt = call.now;
  call.capacity = 400_000;
  call.run(20_000);
  t.equal(call.shown(call.now - 5000), 'l');
  t.ok(call.longestGap(throttledAt) < 1000, `${String(call.longestGap(throttledAt))} ms without a picture`);
  const freedAt = call.now;
  call.capacity = 5_000_000;
  call.run(30_000);
  t.equal(call.shown(call.now - 5000), 'h');
  t.ok(call.longestGap(freedAt) < 1000, `${String(call.longestGap(freedAt))} ms without a picture`);
  t.ok(call.counters.rtp_padding > 0, 'found out by probes');
  t.end();
});

t.test('a path that takes not even the small layer is sent nothing, until it does', (t) => {
  const call = new ThrottledCall();
  call.run(5000);
  call.capacity = 40_000;
  call.run(20_000);
  t.ok(call.counters.slots_paused > 0);
  call.capacity = 5_000_000;
  call.run(40_000);
  t.equal(call.shown(call.now - 5000), 'h');
  t.end();
});

t.test('the slot is resized: what nobody watches is not sent, and comes back at once', (t) => {
  const call = new ThrottledCall();
  call.run(5000);
  const rest = [null, null, null, null, null];
  call.egress.setCeilings(['l', ...rest], call.now);
  const resizedAt = call.now;
  call.run(5000);
  t.equal(call.shown(call.now - 2000), 'l');
  call.egress.setCeilings(['h', ...rest], call.now);
  call.run(5000);
  t.equal(call.shown(call.now - 2000), 'h');
  t.ok(call.longestGap(resizedAt) < 500, `${String(call.longestGap(resizedAt))} ms without a picture`);
  t.end();
});
