/** What the SFU is compared with: werift's own peer connections, and `onReceiveRtp` → `sendRtp`. */
import { RTCPeerConnection, useVP8, type RTCRtpSender } from 'werift';
import { startCpuMeter, type CpuReading } from '../harness/cpu-meter.ts';
import { serveCommands } from '../harness/worker-process.ts';

const senders: RTCRtpSender[] = [];
const peers: RTCPeerConnection[] = [];
let endMeter: (() => CpuReading) | null = null;

serveCommands({
  async publisher(sdp: string): Promise<string> {
    const peer = newPeer();
    peer.onTrack.subscribe((track) => {
      track.onReceiveRtp.subscribe((packet) => {
        for (const sender of senders) void sender.sendRtp(packet);
      });
    });
    return answer(peer, sdp);
  },
  async subscriber(sdp: string): Promise<string> {
    const peer = newPeer();
    await peer.setRemoteDescription({ type: 'offer', sdp });
    const transceiver = peer.getTransceivers()[0];
    if (transceiver === undefined) throw new Error('no transceiver');
    transceiver.setDirection('sendonly');
    senders.push(transceiver.sender);
    await peer.setLocalDescription(await peer.createAnswer());
    return peer.localDescription?.sdp ?? '';
  },
  begin(): void {
    endMeter = startCpuMeter();
  },
  end(): CpuReading {
    if (endMeter === null) throw new Error('end without begin');
    return endMeter();
  },
});

function newPeer(): RTCPeerConnection {
  const peer = new RTCPeerConnection({
    iceServers: [],
    iceUseIpv6: false,
    iceAdditionalHostAddresses: ['127.0.0.1'],
    bundlePolicy: 'max-bundle',
    codecs: { video: [useVP8({ payloadType: 96 })] },
  });
  peers.push(peer);
  return peer;
}

async function answer(peer: RTCPeerConnection, sdp: string): Promise<string> {
  await peer.setRemoteDescription({ type: 'offer', sdp });
  await peer.setLocalDescription(await peer.createAnswer());
  return peer.localDescription?.sdp ?? '';
}
