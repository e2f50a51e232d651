import { readFileSync } from 'node:fs';
import t from 'tap';
import { decodeRtcp, encodeGoodbye, PacketSlab, RtpView } from '../../tunnel-protocol/index.ts';
import type { RtcpPacket } from '../../tunnel-protocol/index.ts';
import { createCounters } from '../counters.ts';
import type { SfuCounters } from '../counters.ts';
import { isOfferError, parseOffer } from '../sdp-offer.ts';
import type { OfferSection } from '../sdp-offer.ts';
import { offered, rtpPacket, vp8 } from '../testing/rtp.ts';
import { testdata } from '../testing/testdata.ts';
import { Egress } from './egress.ts';
import { Ingress, ssrcHoldMs } from './ingress.ts';
import { keyFrameAskMs, layerIdleMs, patientKeyFrameAskMs } from './layer.ts';

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
  /** Main's packets, and what the publisher was told. */
  readonly sent: RtpView[] = [];
  readonly told: RtcpPacket[] = [];
  readonly #sequenceNumbers = new Map<number, number>();

  constructor(subscriber = sections(), publisher = sections()) {
    const { counters } = this;
    this.ingress = new Ingress({ counters, ssrc: 1, cname: 'c' });
    const ssrcs = new Map(subscriber.map(({ mid }) => [mid, { media: 100 + Number(mid), rtx: 200 + Number(mid) }]));
    this.egress = new Egress({ counters, random, slab: new PacketSlab(), cname: 'c', ssrcs });
    this.ingress.negotiate(publisher);
    this.egress.negotiate(subscriber, this.now);
    this.ingress.connect(
      {
        reliable: false,
        sendRtcp: (compound) => {
          const packets = decodeRtcp(compound);
          if (typeof packets === 'string') throw new Error(packets);
          this.told.push(...packets);
          return true;
        },
      },
      this.now,
    );
    this.egress.connect(
      {
        reliable: false,
        sendRtp: (packet) => {
          const view = new RtpView();
          if (view.parse(packet) === null) this.sent.push(view);
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
