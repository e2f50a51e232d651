import t from 'tap';
import {
  decodeRtcp,
  encodeNack,
  encodePli,
  encodeSenderReport,
  lane,
  ntpFromUnixMs,
  RtpView,
  u16,
} from '../tunnel-protocol/index.ts';
import { createDtlsIdentity } from './dtls/index.ts';
import { NativePeer } from './testing/native-peer.ts';
import { offered, rtpPacket, vp8 } from './testing/rtp.ts';
import { startSfu } from './testing/sfu-fixture.ts';
import type { SfuFixture } from './testing/sfu-fixture.ts';
import type { TunnelClient } from './testing/tunnel.ts';

const identity = await createDtlsIdentity();

interface Joined {
  readonly peer: NativePeer;
  readonly client: TunnelClient;
}

/** Joins and offers; not connected yet. */
async function joined(sfu: SfuFixture, name: string): Promise<Joined> {
  const client = sfu.open({ name });
  await client.must({ type: 'join' });
  const peer = new NativePeer(sfu.sfu, client, identity);
  await peer.offer();
  return { peer, client };
}

/** Connected on the tunnel that carries the control channel. */
async function connected(sfu: SfuFixture, name: string, publishes = false): Promise<Joined> {
  const { peer, client } = await joined(sfu, name);
  if (publishes) {
    await client.must({ type: 'publish', source: 'microphone', muted: false });
    await client.must({ type: 'publish', source: 'camera', muted: false });
  }
  if (client.path === null) throw new Error('not attached');
  peer.nominate(client.path);
  await peer.handshake();
  return { peer, client };
}

/** Sends one camera frame of layer h; `at` numbers it. */
function sendFrame(peer: NativePeer, at: number, keyFrame: boolean, rid = 'h', ssrc = 0x1111): void {
  peer.sendRtp(
    rtpPacket({
      ssrc,
      payloadType: offered.vp8,
      sequenceNumber: at,
      timestamp: at * 3000,
      payload: vp8(at, keyFrame, at),
      mid: '1',
      rid,
    }),
  );
}

function sendAudio(peer: NativePeer, at: number): void {
  const options = { ssrc: 0x2222, payloadType: offered.opus, sequenceNumber: at, timestamp: at * 960 };
  peer.sendRtp(rtpPacket({ ...options, payload: Uint8Array.of(0xf8, at), mid: '0', audioLevel: 30 }));
}

function parse(packet: Uint8Array | undefined): RtpView {
  const view = new RtpView();
  if (packet === undefined || view.parse(packet) !== null) throw new Error('not RTP');
  return view;
}

t.test('media on the tunnel, and what the path is told of it', async (t) => {
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const a = await connected(sfu, 'a', true);
  const b = await connected(sfu, 'b');
  t.strictSame(
    b.client.events.filter(({ type }) => type === 'rung'),
    [{ type: 'rung', rung: 'websocket', control: 'websocket' }],
  );
  t.strictSame([...sfu.sfu.sessionsByRung()], [['websocket', 2]]);

  sendFrame(a.peer, 10, false);
  t.equal(b.peer.rtp.length, 0, 'nothing before a key frame');
  const [pli] = decodeRtcp(a.peer.rtcp.at(-1)?.packet ?? new Uint8Array(0)).slice(-1);
  t.match(pli, { type: 'pli', mediaSsrc: 0x1111 });
  sendFrame(a.peer, 11, true);
  sendFrame(a.peer, 12, false);
  sendAudio(a.peer, 5);
  const [key, delta, audio] = b.peer.rtp;
  t.match(key?.meta, { lane: lane.video, frameId: 1, keyFrame: true, discardable: false, deadlineMs: 600 });
  t.match(delta?.meta, { lane: lane.video, frameId: 2, keyFrame: false, discardable: false, deadlineMs: 600 });
  t.strictSame(audio?.meta, { lane: lane.audio, frameId: 0, keyFrame: false, discardable: true, deadlineMs: 200 });
  t.equal(parse(key?.packet).payloadType, offered.vp8);
  t.equal(parse(audio?.packet).payloadType, offered.opus);
  t.equal(audio?.packet.includes(0x80 | 30), true, 'the audio level passes');
});

