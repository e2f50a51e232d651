import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parse } from 'sdp-transform';
import t from 'tap';
import { audioSlotMids, videoSlotMids } from '../tunnel-protocol/index.ts';
import { isForeignOfferError, parseForeignOffer } from './foreign-offer.ts';
import type { ForeignOfferError } from './foreign-offer.ts';
import { writeAnswer } from './sdp-answer.ts';
import type { AnswerLocal } from './sdp-answer.ts';
import type { Offer } from './sdp-offer.ts';
import type { WhipRole } from './sfu.ts';
import { testdata } from './testing/testdata.ts';

const gstreamer = readFileSync(testdata('gstreamer-1.22-offer.sdp'), 'utf8');
const local: AnswerLocal = {
  ice: { ufrag: 'ourufrag', pwd: 'p'.repeat(24) },
  fingerprint: Array<string>(32).fill('AB').join(':'),
  candidates: [{ transport: 'udp', address: '192.0.2.1', port: 8443 }],
  cname: 'sallyport',
  slots: new Map([...videoSlotMids, ...audioSlotMids].map((mid) => [mid, { media: 1000 + Number(mid), rtx: 2000 }])),
  data: true,
  originId: '4711',
  originVersion: 1,
};

function accepted(text: string, role: WhipRole): Offer {
  const offer = parseForeignOffer(text, role);
  if (isForeignOfferError(offer)) throw new Error(`${offer.where}: ${offer.reason}`);
  return offer;
}

function refused(text: string, role: WhipRole): ForeignOfferError {
  const offer = parseForeignOffer(text, role);
  return isForeignOfferError(offer) ? offer : { where: 'nowhere', reason: 'accepted', unsupported: false };
}

const codecLines: Readonly<Record<string, readonly string[]>> = {
  opus: ['a=rtpmap:111 opus/48000/2'],
  pcmu: ['a=rtpmap:0 PCMU/8000'],
  VP8: ['a=rtpmap:96 VP8/90000', 'a=rtcp-fb:96 nack pli'],
  H264: ['a=rtpmap:102 H264/90000', 'a=fmtp:102 packetization-mode=1;profile-level-id=42e01f'],
};

interface SectionPlan {
  readonly media: string;
  readonly mid: string;
  readonly direction?: string;
  readonly codec?: string;
  readonly more?: readonly string[];
}

/** An offer of these sections, all in one bundle. */
function offerOf(sections: readonly SectionPlan[], bundle = sections.map(({ mid }) => mid)): string {
  const lines = ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0', `a=group:BUNDLE ${bundle.join(' ')}`];
  for (const { media, mid, direction = 'sendonly', codec, more = [] } of sections) {
    const transport = ['a=ice-ufrag:abcd', `a=ice-pwd:${'x'.repeat(24)}`, 'a=setup:actpass'];
    const fingerprint = `a=fingerprint:sha-256 ${Array<string>(32).fill('0A').join(':')}`;
    lines.push(`m=${media}`, 'c=IN IP4 0.0.0.0', `a=mid:${mid}`, ...transport, fingerprint);
    lines.push('a=rtcp-mux', `a=${direction}`, ...(codec === undefined ? [] : (codecLines[codec] ?? [])), ...more);
  }
  return lines.join('\r\n') + '\r\n';
}
const audio = { media: 'audio 9 UDP/TLS/RTP/SAVPF 111', mid: 'a', codec: 'opus' };
const video = { media: 'video 9 UDP/TLS/RTP/SAVPF 96', mid: 'v', codec: 'VP8' };
const data = { media: 'application 9 UDP/DTLS/SCTP webrtc-datachannel', mid: 'd' };

t.test("GStreamer's offer", (t) => {
  const offer = accepted(gstreamer, 'whip');
  t.strictSame(
    offer.sections.map(({ mid, source, slot }) => [mid, source, slot]),
    [
      ['video0', 'camera', null],
      ['audio1', 'microphone', null],
    ],
  );
  t.ok(offer.sections.every(({ ssrcs, ownPayloadTypes }) => ssrcs.length === 1 && ownPayloadTypes));
  const answer = parse(writeAnswer(offer, local));
  t.match(answer.groups, [{ type: 'BUNDLE', mids: 'video0 audio1' }]);
  t.match(answer.media, [
    { type: 'video', mid: 'video0', port: 9, direction: 'recvonly', payloads: 96, setup: 'passive', candidates: [{}] },
    { type: 'audio', mid: 'audio1', port: 9, direction: 'recvonly', payloads: 97, setup: 'passive' },
  ]);
  t.match(writeAnswer(offer, local), /a=rtcp-mux-only\r\n/);
  t.end();
});

t.test('players get slots in the order of their sections', (t) => {
  const whep = (sections: readonly SectionPlan[]): Offer =>
    accepted(offerOf(sections.map((section, at) => ({ direction: 'recvonly', ...section, mid: `m${String(at)}` }))), 'whep'); // prettier-ignore
  const offer = whep([video, audio, data, { ...video, direction: 'sendrecv' }, audio]);
  t.strictSame(
    offer.sections.map(({ mid, slot }) => [mid, slot]),
    [
      ['m0', videoSlotMids[0]],
      ['m1', audioSlotMids[0]],
      ['m3', videoSlotMids[1]],
      ['m4', audioSlotMids[1]],
    ],
  );
  const answer = parse(writeAnswer(offer, local));
  t.match(
    answer.media.map(({ mid, port, direction }) => [mid, port, direction]),
    [
      ['m0', 9, 'sendonly'],
      ['m1', 9, 'sendonly'],
      ['m2', 0, 'inactive'],
      ['m3', 9, 'sendonly'],
      ['m4', 9, 'sendonly'],
    ],
  );
  t.equal(answer.groups?.[0]?.mids, 'm0 m1 m3 m4');
  t.match(answer.media[0]?.ssrcs, [{ id: 1000 + Number(videoSlotMids[0]) }, {}]);
  const many = whep(Array<SectionPlan>(8).fill(video));
  t.equal(many.sections.length, videoSlotMids.length, 'more than there are slots: the last ones are refused alone');
  t.equal(many.media.length, 8);
  t.end();
});

