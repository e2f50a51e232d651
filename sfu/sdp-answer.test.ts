import { readFileSync } from 'node:fs';
import { parse } from 'sdp-transform';
import t from 'tap';
import { audioSlotMids, videoSlotMids } from '../tunnel-protocol/index.ts';
import { writeAnswer, writeCandidate } from './sdp-answer.ts';
import type { AnswerLocal } from './sdp-answer.ts';
import { isOfferError, parseOffer } from './sdp-offer.ts';
import { testdata } from './testing/testdata.ts';

const chromium = readFileSync(testdata('chromium-156-offer.sdp'), 'utf8');
const local: AnswerLocal = {
  ice: { ufrag: 'ourufrag', pwd: 'p'.repeat(24) },
  fingerprint: Array<string>(32).fill('AB').join(':'),
  candidates: [
    { transport: 'udp', address: '192.0.2.1', port: 8443 },
    { transport: 'tcp', address: '2001:db8::1', port: 443 },
  ],
  cname: 'sallyport',
  slots: new Map([...videoSlotMids, ...audioSlotMids].map((mid) => [mid, { media: 1000 + Number(mid), rtx: 2000 }])),
  data: true,
  originId: '4711',
  originVersion: 2,
};

function answer(offer: string): ReturnType<typeof parse> {
  const parsed = parseOffer(offer);
  if (isOfferError(parsed)) throw new Error(parsed.reason);
  return parse(writeAnswer(parsed, local));
}

t.test("the answer to Chromium's offer", (t) => {
  const sdp = answer(chromium);
  t.equal(sdp.icelite, 'ice-lite');
  t.strictSame(sdp.groups, [{ type: 'BUNDLE', mids: '0 1 2 3 4 5 6 7 8 9 10 11 12' }]);
  t.equal(sdp.media.length, 13);
  t.equal(sdp.media.map((media) => String(media.mid)).join(), '0,1,2,3,4,5,6,7,8,9,10,11,12');
  const data = sdp.media[12];
  t.match(data, { port: 9, protocol: 'UDP/DTLS/SCTP', sctpPort: 5000, maxMessageSize: 65_536, setup: 'passive' });
  for (const media of sdp.media.slice(0, 12)) {
    t.equal(media.setup, 'passive');
    t.equal(media.rtcpMux, 'rtcp-mux');
    t.equal(media.rtcpRsize, 'rtcp-rsize');
    t.equal(media.iceUfrag, 'ourufrag');
    t.equal(media.fingerprint?.hash, local.fingerprint);
    t.ok(media.ext?.some(({ uri, value }) => uri.endsWith('sdes:mid') && value === 4));
  }
  const [microphone, camera, screen, main] = sdp.media;
  t.strictSame(
    [microphone, camera, screen, main].map((media) => media?.direction),
    ['recvonly', 'recvonly', 'recvonly', 'sendonly'],
  );
  t.equal(microphone?.candidates?.length, 2);
  t.equal(microphone?.endOfCandidates, 'end-of-candidates');
  t.equal(camera?.candidates, undefined);
  t.strictSame(camera?.simulcast, { dir1: 'recv', list1: 'h;l' });
  t.strictSame(
    camera?.rids?.map(({ id, direction }) => [id, direction]),
    [
      ['h', 'recv'],
      ['l', 'recv'],
    ],
  );
  t.equal(screen?.simulcast, undefined);
  t.strictSame(
    microphone?.ext?.map(({ value }) => value),
    [4, 1, 3],
  );
  t.equal(main?.payloads, '96 97 108 109 98 99 45 46');
  t.strictSame(main?.ssrcGroups, [{ semantics: 'FID', ssrcs: '1003 2000' }]);
  t.equal(camera?.payloads, '96 97');
  t.match(camera?.fmtp, [{ payload: 96, config: /x-google-start-bitrate=\d+/ }, { payload: 97 }]);
  t.notMatch(JSON.stringify(main), /x-google/, 'subscribers are told nothing of it');
  t.equal(microphone?.payloads, '111 63', 'redundant audio behind the codec, as offered');
  t.strictSame(
    main?.ext?.map(({ value }) => value),
    [4, 3, 13, 12],
    'no absolute send time beside transport-wide numbers',
  );
  t.equal(main?.ssrcs?.[0]?.id, 1003);
  const streams = sdp.media.slice(3, 12).map((media) => (media.msid as unknown as { id: string }[])[0]?.id);
  t.strictSame(streams, ['main', 'slot-4', 'slot-5', 'slot-6', 'slot-7', 'slot-8', 'main', 'slot-10', 'slot-11']);
  t.end();
});

t.test('a section without a known codec is refused and leaves the bundle', (t) => {
  const sdp = answer(chromium.replace(/^a=rtpmap:111 .*\r\n/m, ''));
  t.equal(sdp.media[0]?.port, 0);
  t.equal(sdp.groups?.[0]?.mids, '1 2 3 4 5 6 7 8 9 10 11 12');
  t.equal(sdp.media[1]?.candidates?.length, 2, 'the next section carries the candidates');
  t.end();
});

t.test('a data section that nobody may use, or that is not SCTP, is refused', (t) => {
  const refused = (offer: string, allowed: boolean): void => {
    const parsed = parseOffer(offer);
    if (isOfferError(parsed)) throw new Error(parsed.reason);
    const sdp = parse(writeAnswer(parsed, { ...local, data: allowed }));
    t.equal(sdp.media[12]?.port, 0);
    t.equal(sdp.groups?.[0]?.mids, '0 1 2 3 4 5 6 7 8 9 10 11');
  };
  refused(chromium, false);
  refused(chromium.replace('UDP/DTLS/SCTP', 'DTLS/SCTP'), true);
  refused(chromium.replace('a=sctp-port:5000', 'a=sctp-port:0'), true);
  refused(chromium.replace(/(a=group:BUNDLE.*) 12/, '$1'), true);
  t.end();
});

t.test('candidates', (t) => {
  t.equal(
    writeCandidate({ transport: 'udp', address: '192.0.2.1', port: 8443 }, 0),
    'a=candidate:1 1 udp 2130706431 192.0.2.1 8443 typ host',
  );
  t.equal(
    writeCandidate({ transport: 'tcp', address: '2001:db8::1', port: 443 }, 1),
    'a=candidate:2 1 tcp 1520434943 2001:db8::1 443 typ host tcptype passive',
  );
  t.end();
});