t.test('a rung change is a nomination: no handshake, no loss, both ways', async (t) => {
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const a = await connected(sfu, 'a', true);
  const b = await connected(sfu, 'b');
  const udp = b.peer.openPath('udp');
  let at = 0;
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) sendFrame(a.peer, ++at, at === 1);
  };
  send(10);
  b.peer.check(udp);
  send(10);
  t.ok(
    b.peer.rtp.every(({ path }) => path.kind === 'websocket'),
    'a valid path is not yet the chosen one',
  );
  b.peer.nominate(udp);
  send(10);
  t.ok(b.peer.rtp.slice(20).every(({ path }) => path === udp));
  t.strictSame([...sfu.sfu.sessionsByRung()].sort(), [
    ['udp', 1],
    ['websocket', 1],
  ]);
  const tunnel = b.client.path;
  if (tunnel === null) throw new Error('not attached');
  b.peer.nominate(tunnel);
  send(10);
  t.equal(b.peer.rtp.length, 40);
  const first = u16(b.peer.rtp[0]?.packet ?? new Uint8Array(4), 2);
  t.strictSame(
    b.peer.rtp.map(({ packet }) => u16(packet, 2)),
    b.peer.rtp.map((_, i) => (first + i) & 0xffff),
  );
  t.equal(sfu.sfu.counters['dtls_connected'], 2);
  t.strictSame(
    b.client.events.flatMap((event) => (event.type === 'rung' ? [event.rung] : [])),
    ['websocket', 'udp', 'websocket'],
  );

  // What a publisher sends on a path that is not nominated is taken, too.
  const other = a.peer.openPath('udp');
  a.peer.check(other);
  const packet = rtpPacket({
    ssrc: 0x1111,
    payloadType: offered.vp8,
    sequenceNumber: ++at,
    timestamp: at * 3000,
    payload: vp8(at, false, at),
  });
  a.peer.sendRtp(packet, other);
  t.equal(b.peer.rtp.length, 41);
});

t.test('the tunnel dies, media on UDP keeps the session; then that dies, too', async (t) => {
  let skipped = 0;
  const sfu = await startSfu({ sessionGraceMs: 5000 }, () => performance.now() + skipped);
  t.teardown(() => sfu.close());
  const a = await connected(sfu, 'a', true);
  const b = await connected(sfu, 'b');
  const udp = b.peer.openPath('udp');
  b.peer.nominate(udp);
  b.client.disconnect();
  // Lets time pass for everybody: longer than consent lasts, with those who are alive showing it.
  const pass = async (ms: number, alive: readonly (() => void)[]): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 10_000) {
      skipped += Math.min(10_000, ms - passed);
      for (const sign of alive) sign();
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
  };
  const signOfA = (): void => {
    a.client.endpoint.handleTimeout(performance.now() + skipped);
    a.client.flush();
    if (a.client.path !== null) a.peer.check(a.client.path);
  };
  await pass(60_000, [
    signOfA,
    () => {
      b.peer.check(udp);
    },
  ]);
  t.equal(sfu.sfu.hasSession('session-b'), true);
  sendFrame(a.peer, 1, true);
  t.equal(b.peer.rtp.at(-1)?.path, udp);

  await pass(32_000, [signOfA]);
  while (sfu.sfu.counters['ice_consent_lost'] === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(sfu.sfu.counters['ice_consent_lost'], 1);
  t.equal(sfu.sfu.hasSession('session-b'), true, 'the grace begins');
  const before = b.peer.rtp.length;
  sendFrame(a.peer, 2, true);
  t.equal(b.peer.rtp.length, before, 'nothing is sent without consent');
  await pass(5000, [signOfA]);
  await a.client.event('participant-left');
  t.equal(sfu.sfu.hasSession('session-b'), false);
});

t.test('the tunnel dies with the media on it; the next connection takes both up', async (t) => {
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const a = await connected(sfu, 'a', true);
  const b = await connected(sfu, 'b');
  sendFrame(a.peer, 1, true);
  b.client.disconnect();
  sendFrame(a.peer, 2, false);
  t.equal(b.peer.rtp.length, 1);
  t.equal(sfu.sfu.counters['rtp_unsent'], 0, 'slots without a path are not served');
  b.peer.nominate(b.client.connect('session-b'));
  sendFrame(a.peer, 3, false);
  t.equal(b.peer.rtp.length, 1, 'it goes on with a key frame');
  sendFrame(a.peer, 4, true);
  t.equal(b.peer.rtp.length, 2);
  t.equal(sfu.sfu.counters['dtls_connected'], 2);
});

