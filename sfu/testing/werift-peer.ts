/** A client made of werift's whole stack, which shares nothing with this side but the standards. */
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useOPUS, useSdesMid, useVP8 } from 'werift';
import type { TunnelClient } from './tunnel.ts';

export interface WeriftPeer {
  /** Received packets by the mid of the slot, in order of arrival. */
  readonly received: ReadonlyMap<string, RtpPacket[]>;
  /** Called after each received packet. */
  onRtp: ((mid: string) => void) | null;
  /** Sends one packet of the microphone or camera. */
  send(kind: 'audio' | 'video', sequenceNumber: number, timestamp: number, payload: Uint8Array, marker: boolean): void;
  close(): Promise<void>;
}

/** Offers, takes the answer, and resolves when DTLS is up. */
export async function connectWerift(client: TunnelClient): Promise<WeriftPeer> {
  const nack = [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }];
  const pc = new RTCPeerConnection({
    iceServers: [],
    bundlePolicy: 'max-bundle',
    iceUseIpv6: false,
    iceAdditionalHostAddresses: ['127.0.0.1'],
    headerExtensions: { audio: [useSdesMid()], video: [useSdesMid()] },
    codecs: { audio: [useOPUS()], video: [useVP8({ rtcpFeedback: nack })] },
  });
  const audio = new MediaStreamTrack({ kind: 'audio' });
  const video = new MediaStreamTrack({ kind: 'video' });
  pc.addTransceiver(audio, { direction: 'sendonly' });
  pc.addTransceiver(video, { direction: 'sendonly' });
  pc.addTransceiver('video', { direction: 'sendonly' });
  for (let i = 0; i < 6; i++) pc.addTransceiver('video', { direction: 'recvonly' });
  for (let i = 0; i < 3; i++) pc.addTransceiver('audio', { direction: 'recvonly' });
  pc.createDataChannel('unused');

  const received = new Map<string, RtpPacket[]>();
  const peer: WeriftPeer = {
    received,
    onRtp: null,
    send: (kind, sequenceNumber, timestamp, payload, marker) => {
      const header = new RtpHeader({ sequenceNumber, timestamp, marker, payloadType: kind === 'audio' ? 96 : 97 });
      (kind === 'audio' ? audio : video).writeRtp(new RtpPacket(header, Buffer.from(payload)));
    },
    close: () => pc.close(),
  };
  for (const transceiver of pc.getTransceivers()) {
    transceiver.onTrack.subscribe((track) => {
      track.onReceiveRtp.subscribe((packet) => {
        const mid = transceiver.mid ?? '';
        received.set(mid, [...(received.get(mid) ?? []), packet]);
        peer.onRtp?.(mid);
      });
    });
  }
  await pc.setLocalDescription(await pc.createOffer());
  const { sdp } = await client.must({ type: 'offer', sdp: pc.localDescription?.sdp ?? '' });
  // It looks for the port of the data section, also where that was refused.
  const answer = sdp.includes('a=sctp-port:') ? sdp : `${sdp}a=sctp-port:5000\r\n`;
  await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  const [dtls] = pc.dtlsTransports;
  if (dtls === undefined) throw new Error('there is no DTLS transport');
  if (dtls.state !== 'connected') await dtls.onStateChange.watch((state) => state === 'connected', 10_000);
  return peer;
}
