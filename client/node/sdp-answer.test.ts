import { parse } from 'sdp-transform';
import t from 'tap';
import { audioSlotMids, dataMid, publishSections, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { readAnswer } from './sdp-answer.ts';
import { writeOffer } from './sdp-offer.ts';

const offer = writeOffer({
  ice: { ufrag: 'ufrag', pwd: 'password-of-22-letters' },
  fingerprint: 'AA:BB',
  cname: 'c',
  ssrcs: { microphone: 1, camera: 2, screen: 3 },
  originId: '1',
  originVersion: 1,
});

/** What a server answers: directions turned round, its own transport, an SSRC for each slot. */
function answerTo(text: string, change: (line: string) => string | null = (line) => line): string {
  let ssrc = 1000;
  return text
    .split('\r\n')
    .flatMap((line) => {
      if (line.startsWith('a=ssrc:') || line.startsWith('a=msid:')) return [];
      if (line === 'a=setup:actpass') return 'a=setup:passive';
      if (line === 'a=sendonly') return 'a=recvonly';
      if (line === 'a=recvonly') return ['a=sendonly', `a=ssrc:${String(ssrc++)} cname:s`];
      if (line === 'a=mid:0') {
        return [
          line,
          'a=candidate:1 1 udp 100 192.0.2.1 5000 typ host',
          'a=candidate:2 1 udp 200 2001:db8::1 5000 typ host',
          'a=candidate:2 1 udp 200 2001:db8::1 5000 typ host',
          'a=candidate:3 1 tcp 300 192.0.2.1 5000 typ host tcptype passive',
          'a=candidate:3 1 tcp 400 192.0.2.1 9 typ host tcptype active',
          'a=candidate:4 1 udp 300 somebody.local 5000 typ host',
          'a=candidate:5 1 udp 300 192.0.2.1 0 typ host',
        ];
      }
      return line;
    })
    .flatMap((line) => change(line) ?? [])
    .join('\r\n');
}

t.test('the offer has the fixed shape', (t) => {
  const { media, groups } = parse(offer);
  const mids = [...publishSections.map(({ mid }) => mid), ...videoSlotMids, ...audioSlotMids, dataMid];
  t.same(
    media.map(({ mid }) => String(mid)),
    mids,
  );
  t.equal(groups?.[0]?.mids, mids.join(' '));
  t.equal(media.at(-1)?.type, 'application');
  t.same(
    media.slice(0, 3).map(({ type, direction, ssrcs }) => [type, direction, ssrcs?.[0]?.id]),
    [
      ['audio', 'sendonly', 1],
      ['video', 'sendonly', 2],
      ['video', 'sendonly', 3],
    ],
  );
  t.end();
});

t.test('an answer is read', (t) => {
  const answer = readAnswer(answerTo(offer));
  t.match(answer, {
    ice: { ufrag: 'ufrag', pwd: 'password-of-22-letters' },
    fingerprint: { algorithm: 'sha-256', value: 'AA:BB' },
    takesMid: true,
  });
  t.same(answer.candidates, [
    { address: '2001:db8::1', port: 5000 },
    { address: '192.0.2.1', port: 5000 },
  ]);
  t.same(answer.tcpCandidates, [{ address: '192.0.2.1', port: 5000 }]);
  t.same([...answer.accepted], ['microphone', 'camera', 'screen']);
  t.same([...answer.slots.keys()], [...videoSlotMids, ...audioSlotMids]);
  t.same(answer.slots.get('9'), { kind: 'audio', ssrc: 1006 });
  t.end();
});

t.test('credentials that look like numbers stay what they are', (t) => {
  const answer = readAnswer(answerTo(offer, (line) => line.replace('a=ice-ufrag:ufrag', 'a=ice-ufrag:12345678')));
  t.equal(answer.ice.ufrag, '12345678');
  t.end();
});

t.test('sections that are turned down are left out', (t) => {
  const answer = readAnswer(
    answerTo(offer, (line) => (line === 'a=recvonly' || line === 'a=sendonly' ? 'a=inactive' : line)),
  );
  t.equal(answer.slots.size, 0);
  t.equal(answer.accepted.size, 0);
  t.end();
});

t.test('answers that cannot be used', (t) => {
  const without = (start: string) => answerTo(offer, (line) => (line.startsWith(start) ? null : line));
  const cases: readonly [string, RegExp][] = [
    ['', /no first section/],
    ['v=0\r\nm=audio', /no first section/],
    [without('a=ice-pwd'), /ICE credentials/],
    [without('a=fingerprint'), /fingerprint/],
    [without('a=ssrc'), /no SSRC of its own/],
    [answerTo(offer, (line) => line.replace(/^a=ssrc:\d+/, 'a=ssrc:5')), /section 4 has no SSRC/],
    [offer, /setup "actpass"/],
    ['x'.repeat(70_000), /too long/],
  ];
  for (const [sdp, message] of cases) t.throws(() => readAnswer(sdp), { code: 'bad-answer', message });
  t.end();
});
