import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { isOfferError, parseOffer } from './sdp-offer.ts';
import type { Offer, OfferError } from './sdp-offer.ts';
import { maxOfferLength } from './sdp-reading.ts';
import { testdata } from './testing/testdata.ts';

const chromium = readFileSync(testdata('chromium-156-offer.sdp'), 'utf8');

function accepted(text: string): Offer {
  const offer = parseOffer(text);
  if (isOfferError(offer)) throw new Error(`${offer.where}: ${offer.reason}`);
  return offer;
}

function refused(text: string): OfferError {
  const offer = parseOffer(text);
  return isOfferError(offer) ? offer : { where: 'nowhere', reason: 'accepted' };
}

/** Changes the lines of one section; -1 is the session part. */
function edit(text: string, section: number, change: (lines: string[]) => string[]): string {
  const parts = text.split(/^(?=m=)/m);
  parts[section + 1] = change((parts[section + 1] ?? '').split('\r\n')).join('\r\n');
  return parts.join('');
}
const without = (prefix: string) => (lines: string[]) => lines.filter((line) => !line.startsWith(prefix));
const replaced = (prefix: string, by: string) => (lines: string[]) =>
  lines.map((line) => (line.startsWith(prefix) ? by : line));

t.test("Chromium's offer", (t) => {
  const offer = accepted(chromium);
  t.equal(offer.ice.ufrag.length, 4);
  t.equal(offer.fingerprint.algorithm, 'sha-256');
  t.equal(offer.extmapAllowMixed, true);
  t.equal(offer.sections.map(({ mid }) => mid).join(), '0,1,2,3,4,5,6,7,8,9,10,11');
  t.ok(offer.sections.every(({ active, reducedSizeRtcp }) => active && reducedSizeRtcp));
  const [microphone, camera, screen, main] = offer.sections;
  t.strictSame(
    microphone?.codecs.map(({ key, payloadType, channels }) => ({ key, payloadType, channels })),
    [{ key: 'opus', payloadType: 111, channels: 2 }],
  );
  const numbers = { mid: 4, rid: 0, repairedRid: 0, audioLevel: 1, absSendTime: 2, transportWideCc: 3 };
  t.strictSame(microphone?.extensions, { ...numbers, videoOrientation: 0, dependencyDescriptor: 0 });
  t.equal(microphone?.codecs[0]?.redPayloadType, 63);
  t.equal(microphone?.codecs[0]?.prefersRed, false);
  t.strictSame(
    camera?.codecs.map(({ key, payloadType }) => [key, payloadType]),
    [['VP8', 96]],
  );
  t.strictSame(camera?.codecs[0]?.feedback, ['nack', 'nack pli', 'ccm fir', 'goog-remb', 'transport-cc']);
  t.equal(camera?.codecs[0]?.rtxPayloadType, 97);
  t.strictSame(camera?.rids, ['h', 'l']);
  t.strictSame(camera?.ssrcs, []);
  t.strictSame(screen?.rids, []);
  t.equal(screen?.ssrcs.length, 2);
  t.strictSame(
    main?.codecs.map(({ key, payloadType }) => [key, payloadType]),
    [
      ['VP8', 96],
      ['H264/42e0', 108],
      ['VP9/0', 98],
      ['AV1/0', 45],
    ],
  );
  t.end();
});

t.test('an offer that restarts ICE after the data section was refused', (t) => {
  const offer = accepted(readFileSync(testdata('chromium-156-offer-restart.sdp'), 'utf8'));
  t.equal(offer.sections.length, 12);
  t.end();
});

t.test('without VP8 the next codec is taken, without any known codec the section is not active', (t) => {
  const h264 = accepted(edit(chromium, 1, without('a=rtpmap:96 ')));
  t.strictSame(
    h264.sections[1]?.codecs.map(({ key }) => key),
    ['H264/42e0'],
  );
  const none = accepted(edit(chromium, 2, without('a=rtpmap:')));
  t.equal(none.sections[2]?.active, false);
  t.strictSame(none.sections[2]?.codecs, []);
  t.end();
});

t.test('inactive sections and odd simulcast are taken as they are', (t) => {
  const inactive = accepted(edit(chromium, 2, replaced('a=sendonly', 'a=inactive')));
  t.equal(inactive.sections[2]?.active, false);
  t.equal(inactive.sections[2]?.codecs.length, 1);
  const rids = (line: string): unknown => accepted(edit(chromium, 1, replaced('a=simulcast:', line))).sections[1]?.rids;
  t.strictSame(rids('a=simulcast:send l'), ['l']);
  t.strictSame(rids('a=simulcast:send ~h;x'), ['h']);
  t.strictSame(rids('a=simulcast:recv h;l'), []);
  t.strictSame(accepted(edit(chromium, 1, without('a=extmap:10 '))).sections[1]?.rids, []);
  t.end();
});

t.test('transport attributes at session level', (t) => {
  const lines = chromium.split('\r\n');
  const attributes = ['a=ice-ufrag:', 'a=ice-pwd:', 'a=fingerprint:', 'a=setup:'];
  const found = attributes.map((prefix) => lines.find((line) => line.startsWith(prefix)) ?? '');
  const bare = attributes.reduce((text, prefix) => text.replaceAll(new RegExp(`^${prefix}.*\r\n`, 'gm'), ''), chromium);
  const offer = accepted(bare.replace('t=0 0\r\n', `t=0 0\r\n${found.join('\r\n')}\r\n`));
  t.strictSame(offer, accepted(chromium));
  t.end();
});

