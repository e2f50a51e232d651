/**
 * A stock werift RTCPeerConnection, relay only, through the edge's TURN server over UDP, TCP and TLS: its own TURN client,
 * ICE, DTLS and SRTP. It publishes; a Node client of ours on UDP receives.
 */
import t from 'tap';
import type { Test } from 'tap';
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useOPUS, useSdesMid, useVP8 } from 'werift';
import { audioSlotMids } from '../../tunnel-protocol/index.ts';
import { packetsOf, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import { SignallingClient } from './signalling-client.ts';

t.setTimeout(testTimeoutMs);

const [mainAudio] = audioSlotMids;
const packetMs = 20;

/** The fixed shape of an offer: what is sent, six pictures, three sounds, data. */
function createPeer(signalling: SignallingClient, pattern: RegExp): { pc: RTCPeerConnection; audio: MediaStreamTrack } {
  const iceServers = signalling.iceServers.flatMap(({ urls, username, credential }) =>
    urls.filter((url) => pattern.test(url)).map((url) => ({ urls: url, username, credential })),
  );
  if (iceServers.length !== 1) throw new Error(`not one but ${String(iceServers.length)} servers`);
  const pc = new RTCPeerConnection({
    iceServers,
    iceTransportPolicy: 'relay',
    // The edge's certificate is self-signed.
    turnTlsOptions: { rejectUnauthorized: false },
    bundlePolicy: 'max-bundle',
    headerExtensions: { audio: [useSdesMid()], video: [useSdesMid()] },
    codecs: { audio: [useOPUS()], video: [useVP8()] },
  });
  const audio = new MediaStreamTrack({ kind: 'audio' });
  pc.addTransceiver(audio, { direction: 'sendonly' });
  for (let i = 0; i < 2; i++) pc.addTransceiver('video', { direction: 'sendonly' });
  for (let i = 0; i < 6; i++) pc.addTransceiver('video', { direction: 'recvonly' });
  for (let i = 0; i < 3; i++) pc.addTransceiver('audio', { direction: 'recvonly' });
  pc.createDataChannel('unused');
  return { pc, audio };
}

async function publishSound(t: Test, edgeUrl: string, room: string, pattern: RegExp): Promise<void> {
  const signalling = await SignallingClient.open(edgeUrl, room, 'Werift');
  const { pc, audio } = createPeer(signalling, pattern);
  t.teardown(async () => {
    await pc.close();
    signalling.close();
  });
  await signalling.request({ type: 'join' });
  await pc.setLocalDescription(await pc.createOffer());
  const reply = await signalling.request({ type: 'offer', sdp: pc.localDescription?.sdp ?? '' });
  if (reply.of !== 'offer') throw new Error('no answer');
  // It looks for the port of the data section, which was refused.
  await pc.setRemoteDescription({ type: 'answer', sdp: `${reply.sdp}a=sctp-port:5000\r\n` });
  // Its connection state waits for the data section as well, so DTLS tells.
  const [dtls] = pc.dtlsTransports;
  if (dtls === undefined) throw new Error('there is no DTLS transport');
  if (dtls.state !== 'connected') await dtls.onStateChange.watch((state) => state === 'connected', 20_000);
  await signalling.request({ type: 'publish', source: 'microphone', muted: false });
  let count = 0;
  const timer = setInterval(() => {
    count++;
    const header = new RtpHeader({ sequenceNumber: count & 0xffff, timestamp: count * 960, payloadType: 96 });
    audio.writeRtp(new RtpPacket(header, Buffer.of(0xf8, count >> 8, count & 0xff)));
  }, packetMs);
  t.teardown(() => {
    clearInterval(timer);
  });
}

t.test("werift's TURN client over each transport", async (t) => {
  const { edge, joined } = await withEdge(t, {}, { turn: true });
  const servers = [
    { rung: 'turn-udp', pattern: /^turn:.*=udp$/ },
    { rung: 'turn-tcp', pattern: /^turn:.*=tcp$/ },
    { rung: 'turn-tls', pattern: /^turns:/ },
  ] as const;
  for (const { rung, pattern } of servers) {
    const grace = await joined(edge.url, { room: rung, name: 'Grace', rungs: ['udp'] });
    await publishSound(t, edge.url, rung, pattern);
    await packetsOf(await trackOf(grace, mainAudio), 50);
    t.match(await edge.metrics(), new RegExp(`^sallyport_sessions\\{rung="${rung}"\\} 1$`, 'm'), rung);
  }
  t.match(await edge.metrics(), /^sallyport_turn_events_total\{event="dropped_malformed"\} 0$/m);
});
