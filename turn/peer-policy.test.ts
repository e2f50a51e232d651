import t from 'tap';
import { PeerPolicy, peerVerdict } from './peer-policy.ts';

const none = { sfuAddresses: [], relayAllow: [], ownAddresses: [] };
const { refused, sfu, allowed, exact } = peerVerdict;

t.test('nobody is a peer unless named', (t) => {
  const policy = new PeerPolicy({ ...none, sfuAddresses: [{ address: '198.51.100.7', port: 443 }] });
  t.equal(policy.sfuOnly, true);
  t.equal(policy.verdict('198.51.100.7', 443), sfu);
  t.equal(policy.verdict('198.51.100.7', 444), refused);
  t.equal(policy.verdict('198.51.100.8', 443), refused);
  t.equal(policy.mayPermit('198.51.100.7'), true);
  t.equal(policy.mayPermit('198.51.100.8'), false);
  t.equal(policy.verdict('::ffff:198.51.100.7', 443), refused, 'mapped');
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4.5']) t.equal(policy.verdict(text, 443), refused, text);
  t.end();
});

t.test('ranges and their ports', (t) => {
  const relayAllow = [
    '203.0.113.0/25',
    '192.0.2.0/24:1000-2000',
    '[2001:db8::]/33:443',
    '2001:db8:f000::/36',
    '192.0.2.77',
  ];
  const policy = new PeerPolicy({ ...none, relayAllow, ownAddresses: ['203.0.113.9', '::ffff:203.0.113.10'] });
  t.equal(policy.sfuOnly, false);
  t.same(policy.overrides, []);
  const cases: readonly [string, number, number][] = [
    ['203.0.113.127', 1, allowed],
    ['203.0.113.128', 1, refused],
    ['203.0.113.1', 0, refused],
    ['203.0.113.9', 1, refused],
    ['203.0.113.10', 1, refused],
    ['192.0.2.1', 1000, allowed],
    ['192.0.2.1', 999, refused],
    ['192.0.2.1', 2001, refused],
    ['192.0.2.77', 5, allowed],
    ['2001:db8:7fff::1', 443, allowed],
    ['2001:db8:8000::1', 443, refused],
    ['2001:db8::1', 444, refused],
    ['2001:db8:f123::1', 444, allowed],
  ];
  for (const [address, port, verdict] of cases)
    t.equal(policy.verdict(address, port), verdict, `${address} ${String(port)}`);
  t.equal(policy.mayPermit('192.0.2.1'), true);
  t.equal(policy.mayPermit('203.0.113.9'), false);
  t.end();
});

t.test('what is always refused is refused even where everything is allowed', (t) => {
  const policy = new PeerPolicy({ ...none, relayAllow: ['0.0.0.0/0', '::/0'] });
  const inside = ['0.0.0.0', '0.0.0.1', '127.0.0.1', '127.255.255.255', '169.254.169.254', '100.100.100.200'];
  inside.push('168.63.129.16', '192.0.0.192', '224.0.0.1', '239.1.2.3', '240.0.0.1', '255.255.255.255');
  inside.push('::', '::1', '::7f00:1', '::ffff:1.2.3.4', '::ffff:0:102:304', 'fe80::1', 'fec0::1', 'ff02::1');
  inside.push('fd00:ec2::254', 'fd20:ce::254', '2001:0:1::1');
  inside.push('2002:7f00:1::1', '2002:a9fe:a9fe::', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::7f00:1');
  for (const address of inside) {
    t.equal(policy.verdict(address, 80), refused, address);
    t.equal(policy.mayPermit(address), false, address);
  }
  for (const address of ['8.8.8.8', '10.0.0.1', '2001:db8::1', '2002:808:808::1', '64:ff9b::808:808']) {
    t.equal(policy.verdict(address, 80), allowed, address);
  }
  const sixOnly = new PeerPolicy({ ...none, relayAllow: ['::/0'] });
  t.equal(sixOnly.verdict('64:ff9b::a00:1', 80), refused, 'the IPv4 address within is not allowed');
  t.end();
});

t.test('an exact address and port overrides, and is warned of', (t) => {
  const relayAllow = ['127.0.0.1:13480', '[::1]:9', '8.8.8.8:53', '127.0.0.1/32:7', '203.0.113.1:1-2'];
  const policy = new PeerPolicy({ ...none, relayAllow, ownAddresses: ['8.8.8.8'] });
  t.same(policy.overrides, ['127.0.0.1:13480', '[::1]:9', '8.8.8.8:53', '127.0.0.1/32:7']);
  t.equal(policy.verdict('127.0.0.1', 13480), exact);
  t.equal(policy.verdict('127.0.0.1', 13481), refused);
  t.equal(policy.verdict('::1', 9), exact);
  t.equal(policy.verdict('8.8.8.8', 54), refused);
  t.equal(policy.verdict('203.0.113.1', 2), allowed);
  t.end();
});

t.test('bad entries are refused with a reason', (t) => {
  const bad = [
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/8:0',
    '10.0.0.0/8:9-1',
    '10.0.0.0/8:65536',
    '::1:9:',
    '[::1',
    '::/129',
  ];
  for (const text of bad) {
    t.throws(() => new PeerPolicy({ ...none, relayAllow: [text] }), { code: 'bad-relay-allow' }, text);
  }
  t.throws(() => new PeerPolicy({ ...none, ownAddresses: ['x'] }), { code: 'bad-address' });
  t.end();
});