t.test('faults name the section', (t) => {
  const cases: [string, string, RegExp][] = [
    ['', 'session', /not a session description/],
    ['hello', 'session', /not a session description/],
    ['v=0\r\n', 'session', /0 media sections/],
    [chromium + chromium.slice(chromium.indexOf('m=application')), 'session', /14 media sections/],
    [chromium.replace('m=application', 'm=audio'), 'section 12 (mid 12)', /expected "application"/],
    [chromium.replace('s=-\r\n', 's=-\r\na=ice-lite\r\n'), 'session', /ice-lite/],
    [chromium.replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0'), 'section 1 (mid 1)', /BUNDLE/],
    [edit(chromium, 4, replaced('a=mid:', 'a=mid:5')), 'section 4 (mid 4)', /has mid "5"/],
    [edit(chromium, 3, replaced('a=recvonly', 'a=sendrecv')), 'section 3 (mid 3)', /"sendrecv", expected "recvonly"/],
    [edit(chromium, 0, without('a=sendonly')), 'section 0 (mid 0)', /"sendrecv", expected "sendonly"/],
    [edit(chromium, 9, without('a=rtcp-mux')), 'section 9 (mid 9)', /rtcp-mux/],
    [edit(chromium, 0, without('a=ice-ufrag')), 'section 0 (mid 0)', /ice-ufrag/],
    [edit(chromium, 0, replaced('a=ice-pwd', 'a=ice-pwd:short')), 'section 0 (mid 0)', /ice-pwd/],
    [edit(chromium, 5, replaced('a=ice-ufrag', 'a=ice-ufrag:other')), 'section 5 (mid 5)', /ice-ufrag of its own/],
    [edit(chromium, 0, replaced('a=setup', 'a=setup:passive')), 'section 0 (mid 0)', /setup "passive"/],
    [edit(chromium, 0, without('a=fingerprint')), 'section 0 (mid 0)', /no fingerprint/],
    [edit(chromium, 0, replaced('a=fingerprint', 'a=fingerprint:md5 AB')), 'section 0 (mid 0)', /"md5"/],
    [edit(chromium, 0, replaced('a=fingerprint', 'a=fingerprint:sha-256 AB')), 'section 0 (mid 0)', /malformed/],
    [edit(chromium, 2, replaced('a=extmap:4 ', 'a=extmap:8 urn:x')), 'section 2 (mid 2)', /id 8 for two things/],
    [
      edit(chromium, 3, replaced('a=extmap:4 ', 'a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid')),
      'section 3 (mid 3)',
      /id 1 for two things/,
    ],
    [chromium.replace('m=video 9 UDP/TLS/RTP/SAVPF', 'm=video 9 RTP/AVP'), 'section 1 (mid 1)', /protocol "RTP\/AVP"/],
    [edit(chromium, 1, (lines) => [...lines, 'a=fmtp:96 ' + 'x'.repeat(1024)]), 'session', /a line is longer/],
    ['v=0\r\n' + 'x'.repeat(maxOfferLength), 'session', /longer than/],
    ['v=0\n'.repeat(5000), 'session', /more than 4096 lines/],
  ];
  for (const [text, where, reason] of cases) {
    const error = refused(text);
    t.equal(error.where, where, error.reason);
    t.match(error.reason, reason);
  }
  t.end();
});

t.test("a peer's text in an error is short and printable", (t) => {
  const { reason } = refused(edit(chromium, 0, replaced('a=mid:', 'a=mid:\u0007\u00e9' + 'x'.repeat(500))));
  t.match(reason, /^[\x20-\x7e]+$/);
  t.ok(reason.length < 100);
  t.end();
});

t.test('hostile text never throws', (t) => {
  // Two codecs are enough here, and parse faster.
  const lines = chromium.split('\r\n').filter((line) => !/^a=(?:rtpmap|fmtp|rtcp-fb):(?!96|108|111)/.test(line));
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 500 }), (text) => (parseOffer(text), true)));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(lines.length - 1), fc.oneof(fc.string(), fc.constantFrom(...lines))), { maxLength: 8 }),
      (edits) => {
        const mutated = [...lines];
        for (const [at, line] of edits) mutated[at] = (mutated[at] ?? '').slice(0, 12) + line;
        parseOffer(mutated.join('\r\n'));
        return true;
      },
    ),
    { numRuns: 60 },
  );
  // The parser turns words that look like numbers into numbers.
  const seen = new Set<string>();
  for (const [at, line] of lines.entries()) {
    const shape = line.replace(/\d+/g, '0');
    if (seen.has(shape)) continue;
    seen.add(shape);
    for (const word of line.match(/[^\s:=/]+/g) ?? []) parseOffer(lines.with(at, line.replace(word, '7')).join('\r\n'));
    parseOffer(
      lines
        .with(
          at,
          line.replace(/[:=].*/, (rest) => rest.slice(0, 1)),
        )
        .join('\r\n'),
    );
  }
  for (const name of ['__proto__', 'constructor', 'toString']) {
    t.match(refused(edit(chromium, 4, replaced('a=mid:', `a=mid:${name}`))).where, /^section 4/);
    t.strictSame(
      accepted(edit(chromium, 1, replaced('a=fmtp:108', `a=fmtp:108 ${name}=1;profile-level-id=${name}`))).sections
        .length,
      12,
    );
  }
  t.end();
});
