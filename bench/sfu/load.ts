/** Publishers and subscribers of the SFU bench: real Node clients over UDP with real DTLS-SRTP. */
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import { join, type NodeCall } from '../../client/index.ts';
import { serveCommands } from '../harness/worker-process.ts';

const videoClockRate = 90_000;
/** A VP8 payload descriptor of one byte with the start bit, then a frame header whose P bit says key frame (RFC 7741). */
const keyFrameStart = Buffer.from([0x10, 0x00, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);

const calls: NodeCall[] = [];
let track: MediaStreamTrack | null = null;
let received = 0;

serveCommands({
  /** One publisher of video and `subscribers` others in one room; resolves when all get its packets. */
  async connect({ url, subscribers }: { url: string; subscribers: number }): Promise<void> {
    const publisher = await enter(url, 'publisher');
    track = new MediaStreamTrack({ kind: 'video' });
    await publisher.publish(track);
    for (let i = 0; i < subscribers; i++) {
      const call = await enter(url, `subscriber-${String(i)}`);
      const watch = ({ track: remote }: { track: MediaStreamTrack }): void => {
        remote.onReceiveRtp.subscribe(() => {
          received++;
        });
      };
      for (const event of call.tracks) watch(event);
      call.on('track', watch);
    }
  },
  /** Publishes packets of `bytes` payload bytes, evenly paced, and tells how many went out and came in. */
  async publish({ bytes, perSecond, durationMs }: Record<'bytes' | 'perSecond' | 'durationMs', number>) {
    const payload = Buffer.alloc(bytes, 7);
    keyFrameStart.copy(payload);
    received = 0;
    const total = Math.round((perSecond * durationMs) / 1000);
    const start = performance.now();
    let sent = 0;
    while (sent < total) {
      const due = Math.min(total, Math.ceil(((performance.now() - start) * perSecond) / 1000));
      for (; sent < due; sent++) {
        const header = new RtpHeader({
          payloadType: 96,
          sequenceNumber: nextSequence(),
          timestamp: Math.round((sent * videoClockRate) / perSecond) >>> 0,
          ssrc: 1,
          marker: true,
        });
        track?.writeRtp(new RtpPacket(header, payload));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await settled();
    return { sent, received };
  },
  async close(): Promise<void> {
    await Promise.all(calls.splice(0).map((call) => call.leave()));
  },
});

async function enter(url: string, name: string): Promise<NodeCall> {
  const call = await join(url, { room: 'bench', name, rungs: ['udp'], insecure: true });
  calls.push(call);
  return call;
}

let sequence = 0;
function nextSequence(): number {
  sequence = (sequence + 1) & 0xffff;
  return sequence;
}

/** Waits until nothing has come for 200 ms. */
async function settled(): Promise<void> {
  for (let before = -1; before !== received;) {
    before = received;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
