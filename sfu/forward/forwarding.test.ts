import { readFileSync } from 'node:fs';
import t from 'tap';
import { decodeRtcp, encodeGoodbye, flowLimits, RtpView } from '../../tunnel-protocol/index.ts';
import type { RtcpPacket, SendMeta } from '../../tunnel-protocol/index.ts';
import { createCounters } from '../counters.ts';
import type { SfuCounters } from '../counters.ts';
import { isOfferError, parseOffer } from '../sdp-offer.ts';
import type { OfferSection } from '../sdp-offer.ts';
import { ArrayRoom } from '../testing/array-room.ts';
import { offered, rtpPacket, vp8 } from '../testing/rtp.ts';
import { testdata } from '../testing/testdata.ts';
import { Egress } from './egress.ts';
import { Ingress, ssrcHoldMs } from './ingress.ts';
import { keyFrameAskMs, layerIdleMs, patientKeyFrameAskMs } from './layer.ts';
import { haltAskMs, keyFrameDeadlineMs, narrowMs } from './slot-stream.ts';

const chromium = readFileSync(testdata('chromium-156-offer.sdp'), 'utf8');
const random = (length: number): Uint8Array => new Uint8Array(length).fill(7);

function sections(text = chromium): readonly OfferSection[] {
  const offer = parseOffer(text);
  if (isOfferError(offer)) throw new Error(offer.reason);
  return offer.sections;
}

/** One publisher and one subscriber on a clock of their own; the camera is on main. */
class Pair {
  now = 1000;
  readonly counters: SfuCounters = createCounters().sfu;
  readonly ingress: Ingress;
  readonly egress: Egress;
  /** Main's packets, what the path was told of them, and what the publisher was told. */
  readonly sent: RtpView[] = [];
  readonly metas: SendMeta[] = [];
  deliveryRate: number | null = null;
  readonly told: RtcpPacket[] = [];
  readonly #sequenceNumbers = new Map<number, number>();

  constructor(subscriber = sections(), publisher = sections(), reliable = false) {
    const { counters } = this;
    const deliveryRate = (): number | null => this.deliveryRate;
    this.ingress = new Ingress({ counters, ssrc: 1, cname: 'c' });
    const ssrcs = new Map(subscriber.map(({ mid }) => [mid, { media: 100 + Number(mid), rtx: 200 + Number(mid) }]));
    this.egress = new Egress({ counters, random, cname: 'c', ssrcs });
    this.ingress.negotiate(publisher);
    this.egress.negotiate(subscriber, this.now);
    this.ingress.connect(
      {
        reliable,
        sendRtcp: (compound) => {
          const packets = decodeRtcp(compound);
          if (typeof packets === 'string') throw new Error(packets);
          this.told.push(...packets);
          return true;
        },
      },
      this.now,
    );
    const room = new ArrayRoom();
    this.egress.connect(
      {
        reliable,
        get deliveryRate() {
          return deliveryRate();
        },
        get bytes() {
          return room.bytes;
        },
        at: room.at,
        open: (length) => room.open(length),
        commit: (meta) => {
          const view = new RtpView();
          if (view.parse(room.packet) === null) this.sent.push(view);
          this.metas.push(meta);
          return true;
        },
        sendRtcp: () => true,
      },
      this.now,
    );
    this.ingress.tracks.camera.order = 1;
    this.egress.assign([this.ingress.tracks.camera], [], this.now);
  }

  /** One frame of a layer; its payload's last byte tells which. */
  frame(rid: 'h' | 'l', keyFrame: boolean, ssrc = rid === 'h' ? 11 : 12): void {
    const sequenceNumber = this.lose(ssrc);
    const payload = vp8(sequenceNumber, keyFrame, rid === 'h' ? 1 : 2);
    const options = { ssrc, payloadType: offered.vp8, sequenceNumber, timestamp: sequenceNumber * 3000, payload };
    this.ingress.receiveRtp(rtpPacket({ ...options, mid: '1', rid }), this.now);
  }

