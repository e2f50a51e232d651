import t from 'tap';
import { lane } from '../path.ts';
import { mediaLaneLimits, MediaLanes } from './media-lanes.ts';

function rtp(ssrc: number, length: number): Uint8Array {
  const packet = new Uint8Array(length);
  packet[0] = 0x80;
  packet[1] = 96;
  new DataView(packet.buffer).setUint32(8, ssrc);
  return packet;
}

t.test('sound before pictures, and a stream stays in its lane', (t) => {
  const lanes = new MediaLanes();
  t.equal(lanes.metaOf(rtp(1, 160)).lane, lane.audio);
  t.equal(lanes.metaOf(rtp(2, 1200)).lane, lane.video);
  t.equal(lanes.metaOf(rtp(2, 60)).lane, lane.video, 'the last packet of a frame does not overtake its first');
  t.equal(lanes.metaOf(rtp(1, 160)).lane, lane.audio);
  t.ok(lanes.metaOf(rtp(2, 1200)).discardable);
  for (let ssrc = 10; ssrc < 10 + mediaLaneLimits.maxStreams; ssrc++) lanes.metaOf(rtp(ssrc, 1200));
  t.equal(lanes.metaOf(rtp(2, 60)).lane, lane.audio, 'the oldest of too many streams is forgotten');
  t.end();
});

t.test('what is no media', (t) => {
  const lanes = new MediaLanes();
  const laneOf = (...bytes: number[]): number => lanes.metaOf(Uint8Array.from(bytes)).lane;
  t.equal(laneOf(0, 1), lane.transport, 'STUN');
  t.equal(laneOf(22), lane.transport, 'a DTLS handshake');
  t.equal(laneOf(0x80, 200), lane.transport, 'RTCP');
  t.equal(laneOf(23), lane.video, 'data channels');
  t.equal(lanes.metaOf(Uint8Array.of(23)).deadlineMs, 3000);
  t.equal(laneOf(0x45), lane.video, 'anything else may be lost');
  t.equal(laneOf(0x80, 96), lane.video, 'RTP without a whole header');
  t.equal(laneOf(), lane.video);
  t.end();
});
