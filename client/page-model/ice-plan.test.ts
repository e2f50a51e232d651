import t from 'tap';
import { isBetterRung, isNativeRung, keepCandidates, nativeRungs, planIce, rungOfUrl } from './ice-plan.ts';

const urls = [
  'turn:edge.example:3478?transport=udp',
  'turn:edge.example:443?transport=tcp',
  'turns:edge.example:443?transport=tcp',
];
const server = { urls, username: '1:s', credential: 'c' };
const withUrls = (...wanted: string[]): object[] => [{ ...server, urls: wanted }];

t.test('without a choice everything is used, as the server wrote it', (t) => {
  const servers = [server, { urls: 'stun:stun.example' }];
  t.same(planIce(servers), {
    iceServers: servers,
    iceTransportPolicy: 'all',
    transports: ['udp', 'tcp'],
    rungs: nativeRungs,
  });
  t.same(planIce([server], ['websocket', ...nativeRungs, 'http-stream', 'long-poll']).iceServers, [server]);
  t.same(planIce([]).rungs, ['udp', 'ice-tcp'], 'without servers');
  t.end();
});

t.test('one rung alone', (t) => {
  const direct = { iceServers: [], iceTransportPolicy: 'all' };
  t.same(planIce([server], ['udp']), { ...direct, transports: ['udp'], rungs: ['udp'] });
  t.same(planIce([server], ['ice-tcp']), { ...direct, transports: ['tcp'], rungs: ['ice-tcp'] });
  for (const [index, rung] of (['turn-udp', 'turn-tcp', 'turn-tls'] as const).entries()) {
    t.same(planIce([server], [rung]), {
      iceServers: withUrls(urls[index] ?? ''),
      iceTransportPolicy: 'relay',
      transports: ['udp'],
      rungs: [rung],
    });
  }
  t.end();
});

t.test('several rungs', (t) => {
  t.same(planIce([server], ['udp', 'turn-tls']), {
    iceServers: withUrls(urls[2] ?? ''),
    iceTransportPolicy: 'all',
    transports: ['udp'],
    rungs: ['udp', 'turn-tls'],
  });
  t.match(planIce([server], ['ice-tcp', 'turn-tls']), {
    iceTransportPolicy: 'relay',
    transports: ['udp'],
    rungs: ['turn-tls'],
  });
  t.match(planIce([], ['ice-tcp', 'turn-tls']), { transports: ['tcp'], rungs: ['ice-tcp'] });
  t.end();
});

t.test('what the server does not offer leaves nothing', (t) => {
  const plan = planIce([{ ...server, urls: urls[1] ?? '' }], ['turn-udp']);
  t.same(plan.rungs, []);
  t.same(plan.iceServers, []);
  t.same(planIce([server], ['websocket']).rungs, []);
  t.end();
});

t.test('rungs of addresses', (t) => {
  t.equal(rungOfUrl('turn:edge.example'), 'turn-udp');
  t.equal(rungOfUrl('turn:[2001:db8::1]:3478?transport=tcp'), 'turn-tcp');
  t.equal(rungOfUrl('turns:edge.example'), 'turn-tls');
  t.equal(rungOfUrl('turns:edge.example?transport=udp'), null, 'DTLS');
  t.equal(rungOfUrl('stun:edge.example'), null);
  t.equal(rungOfUrl(''), null);
  t.ok(isNativeRung('turn-tls'));
  t.notOk(isNativeRung('websocket'));
  t.ok(isBetterRung('turn-udp', 'ice-tcp'));
  t.notOk(isBetterRung('udp', 'udp'));
  t.end();
});

t.test('candidates of an answer', (t) => {
  const answer = (...candidates: string[]): string =>
    ['v=0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', ...candidates, 'a=end-of-candidates', ''].join('\r\n');
  const udp = 'a=candidate:1 1 udp 2130706431 192.0.2.1 443 typ host';
  const tcp = 'a=candidate:2 1 TCP 1518280447 192.0.2.1 443 typ host tcptype passive';
  const other = 'a=candidate:3 1 sctp 1 192.0.2.1 443 typ host';
  t.same(keepCandidates(answer(udp, tcp), ['udp', 'tcp']), { sdp: answer(udp, tcp), transports: ['udp', 'tcp'] });
  t.same(keepCandidates(answer(udp, tcp), ['udp']), { sdp: answer(udp), transports: ['udp'] });
  t.same(keepCandidates(answer(udp, tcp, other), ['tcp']), { sdp: answer(tcp), transports: ['tcp'] });
  t.same(keepCandidates(answer(udp), ['tcp']), { sdp: answer(), transports: [] });
  t.end();
});