  /** The number of this stream's next packet, which is taken. */
  lose(ssrc: number): number {
    const sequenceNumber = (this.#sequenceNumbers.get(ssrc) ?? 0) + 1;
    this.#sequenceNumbers.set(ssrc, sequenceNumber);
    return sequenceNumber;
  }

  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 100) {
      this.now += Math.min(100, left);
      this.ingress.tick(this.now);
      this.egress.tick(this.now);
    }
  }

  /** Layers of the packets on main so far: `hhl`. */
  get shown(): string {
    return this.sent.map(({ packet }) => (packet.at(-1) === 1 ? 'h' : 'l')).join('');
  }

  plis(ssrc: number): number {
    return this.told.filter((packet) => packet.type === 'pli' && packet.mediaSsrc === ssrc).length;
  }
}

t.test('main takes h, falls back to what flows, and returns, at key frames', (t) => {
  const pair = new Pair();
  pair.frame('l', true);
  pair.frame('l', false);
  t.equal(pair.shown, 'll', 'only l flows');
  pair.frame('h', false);
  pair.frame('l', false);
  t.equal(pair.plis(11), 1, 'h is asked for a key frame');
  pair.frame('h', true);
  pair.frame('l', true);
  pair.frame('h', false);
  t.equal(pair.shown, 'lllhh');
  pair.pass(layerIdleMs - 100);
  pair.frame('l', false);
  t.equal(pair.shown, 'lllhh', 'h may yet come');
  pair.pass(200);
  pair.frame('l', true);
  t.equal(pair.shown, 'lllhhl');
  const [first] = pair.sent;
  t.strictSame(
    pair.sent.map(({ sequenceNumber }) => sequenceNumber),
    pair.sent.map((_, at) => (first?.sequenceNumber ?? 0) + at),
    'one numbering',
  );
  t.equal(new Set(pair.sent.map(({ ssrc }) => ssrc)).size, 1);
  t.end();
});

t.test('a thumbnail takes l', (t) => {
  const pair = new Pair();
  pair.egress.assign([null, pair.ingress.tracks.camera], [], pair.now);
  pair.frame('h', true);
  pair.frame('l', true);
  pair.frame('h', true);
  t.equal(pair.shown, 'hl', 'h until l flows, too');
  t.equal(pair.sent[0]?.ssrc, 104);
  t.end();
});

t.test('key frames are asked for with patience', (t) => {
  const pair = new Pair();
  pair.frame('h', false);
  t.equal(pair.plis(11), 1);
  for (let i = 0; i < 3; i++) pair.egress.receiveRtcp({ type: 'pli', senderSsrc: 0, mediaSsrc: 103 }, pair.now);
  t.equal(pair.plis(11), 1, 'throttled');
  for (let passed = 0; passed < 4 * keyFrameAskMs; passed += 100) {
    pair.pass(100);
    pair.frame('h', false);
  }
  t.equal(pair.plis(11), 5);
  for (let passed = 0; passed < 3 * patientKeyFrameAskMs; passed += 100) {
    pair.pass(100);
    pair.frame('h', false);
  }
  t.ok(pair.plis(11) <= 8, `${String(pair.plis(11))} asks`);
  pair.frame('h', true);
  const asks = pair.plis(11);
  pair.pass(900);
  pair.frame('h', false);
  t.equal(pair.plis(11), asks, 'it came');
  pair.egress.receiveRtcp({ type: 'fir', senderSsrc: 0, requests: [{ ssrc: 103, sequenceNumber: 1 }] }, pair.now);
  t.equal(pair.plis(11), asks + 1);
  t.end();
});

t.test('another SSRC takes a layer over only when the first is silent', (t) => {
  const pair = new Pair();
  pair.frame('h', true);
  pair.frame('h', true, 21);
  t.equal(pair.shown, 'h');
  t.equal(pair.counters.streams_refused, 1);
  pair.now += ssrcHoldMs;
  pair.frame('h', true, 21);
  t.equal(pair.shown, 'hh');
  t.equal(pair.counters.streams_replaced, 1);
  t.equal(pair.ingress.tracks.camera.layers.length, 1);
  t.end();
});

