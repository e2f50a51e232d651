/** Test media of a doctor: one end sends packets with the time in them, the other tells what came, when, and how old. */
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import type { ClientClock } from '../../clock.ts';
import type { NodeCall } from '../node-call.ts';
import { payloadTypes } from '../sdp-offer.ts';

/** Like Opus: every 20 ms, but as much in bytes as a picture. 1.2 Mbit/s in packets that fit every path. */
const intervalMs = 20;
const packetsAtOnce = 3;
const mostAtOnce = 12;
const payloadBytes = 1000;
const bitsPerPacket = payloadBytes * 8;

export interface ProbeResult {
  readonly latencyMs: number | null;
  readonly bitsPerSecond: number | null;
  readonly lossFraction: number | null;
}

/** Sends for `sendMs`, and waits for what is still on its way until `settleMs` later. Both ends are left as they are. */
export async function probeMedia(
  sender: NodeCall,
  receiver: NodeCall,
  clock: ClientClock,
  { sendMs, settleMs, signal }: { readonly sendMs: number; readonly settleMs: number; readonly signal: AbortSignal },
): Promise<ProbeResult> {
  const ages: number[] = [];
  let firstAt = 0;
  let lastAt = 0;
  const heard = (payload: Buffer): void => {
    if (payload.length < payloadBytes) return;
    const now = clock.now();
    ages.push(now - payload.readDoubleBE(0));
    firstAt ||= now;
    lastAt = now;
  };
  const listen = ({ track }: { readonly track: MediaStreamTrack }): void => {
    track.onReceiveRtp.subscribe(({ payload }) => {
      heard(payload);
    });
  };
  receiver.tracks.forEach(listen);
  const stopListening = receiver.on('track', listen);
  const track = new MediaStreamTrack({ kind: 'audio' });
  const published = await sender.publish(track);
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.setTimer(resolve, ms);
    });
  let sent = 0;
  const beganAt = clock.now();
  for (let elapsed = 0; elapsed < sendMs && !signal.aborted; elapsed = clock.now() - beganAt) {
    // A busy machine's timers are late; what they missed is made up, but not all at once.
    const due = Math.min(((elapsed / intervalMs) | 0) * packetsAtOnce + packetsAtOnce, sent + mostAtOnce);
    while (sent < due) track.writeRtp(probePacket(sent++, clock.now()));
    await pause(intervalMs);
  }
  const settledAt = clock.now() + settleMs;
  while (ages.length < sent && clock.now() < settledAt && !signal.aborted) await pause(intervalMs);
  stopListening();
  void published.unpublish().catch(() => undefined);
  if (ages.length < 2) return { latencyMs: null, bitsPerSecond: null, lossFraction: sent === 0 ? null : 1 };
  const sorted = ages.toSorted((a, b) => a - b);
  const spanMs = Math.max(lastAt - firstAt, intervalMs);
  return {
    latencyMs: sorted[sorted.length >> 1] ?? null,
    bitsPerSecond: Math.round(((ages.length - 1) * bitsPerPacket * 1000) / spanMs),
    // What was sent before the other end was shown it is no loss of the path.
    lossFraction: Math.max(0, 1 - ages.length / sent),
  };
}

function probePacket(number: number, now: number): RtpPacket {
  const payload = Buffer.alloc(payloadBytes);
  payload.writeDoubleBE(now, 0);
  const header = new RtpHeader({
    payloadType: payloadTypes.audio,
    sequenceNumber: number & 0xffff,
    timestamp: (number * 320) >>> 0,
    marker: false,
  });
  return new RtpPacket(header, payload);
}
