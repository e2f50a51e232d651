import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  concatBytes,
  decodeRtcp,
  encodeRtpHeaderInto,
  ExtensionCursor,
  ExtensionWriter,
  RtpView,
  TransportFeedback,
} from '../../tunnel-protocol/index.ts';
import type { RtcpPacket } from '../../tunnel-protocol/index.ts';
import { createCounters } from '../counters.ts';
import type { SfuCounters } from '../counters.ts';
import { isOfferError, parseOffer } from '../sdp-offer.ts';
import type { OfferSection } from '../sdp-offer.ts';
import { ArrayRoom } from '../testing/array-room.ts';
import { offered, vp8 } from '../testing/rtp.ts';
import { testdata } from '../testing/testdata.ts';
import { Egress } from './egress.ts';
import { Ingress } from './ingress.ts';

const chromium = readFileSync(testdata('chromium-156-offer.sdp'), 'utf8');
/** Ids of header extensions in that offer. */
const ids = { transportCc: 3, mid: 4, rid: 10, repairedRid: 11, orientation: 13 } as const;
const red = 63;

function sections(text = chromium): readonly OfferSection[] {
  const offer = parseOffer(text);
  if (isOfferError(offer)) throw new Error(offer.reason);
  return offer.sections;
}

interface Packet {
  readonly ssrc: number;
  readonly payloadType: number;
  readonly sequenceNumber: number;
  readonly payload: Uint8Array;
  /** By id: text or bytes. */
  readonly extensions?: Readonly<Record<number, string | Uint8Array>>;
}

function packetOf({ ssrc, payloadType, sequenceNumber, payload, extensions = {} }: Packet): Uint8Array {
  const packet = new Uint8Array(200 + payload.length);
  const fields = { marker: true, payloadType, sequenceNumber, timestamp: sequenceNumber * 3000, ssrc };
  const entries = Object.entries(extensions);
  let at = encodeRtpHeaderInto(packet, 0, fields, entries.length > 0);
  if (entries.length > 0) {
    const writer = new ExtensionWriter();
    writer.begin(packet, at, false);
    for (const [id, value] of entries) {
      const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
      writer.add(Number(id), bytes, 0, bytes.length);
    }
    at = writer.end();
  }
  packet.set(payload, at);
  return packet.slice(0, at + payload.length);
}

/** A publisher, and a subscriber that sees its camera on main and hears it. */
class Call {
  now = 1000;
  readonly counters: SfuCounters = createCounters().sfu;
  readonly ingress: Ingress;
  readonly told: RtcpPacket[] = [];
  readonly sent: RtpView[] = [];

  constructor(subscriber = sections(), publisher = sections()) {
    const { counters } = this;
    this.ingress = new Ingress({ counters, ssrc: 1, cname: 'c' });
    const ssrcs = new Map(subscriber.map(({ mid }) => [mid, { media: 100 + Number(mid), rtx: 200 + Number(mid) }]));
    const random = (length: number): Uint8Array => new Uint8Array(length).fill(7);
    const egress = new Egress({ counters, random, cname: 'c', ssrcs });
    this.ingress.negotiate(publisher);
    egress.negotiate(subscriber, this.now);
    const sendRtcp = (compound: Uint8Array): boolean => {
      const packets = decodeRtcp(compound);
      if (typeof packets !== 'string') this.told.push(...packets);
      return true;
    };
    this.ingress.connect({ reliable: false, sendRtcp }, this.now);
    const room = new ArrayRoom();
    const output = {
      reliable: false,
      deliveryRate: null,
      get bytes() {
        return room.bytes;
      },
      at: room.at,
      open: (length: number) => room.open(length),
      commit: () => {
        const view = new RtpView();
        if (view.parse(room.packet) === null) this.sent.push(view);
        return true;
      },
      sendRtcp: () => true,
    };
    egress.connect(output, this.now);
    const { camera, microphone } = this.ingress.tracks;
    camera.order = 1;
    microphone.order = 2;
    egress.assign([camera], [microphone], this.now);
  }

  receive(packet: Packet): void {
    this.ingress.receiveRtp(packetOf(packet), this.now);
  }

  /** A frame of the large layer. */
  frame(sequenceNumber: number, keyFrame = false, extensions: Packet['extensions'] = { 4: '1', 10: 'h' }): void {
    const payload = vp8(sequenceNumber, keyFrame, sequenceNumber);
    this.receive({ ssrc: 11, payloadType: offered.vp8, sequenceNumber, payload, extensions });
  }

  get numbers(): number[] {
    const [first] = this.sent;
    return this.sent.map(({ sequenceNumber }) => sequenceNumber - (first?.sequenceNumber ?? 0));
  }
}

t.test('what a publisher repeats on its RTX stream fills the gap', (t) => {
  const call = new Call();
  call.frame(1, true);
  call.frame(2);
  call.frame(4);
  const nack = call.told.find((packet) => packet.type === 'nack');
  t.strictSame(nack?.type === 'nack' ? nack.lost : [], [3]);
  const repeat = (number: number, sequenceNumber: number, named = false): void => {
    const payload = concatBytes([Uint8Array.of(number >> 8, number & 0xff), vp8(number, false, number)]);
    const extensions = named ? { [ids.mid]: '1', [ids.repairedRid]: 'h' } : {};
    call.receive({ ssrc: 99, payloadType: offered.vp8Rtx, sequenceNumber, payload, extensions });
  };
  repeat(3, 500, true);
  t.strictSame(call.numbers, [0, 1, 3, 2]);
  t.equal(call.sent.at(-1)?.packet.at(-1), 3, 'as it was');
  t.equal(call.sent.at(-1)?.ssrc, 103);
  t.equal(call.counters.rtp_repaired, 1);
  repeat(3, 501);
  repeat(2, 502);
  call.receive({ ssrc: 99, payloadType: offered.vp8Rtx, sequenceNumber: 503, payload: Uint8Array.of(0) });
  t.equal(call.sent.length, 4, 'once is enough, and padding is nothing');
  t.equal(call.counters.rtp_repaired_in_vain, 3);
  call.receive({ ssrc: 98, payloadType: offered.vp8Rtx, sequenceNumber: 1, payload: Uint8Array.of(0, 3, 1, 1) });
  t.equal(call.counters.rtp_unroutable, 1, 'nobody says whose it is');
  t.end();
});