t.test('a goodbye ends a layer', (t) => {
  const pair = new Pair();
  pair.frame('h', true);
  pair.frame('l', false);
  const [goodbye] = decodeRtcp(encodeGoodbye([11]));
  if (goodbye === undefined || typeof goodbye === 'string') throw new Error('no goodbye');
  pair.ingress.receiveRtcp(goodbye, pair.now);
  t.equal(pair.ingress.tracks.camera.layers.length, 1);
  t.equal(pair.plis(12), 1, 'the other layer at once');
  pair.frame('l', true);
  t.equal(pair.shown, 'hl');
  t.end();
});

t.test('what has no section, no layer, no publication', (t) => {
  const pair = new Pair();
  const base = { ssrc: 99, payloadType: offered.vp8, sequenceNumber: 1, timestamp: 1, payload: vp8(1, true, 1) };
  const receive = (packet: Uint8Array): void => {
    pair.ingress.receiveRtp(packet, pair.now);
  };
  receive(rtpPacket(base));
  receive(rtpPacket({ ...base, mid: '7' }));
  receive(rtpPacket({ ...base, mid: '1' }));
  receive(rtpPacket({ ...base, mid: '1', rid: 'x' }));
  receive(rtpPacket({ ...base, mid: '1', rid: 'h', payloadType: 98 }));
  t.equal(pair.counters.rtp_unroutable, 5);
  receive(Uint8Array.of(0x80, 96, 0, 1));
  receive(new Uint8Array(0));
  t.equal(pair.counters.rtp_malformed, 2);
  receive(rtpPacket({ ...base, ssrc: 98, mid: '2' }));
  t.equal(pair.counters.rtp_unpublished, 1, 'the screen is not published');
  const announced = sections()[2]?.ssrcs[0] ?? 0;
  pair.ingress.tick(pair.now);
  pair.now += 1000;
  receive(rtpPacket({ ...base, ssrc: announced }));
  t.equal(pair.counters.rtp_unpublished, 2, 'known by its SSRC from the offer');
  t.equal(pair.sent.length, 0);
  t.end();
});

t.test('a codec that the subscriber did not negotiate is not shown', (t) => {
  const pair = new Pair(sections(chromium.replaceAll(/a=rtpmap:96 VP8.*\r\n/g, '')), sections());
  pair.frame('h', true);
  t.equal(pair.sent.length, 0);
  t.equal(pair.counters.layers_unmappable, 1);
  t.end();
});

t.test('payload types are those of the subscriber', (t) => {
  const pair = new Pair(
    sections(chromium.replaceAll(/(a=\w[\w-]*:)96 /g, '$1121 ').replaceAll(/(SAVPF) 96 /g, '$1 121 ')),
  );
  pair.frame('h', true);
  t.equal(pair.sent[0]?.payloadType, 121);
  t.end();
});

t.test('losses are asked for while somebody watches', (t) => {
  const pair = new Pair();
  pair.frame('h', true);
  pair.lose(11);
  pair.lose(11);
  pair.frame('h', false);
  const nacks = (): RtcpPacket[] => pair.told.filter(({ type }) => type === 'nack');
  t.match(nacks(), [{ mediaSsrc: 11, lost: [2, 3] }]);
  pair.egress.assign([], [], pair.now);
  pair.lose(11);
  pair.frame('h', false);
  t.equal(nacks().length, 1);
  t.end();
});

