/** Publishers and subscribers of the SFU bench: real clients over UDP with real DTLS-SRTP, their RTP taken over by `socket-tap.ts`. */
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useVP8 } from 'werift';
import { join, type NodeCall } from '../../client/index.ts';
import { collectGarbage } from '../harness/collect-garbage.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { Arrivals, type BlastOptions, type BlastResult } from './blast.ts';
import { endCapture, installTap, startCapture, takeOver } from './socket-tap.ts';

/** A VP8 payload descriptor of one byte with the start bit, then a frame header whose P bit says key frame (RFC 7741). */
const keyFrameStart = Buffer.from([0x10, 0x00, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
const deltaStart = Buffer.from([0x10, 0x01, 0x00]);
const continuation = Buffer.from([0x00, 0x01, 0x00]);
/** A frame of 1200-byte packets at 25 frames per second and 1.2 Mbit/s. */
const packetsPerFrame = 5;
const ticksPerFrame = 3600;

installTap();
const calls: NodeCall[] = [];
const peers = new Map<string, RTCPeerConnection>();
const arrivals = new Arrivals();
let track: MediaStreamTrack | null = null;
let write: (packet: RtpPacket) => void = () => undefined;
let heard = 0;
let sequence = 0;

serveCommands({
  /** `subscribers` people in one room, of whom another one publishes video; resolves when all get its packets. */
  async connect({ url, subscribers }: { url: string; subscribers: number }): Promise<void> {
    const publisher = await enter(url, 'publisher');
    const camera = new MediaStreamTrack({ kind: 'video' });
    track = camera;
    await publisher.publish(camera);
    write = (packet) => {
      camera.writeRtp(packet);
    };
    for (let i = 0; i < subscribers; i++) {
      const call = await enter(url, `subscriber-${String(i)}`);
      const watch = ({ track: remote }: { track: MediaStreamTrack }): void => {
        remote.onReceiveRtp.once(() => {
          heard++;
        });
      };
      for (const event of call.tracks) watch(event);
      call.on('track', watch);
    }
    await untilHeard(subscribers);
  },
  async close(): Promise<void> {
    await Promise.all(calls.splice(0).map((call) => call.leave()));
    for (const peer of peers.values()) await peer.close();
    peers.clear();
    heard = 0;
  },

  /** The other way, for plain werift: offers are made here and answered there. */
  async offerPublisher(): Promise<string> {
    const peer = newPeer('publisher');
    const camera = new MediaStreamTrack({ kind: 'video' });
    const { sender } = peer.addTransceiver(camera, { direction: 'sendonly' });
    write = (packet) => {
      void sender.sendRtp(packet);
    };
    await peer.setLocalDescription(await peer.createOffer());
    return peer.localDescription?.sdp ?? '';
  },
  async offerSubscriber(name: string): Promise<string> {
    const peer = newPeer(name);
    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.onTrack.subscribe((remote) => {
      remote.onReceiveRtp.once(() => {
        heard++;
      });
    });
    await peer.setLocalDescription(await peer.createOffer());
    return peer.localDescription?.sdp ?? '';
  },
  async answered({ name, sdp }: { name: string; sdp: string }): Promise<void> {
    const peer = peers.get(name);
    if (peer === undefined) throw new Error(`no peer ${name}`);
    await peer.setRemoteDescription({ type: 'answer', sdp });
    if (peer.connectionState !== 'connected') await peer.connectionStateChange.watch((state) => state === 'connected');
  },
  async heardBy(count: number): Promise<void> {
    await untilHeard(count);
  },

  async blast({ packets, bytes, ...options }: BlastOptions & { packets: number; bytes: number }): Promise<BlastResult> {
    takeOver((socket, sequenceNumber, ssrc) => {
      arrivals.packet(socket, sequenceNumber, ssrc);
    });
    startCapture();
    const payload = Buffer.alloc(bytes, 7);
    for (let i = 0; i < packets; i++) {
      writePacket(payload, i % packetsPerFrame === 0 ? deltaStart : continuation, i % packetsPerFrame);
      if (i % 64 === 0) await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
    const captured = endCapture();
    collectGarbage();
    return arrivals.blast(captured, options);
  },
});

function newPeer(name: string): RTCPeerConnection {
  const peer = new RTCPeerConnection({
    iceServers: [],
    iceUseIpv6: false,
    iceAdditionalHostAddresses: ['127.0.0.1'],
    bundlePolicy: 'max-bundle',
    codecs: { video: [useVP8({ payloadType: 96 })] },
  });
  peers.set(name, peer);
  return peer;
}

async function enter(url: string, name: string): Promise<NodeCall> {
  const call = await join(url, { room: 'bench', name, rungs: ['udp'], insecure: true });
  calls.push(call);
  return call;
}

/** Key frames until everybody has got one. */
async function untilHeard(count: number): Promise<void> {
  const payload = Buffer.alloc(100, 7);
  for (let tries = 0; heard < count; tries++) {
    if (tries === 600) throw new Error(`only ${String(heard)} of ${String(count)} got a packet`);
    writePacket(payload, keyFrameStart, packetsPerFrame - 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function writePacket(payload: Buffer, start: Buffer, place: number): void {
  start.copy(payload);
  sequence = (sequence + 1) & 0xffff;
  const header = new RtpHeader({
    payloadType: 96,
    sequenceNumber: sequence,
    timestamp: (Math.floor(performance.timeOrigin) + ticksPerFrame * frames(place)) >>> 0,
    ssrc: 1,
    marker: place === packetsPerFrame - 1,
  });
  write(new RtpPacket(header, Buffer.from(payload)));
}

let frameCount = 0;
function frames(place: number): number {
  if (place === 0 || track === null) frameCount++;
  return frameCount;
}