t.test('sections that stand alone, are off, or come bundled without a port', (t) => {
  const alone = accepted(offerOf([video], ['other']), 'whip');
  t.equal(alone.bundled, false);
  t.notMatch(writeAnswer(alone, local), /BUNDLE/);
  const bundleOnly = { ...audio, media: 'audio 0 UDP/TLS/RTP/SAVPF 111', more: ['a=bundle-only'] };
  t.equal(accepted(offerOf([video, bundleOnly]), 'whip').sections.length, 2);
  const off = accepted(offerOf([{ ...audio, media: 'audio 0 UDP/TLS/RTP/SAVPF 111' }, video]), 'whip');
  t.strictSame(off.sections.map(({ mid }) => mid), ['v']); // prettier-ignore
  t.match(parse(writeAnswer(off, local)).media, [
    { mid: 'a', port: 0 },
    { mid: 'v', port: 9, candidates: [{}] },
  ]);
  const both = accepted(offerOf([video, { ...audio, codec: 'opus', media: 'audio 9 UDP/TLS/RTP/SAVPF 96', more: ['a=rtpmap:96 opus/48000/2'] }]), 'whip'); // prettier-ignore
  t.ok(
    both.sections.every(({ ownPayloadTypes }) => !ownPayloadTypes),
    'a payload type of two sections names none',
  );
  t.end();
});

t.test('what cannot be served, and what is no offer', (t) => {
  for (const [text, role, unsupported, reason] of [
    ['', 'whip', false, /not a session description/],
    ['x'.repeat(70_000), 'whip', false, /longer/],
    ['v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\n', 'whip', false, /no media section/],
    [offerOf([video, video]), 'whip', false, /mid of another/],
    [offerOf([{ ...video, mid: 'ü' }]), 'whip', false, /no mid/],
    [offerOf([video]).replace('a=ice-pwd', 'a=x'), 'whip', false, /ice-pwd/],
    [offerOf([video]).replace('a=setup:actpass', 'a=setup:passive'), 'whip', false, /setup/],
    [offerOf([video]).replace('s=-', 's=-\r\na=ice-lite'), 'whip', true, /ice-lite/],
    [offerOf([{ ...video, direction: 'recvonly' }]), 'whip', true, /expected "sendonly"/],
    [offerOf([{ ...video, direction: 'inactive' }]), 'whip', true, /expected "sendonly"/],
    [offerOf([video]), 'whep', true, /expected "recvonly"/],
    [offerOf([video, { ...video, mid: 'w' }]), 'whip', true, /second video/],
    [offerOf([video, audio], ['v']), 'whip', true, /max-bundle/],
    [offerOf([video]).replace('a=rtcp-mux\r\n', ''), 'whip', true, /rtcp-mux/],
    [offerOf([{ ...audio, media: 'audio 9 UDP/TLS/RTP/SAVPF 0', codec: 'pcmu' }]), 'whip', true, /offer opus/],
    [offerOf([data]), 'whip', true, /no audio or video/],
    [
      offerOf(Array.from({ length: 33 }, (_, at) => ({ ...data, mid: `d${String(at)}` }))),
      'whip',
      true,
      /more than 32/,
    ],
  ] as const) {
    const error = refused(text, role);
    t.match(error, { reason, unsupported }, `${String(reason)}: ${error.where} ${error.reason}`);
  }
  t.end();
});

t.test('whatever the text, there is an answer that mirrors it, or a reason', (t) => {
  const lines = gstreamer.split('\r\n');
  const mutated = fc
    .array(
      fc.record({
        at: fc.nat(lines.length - 1),
        how: fc.constantFrom('drop', 'double', 'swap', 'cut', 'replace'),
        other: fc.nat(lines.length - 1),
        text: fc.string({ maxLength: 20 }),
      }),
      { maxLength: 6 },
    )
    .map((changes) => {
      const now = [...lines];
      for (const { at, how, other, text } of changes) {
        const line = now[at] ?? '';
        if (how === 'drop') now.splice(at, 1);
        else if (how === 'double') now.splice(at, 0, line);
        else if (how === 'swap') [now[at], now[other]] = [now[other] ?? '', line];
        else if (how === 'cut') now[at] = line.slice(0, text.length);
        else now[at] = `${line.slice(0, line.indexOf(':') + 1)}${text}`;
      }
      return now.join('\r\n');
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.string()), fc.constantFrom<WhipRole>('whip', 'whep'), (text, role) => {
      const offer = parseForeignOffer(text, role);
      if (isForeignOfferError(offer)) return offer.reason.length > 0 && offer.where.length > 0;
      const answer = parse(writeAnswer(offer, local));
      const offered = parse(text).media;
      return (
        answer.media.length === offered.length &&
        answer.media.every(
          ({ mid, type }, at) => String(mid) === String(offered[at]?.mid) && type === offered[at]?.type,
        )
      );
    }),
    { numRuns: 300 },
  );
  t.end();
});