t.test('a path that was valid, and never nominated, keeps no session when it is gone', async (t) => {
  let skipped = 0;
  const sfu = await startSfu({ sessionGraceMs: 5000 }, () => performance.now() + skipped);
  t.teardown(() => sfu.close());
  const { peer, client } = await joined(sfu, 'a');
  if (client.path === null) throw new Error('not attached');
  peer.check(client.path);
  client.disconnect();
  skipped += 5000;
  while (sfu.sfu.counters['sessions_expired'] === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(sfu.sfu.hasSession('session-a'), false);
});

t.test('ICE restarts while media flows', async (t) => {
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const a = await connected(sfu, 'a', true);
  const b = await connected(sfu, 'b');
  sendFrame(a.peer, 1, true);
  await b.peer.offer({ restart: true });
  sendFrame(a.peer, 2, false);
  t.equal(b.peer.rtp.length, 2, 'on the old path, until the new credentials nominate');
  const udp = b.peer.openPath('udp');
  b.peer.nominate(udp);
  sendFrame(a.peer, 3, false);
  t.equal(b.peer.rtp[2]?.path, udp);
  t.equal(sfu.sfu.counters['ice_restarts'], 1);
});

t.test('a client whose certificate is not that of its offer gets no further', async (t) => {
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const { peer, client } = await joined(sfu, 'a');
  await peer.offer({ fingerprint: `00:${identity.fingerprint.slice(3)}` });
  if (client.path === null) throw new Error('not attached');
  peer.nominate(client.path);
  const handshake = peer.handshake();
  const refused = async (): Promise<void> => {
    while (sfu.sfu.counters['dtls_refused_fingerprint'] === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await Promise.race([handshake, refused()]);
  peer.close();
  t.equal(sfu.sfu.counters['transports_connected'], 0);
  const again = new NativePeer(sfu.sfu, client, identity);
  await again.offer();
  again.nominate(client.path);
  await again.handshake();
  t.equal(sfu.sfu.counters['transports_connected'], 1, 'and may offer again');
});

t.test('requests of subscribers: key frames, and packets again', async (t) => {
  let now = 1000;
  const sfu = await startSfu({}, () => now);
  t.teardown(() => sfu.close());
  const a = await connected(sfu, 'a', true);
  const b = await connected(sfu, 'b');
  b.peer.nominate(b.peer.openPath('udp'));
  for (let at = 1; at <= 5; at++) sendFrame(a.peer, at, at === 1);
  const original = b.peer.rtp[2]?.packet;
  const view = parse(original);
  const { ssrc, sequenceNumber } = view;
  now += 30;
  b.peer.sendRtcp(encodeNack(1, ssrc, [sequenceNumber]));
  const repeated = parse(b.peer.rtp.at(-1)?.packet);
  t.equal(b.peer.rtp.length, 6);
  t.equal(repeated.payloadType, offered.vp8Rtx);
  t.not(repeated.ssrc, ssrc);
  t.match(b.peer.rtp.at(-1)?.meta, { lane: lane.video, deadlineMs: 300 });
  t.equal(u16(repeated.packet, repeated.payloadOffset), sequenceNumber);
  t.strictSame(
    repeated.packet.subarray(repeated.payloadOffset + 2),
    original?.subarray(view.payloadOffset, view.payloadOffset + view.payloadLength),
  );
  b.peer.sendRtcp(encodeNack(1, ssrc, [sequenceNumber]));
  t.equal(b.peer.rtp.length, 6, 'not again at once');

  const asked = (): number => sfu.sfu.counters['key_frames_requested'] ?? 0;
  const before = asked();
  b.peer.sendRtcp(encodePli(1, ssrc));
  b.peer.sendRtcp(encodePli(1, ssrc));
  t.ok(asked() - before <= 1, 'throttled');
  // Not earlier than it may, but then by itself.
  while (asked() === before) {
    now += 100;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.ok(asked() > before);
  b.peer.sendRtcp(encodePli(1, 12345));
  t.equal(sfu.sfu.counters['key_frame_requests_in'], 3);
});

t.test('reports: to the publisher what came, to the subscriber when it was', async (t) => {
  let stopped: number | null = null;
  const now = (): number => stopped ?? performance.now();
  const sfu = await startSfu({}, now);
  t.teardown(() => sfu.close());
  const a = await connected(sfu, 'a', true);
  const b = await connected(sfu, 'b');
  // The publisher's clock is far from ours; at its second 1000, video is at 90000 and audio at 48000.
  const report = (ssrc: number, rtpTimestamp: number): Uint8Array =>
    encodeSenderReport({ ssrc, ntp: ntpFromUnixMs(1_000_000), rtpTimestamp, packetCount: 1, octetCount: 1 }, []);
  sendFrame(a.peer, 1, true);
  sendAudio(a.peer, 1);
  const sent = performance.now();
  stopped = sent;
  a.peer.sendRtcp(report(0x1111, 90_000));
  a.peer.sendRtcp(report(0x2222, 48_000));
  stopped = null;
  const reports = (): Map<number, { ms: number; rtpTimestamp: number }> => {
    const found = new Map<number, { ms: number; rtpTimestamp: number }>();
    for (const { packet } of b.peer.rtcp) {
      const packets = decodeRtcp(packet);
      for (const one of typeof packets === 'string' ? [] : packets) {
        if (one.type !== 'sender-report') continue;
        const ms = (one.ntp.seconds - 2_208_988_800 + one.ntp.fraction / 2 ** 32) * 1000;
        found.set(one.ssrc, { ms, rtpTimestamp: one.rtpTimestamp });
      }
    }
    return found;
  };
  while (reports().size < 2) await b.peer.next();
  const [video, audio] = b.peer.rtp.map(({ packet }) => parse(packet).ssrc);
  const timestamps = b.peer.rtp.map(({ packet }) => u16(packet, 4) * 65_536 + u16(packet, 6));
  // Both streams, at the moment when the publisher's clock showed second 1000, in seconds of media since their packet.
  const mediaSeconds = (ssrc: number | undefined, timestamp: number | undefined, rate: number): number => {
    const { ms, rtpTimestamp } = reports().get(ssrc ?? 0) ?? { ms: 0, rtpTimestamp: 0 };
    return ((rtpTimestamp - (timestamp ?? 0)) | 0) / rate - (ms - sent) / 1000;
  };
  t.ok(Math.abs(mediaSeconds(video, timestamps[0], 90_000) - (90_000 - 3000) / 90_000) < 0.02);
  t.ok(Math.abs(mediaSeconds(audio, timestamps[1], 48_000) - (48_000 - 960) / 48_000) < 0.02);

  const told = (): string[] =>
    a.peer.rtcp.flatMap(({ packet }) => {
      const packets = decodeRtcp(packet);
      return typeof packets === 'string' ? [] : packets.map(({ type }) => type);
    });
  while (!told().includes('remb')) await a.peer.next();
  const full = a.peer.rtcp
    .map(({ packet }) => decodeRtcp(packet))
    .find(
      (packets) =>
        packets.length === 3 &&
        packets.at(2) !== undefined &&
        typeof packets !== 'string' &&
        packets[2]?.type === 'remb',
    );
  t.match(full, [
    { type: 'receiver-report', reports: [{ cumulativeLost: 0 }, { cumulativeLost: 0 }] },
    { type: 'source-description' },
    { type: 'remb', bitrate: 2_500_000 - (2_500_000 % 16), ssrcs: [0x1111] },
  ]);
});

t.test('datagrams of nobody, and too early', async (t) => {
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const { peer, client } = await joined(sfu, 'a');
  const path = peer.openPath('udp');
  sfu.sfu.receive(path, Uint8Array.of(22, 254, 255));
  sfu.sfu.receive(path, Uint8Array.of(0x80, 96, 0, 0));
  sfu.sfu.receive(path, Uint8Array.of(0xf0));
  sfu.sfu.receive(path, new Uint8Array(0));
  sfu.sfu.receive(path, Uint8Array.of(64, 0));
  t.equal(sfu.sfu.counters['datagrams_unowned'], 2);
  t.equal(sfu.sfu.counters['control_unattached'], 1);
  t.equal(sfu.sfu.counters['datagrams_unknown'], 2);
  t.equal(path.owner, null);
  if (client.path === null) throw new Error('not attached');
  peer.nominate(client.path);
  sfu.sfu.receive(client.path, Uint8Array.of(0x80, 96, 0, 0));
  t.equal(sfu.sfu.counters['datagrams_early'], 1);
});