t.test('what a path drops stops the stream until a key frame', (t) => {
  const pair = new Pair(sections(), sections(), true);
  pair.frame('h', true);
  pair.frame('h', false);
  pair.frame('h', false);
  pair.now += keyFrameAskMs;
  const asked = pair.plis(11);
  t.strictSame(
    pair.metas.map(({ frameId, keyFrame, deadlineMs }) => [frameId, keyFrame, deadlineMs]),
    [1, 2, 3].map((frameId) => [frameId, frameId === 1, keyFrameDeadlineMs]),
  );
  const drop = (index: number): void => {
    const meta = pair.metas[index];
    if (meta !== undefined) pair.egress.dropped(meta, pair.now);
  };
  drop(1);
  drop(2);
  t.equal(pair.plis(11), asked + 1, 'one key frame is asked for');
  pair.frame('h', false);
  t.equal(pair.sent.length, 3, 'nothing that builds on it is sent');
  pair.frame('h', true);
  pair.frame('h', false);
  t.equal(pair.sent.length, 5);
  const [first] = pair.sent;
  t.strictSame(
    pair.sent.map(({ sequenceNumber }) => sequenceNumber - (first?.sequenceNumber ?? 0)),
    [0, 1, 2, 3, 4],
    'without a gap in the numbers',
  );
  drop(2);
  pair.frame('h', false);
  t.equal(pair.sent.length, 6, 'what was dropped before the key frame is past');
  t.equal(pair.counters.slots_halted, 1);
  t.equal(pair.counters.rtp_dropped, 3);

  drop(4);
  t.equal(pair.plis(11), asked + 1, 'not so soon again');
  pair.pass(haltAskMs);
  t.equal(pair.plis(11), asked + 2);
  pair.frame('h', true);
  pair.pass(keyFrameDeadlineMs);
  pair.frame('h', false);
  t.equal(pair.metas.at(-1)?.deadlineMs, flowLimits.videoDeadlineMs);
  t.end();
});

t.test('a path that is too slow for the large layer gets the small one, for a while', (t) => {
  const pair = new Pair(sections(), sections(), true);
  const both = (keyFrame: boolean): void => {
    pair.frame('h', keyFrame);
    pair.frame('l', keyFrame);
  };
  const drop = (): void => {
    const meta = pair.metas.at(-1);
    if (meta !== undefined) pair.egress.dropped(meta, pair.now);
  };
  both(true);
  for (let i = 0; i < 10; i++) {
    both(false);
    pair.pass(100);
  }
  drop();
  both(true);
  t.equal(pair.shown.at(-1), 'h', 'nothing says that it is too slow');
  pair.pass(haltAskMs);
  pair.deliveryRate = 1;
  drop();
  const asked = pair.plis(12);
  t.ok(asked > 0, 'the small layer is asked for a key frame');
  both(true);
  t.equal(pair.shown.at(-1), 'l');
  pair.deliveryRate = null;
  const shown = (ms: number): string => {
    const from = pair.shown.length;
    for (let passed = 0; passed < ms; passed += 100) {
      pair.pass(100);
      both(true);
    }
    return pair.shown.slice(from);
  };
  t.match(shown(narrowMs - 1000), /^l+$/);
  t.match(shown(2000), /^l+h+$/);
  pair.deliveryRate = 1;
  drop();
  pair.deliveryRate = null;
  t.match(shown(2 * narrowMs - 1000), /^l+$/, 'longer the second time');
  t.match(shown(2000), /^l+h+$/);
  t.equal(pair.counters.slots_narrowed, 2);
  t.end();
});

t.test('on a reliable path nothing is asked for again: what is missing was dropped on purpose', (t) => {
  const pair = new Pair(sections(), sections(), true);
  pair.frame('h', true);
  pair.frame('h', false);
  pair.egress.receiveRtcp({ type: 'nack', senderSsrc: 0, mediaSsrc: 103, lost: [1] }, pair.now);
  const asked = pair.plis(11);
  pair.now += keyFrameAskMs;
  pair.lose(11);
  pair.frame('h', false);
  t.equal(pair.told.filter(({ type }) => type === 'nack').length, 0);
  t.equal(pair.plis(11), asked + 1, 'a publisher that dropped something is asked for a key frame');
  pair.frame('h', true);
  pair.lose(11);
  pair.frame('h', true);
  t.equal(pair.plis(11), asked + 1, 'unless it comes by itself');
  t.end();
});
