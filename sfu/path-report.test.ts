/** What the SFU tells a client of its media path. */
import t from 'tap';
import type { Test } from 'tap';
import type { PathReport } from '../tunnel-protocol/index.ts';
import { createDtlsIdentity } from './dtls/index.ts';
import { NativePeer } from './testing/native-peer.ts';
import { offered, rtpPacket } from './testing/rtp.ts';
import { startSfu } from './testing/sfu-fixture.ts';
import type { SfuFixture } from './testing/sfu-fixture.ts';
import type { TunnelClient } from './testing/tunnel.ts';

const identity = await createDtlsIdentity();
const ofClient: PathReport = { nomination: 2, time: 0, sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 };

interface Fixture {
  readonly sfu: SfuFixture;
  readonly clock: { now: number };
  readonly client: TunnelClient;
  readonly peer: NativePeer;
  /** The answers since the last call. */
  readonly reports: () => PathReport[];
  readonly ask: (wantsAnswer?: boolean) => void;
  readonly sendAudio: () => void;
}

/** A publisher, connected on the tunnel with nomination 1. */
async function connected(t: Test): Promise<Fixture> {
  const clock = { now: 5000 };
  const sfu = await startSfu({}, () => clock.now);
  t.teardown(() => sfu.close());
  const client = sfu.open({ name: 'a' });
  await client.must({ type: 'join' });
  const peer = new NativePeer(sfu.sfu, client, identity);
  await peer.offer();
  await client.must({ type: 'publish', source: 'microphone', muted: false });
  if (client.path === null) throw new Error('not attached');
  peer.nominate(client.path);
  await peer.handshake();
  let at = 0;
  return {
    sfu,
    clock,
    client,
    peer,
    reports: () => client.controlEvents.splice(0).flatMap((event) => (event.type === 'report' ? [event.report] : [])),
    ask: (wantsAnswer = true) => {
      client.endpoint.report(ofClient, wantsAnswer);
      client.flush();
    },
    sendAudio: () => {
      at += 1;
      const header = { ssrc: 0x2222, payloadType: offered.opus, sequenceNumber: at, timestamp: at * 960, mid: '0' };
      peer.sendRtp(rtpPacket({ ...header, payload: Uint8Array.of(0xf8, at) }));
    },
  };
}

t.test('an answer to who asks: what came and went on the nominated path', async (t) => {
  const { clock, client, peer, reports, ask, sendAudio } = await connected(t);
  ask();
  t.same(reports(), [], 'the control channel speaks for itself');
  const udp = peer.openPath('udp');
  peer.check(udp);
  peer.nominate(udp);
  ask();
  const [before] = reports();
  t.match(before, { nomination: 2, time: 5000 });
  sendAudio();
  sendAudio();
  const tunnel = client.path;
  if (tunnel === null) throw new Error('not attached');
  clock.now += 250;
  ask();
  const [after] = reports();
  t.match(after, { nomination: 2, time: 5250 });
  t.equal((after?.received ?? 0) - (before?.received ?? 0), 2);
  const bytes = (after?.receivedBytes ?? 0) - (before?.receivedBytes ?? 0);
  t.ok(bytes > 60 && bytes < 200, `${String(bytes)} bytes`);
  peer.nominate(tunnel);
  clock.now += 250;
  ask();
  t.same(reports(), []);
});

t.test('what comes on another path than the nominated one does not speak for that', async (t) => {
  const { clock, peer, reports, ask, sendAudio } = await connected(t);
  const [udp, other] = [peer.openPath('udp'), peer.openPath('ice-tcp')];
  peer.nominate(other);
  peer.nominate(udp);
  peer.check(other);
  ask();
  const [before] = reports();
  peer.nominate(other);
  clock.now += 250;
  ask();
  t.equal(reports()[0]?.received, before?.received);
  sendAudio();
  clock.now += 250;
  ask();
  t.match(reports(), [{ nomination: 4, received: (before?.received ?? 0) + 1 }]);
});

t.test(
  'who asks too often is not answered, who does not ask neither, and nobody without a counted nomination',
  async (t) => {
    const { sfu, clock, client, peer, reports, ask } = await connected(t);
    peer.nominate(peer.openPath('udp'));
    for (let i = 0; i < 1000; i++) ask();
    t.equal(reports().length, 1);
    for (let i = 0; i < 100; i++) {
      clock.now += 10;
      ask();
    }
    t.equal(reports().length, 10);
    clock.now += 1000;
    ask(false);
    t.same(reports(), []);
    t.equal(sfu.sfu.counters['reports_in'], 1101);
    t.equal(sfu.sfu.counters['reports_out'], 11);
    t.ok(client.path, 'and the session goes on');
  },
);