t.test('a stream that said goodbye is known again without its names', (t) => {
  const call = new Call();
  call.frame(1, true);
  call.ingress.receiveRtcp({ type: 'goodbye', ssrcs: [11] }, call.now);
  t.equal(call.ingress.tracks.camera.layers.length, 0);
  call.now += 5000;
  call.frame(2, true, {});
  t.equal(call.ingress.tracks.camera.layers[0]?.rid, 'h');
  t.equal(call.sent.length, 2);
  t.end();
});

t.test('when packets came is told, lost ones too, whatever stream they are of', (t) => {
  const call = new Call();
  const wide = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 0xff);
  call.frame(1, true, { [ids.mid]: '1', [ids.rid]: 'h', [ids.transportCc]: wide(65_535) });
  call.now += 10;
  call.receive({ ssrc: 77, payloadType: 5, sequenceNumber: 1, payload: vp8(1, true, 1), extensions: { 3: wide(0) } });
  call.now += 10;
  call.frame(2, false, { [ids.transportCc]: wide(2) });
  call.ingress.tick((call.now += 80));
  const told = call.told.filter((packet) => packet.type === 'transport-cc');
  const [feedback] = told;
  const reader = new TransportFeedback();
  t.ok(feedback?.type === 'transport-cc' && reader.read(feedback.bytes));
  t.equal(reader.baseSequence, 65_535);
  const [first = NaN, ...later] = reader.arrivals.subarray(0, reader.packetCount);
  t.strictSame(
    later.map((arrival) => arrival - first),
    [10, NaN, 20],
  );
  call.ingress.tick((call.now += 100));
  t.equal(
    call.told.filter((packet) => packet.type === 'transport-cc').length,
    told.length,
    'nothing new, nothing told',
  );
  t.end();
});

t.test('header extensions pass by what they mean, not by their number', (t) => {
  const renumbered = chromium.replaceAll(
    'a=extmap:13 urn:3gpp:video-orientation',
    'a=extmap:9 urn:3gpp:video-orientation',
  );
  const subscriber = sections(renumbered.replaceAll(/a=extmap:9 http.*video-layers-allocation00\r?\n/g, ''));
  const call = new Call(subscriber);
  call.frame(1, true, { [ids.mid]: '1', [ids.rid]: 'h', [ids.orientation]: Uint8Array.of(0x81) });
  const cursor = new ExtensionCursor();
  const [sent] = call.sent;
  if (sent === undefined) throw new Error('nothing was sent');
  t.ok(cursor.find(sent, 9));
  t.equal(sent.packet[cursor.offset], 0x81);
  t.notOk(cursor.find(sent, ids.rid), 'whose layer it was is nobody’s business');
  t.ok(cursor.find(sent, ids.transportCc), 'a number of its own');
  t.end();
});

t.test('redundant audio passes under the numbers of the subscriber, or its primary block alone', (t) => {
  // One earlier block of 3 bytes, and the packet's own of 2.
  const payload = Uint8Array.of(0x80 | offered.opus, 0x0f, 0x00, 0x03, offered.opus, 1, 1, 1, 2, 2);
  const speak = (call: Call): RtpView | undefined => {
    const extensions = { [ids.mid]: '0' };
    call.receive({
      ssrc: 7,
      payloadType: offered.opus,
      sequenceNumber: 1,
      payload: Uint8Array.of(1, 1, 1),
      extensions,
    });
    call.receive({ ssrc: 7, payloadType: red, sequenceNumber: 2, payload, extensions });
    return call.sent.at(-1);
  };
  const bytesOf = (view: RtpView | undefined): number[] =>
    view === undefined ? [] : [...view.packet.subarray(view.payloadOffset, view.payloadOffset + view.payloadLength)];
  const other = sections(
    chromium
      .replaceAll('UDP/TLS/RTP/SAVPF 111 63', 'UDP/TLS/RTP/SAVPF 121 63')
      .replaceAll(':111', ':121')
      .replaceAll('111/111', '121/121'),
  );
  const renamed = speak(new Call(other));
  t.equal(renamed?.payloadType, red);
  t.strictSame(bytesOf(renamed), [0x80 | 121, 0x0f, 0x00, 0x03, 121, 1, 1, 1, 2, 2]);
  const without = speak(new Call(sections(chromium.replaceAll('SAVPF 111 63', 'SAVPF 111'))));
  t.equal(without?.payloadType, offered.opus);
  t.strictSame(bytesOf(without), [2, 2]);
  const broken = new Call();
  broken.receive({
    ssrc: 7,
    payloadType: offered.opus,
    sequenceNumber: 1,
    payload: Uint8Array.of(1),
    extensions: { 4: '0' },
  });
  broken.receive({ ssrc: 7, payloadType: red, sequenceNumber: 2, payload: Uint8Array.of(0xef, 0, 3, 0xff, 111, 1) });
  t.equal(broken.sent.length, 1, 'blocks that do not fit are dropped');
  t.end();
});
