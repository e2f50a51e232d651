/**
 * A peer that is not of this project, in a process of its own: werift's whole RTCPeerConnection. Answers offers, and sends
 * back every message of a data channel and every RTP packet, as loopback tests of calls do. Its parent sends `{ port, address, sdp }` and gets `{ sdp }`; the
 * port is that one or the next.
 */
import { MediaStreamTrack, RTCPeerConnection, useH264, useOPUS, useVP8 } from 'werift';

interface Offer {
  readonly address: string;
  readonly port: number;
  readonly sdp: string;
}

process.on('message', (offer: Offer) => {
  void answer(offer);
});
process.on('disconnect', () => {
  process.exit(0);
});

async function answer({ address, port, sdp }: Offer): Promise<void> {
  const connection = new RTCPeerConnection({
    iceUseIpv6: false,
    iceAdditionalHostAddresses: [address],
    icePortRange: [port, port + 1],
    iceServers: [],
    bundlePolicy: 'max-bundle',
    codecs: { audio: [useOPUS()], video: [useVP8(), useH264()] },
  });
  connection.onDataChannel.subscribe((channel) => {
    channel.onMessage.subscribe((data) => {
      channel.send(data);
    });
  });
  connection.onTransceiverAdded.subscribe((transceiver) => {
    const echo = new MediaStreamTrack({ kind: transceiver.kind });
    transceiver.setDirection('sendrecv');
    void transceiver.sender.replaceTrack(echo);
    transceiver.onTrack.subscribe((track) => {
      transceiver.sender.onPictureLossIndication.subscribe(() => {
        if (track.ssrc !== undefined) void transceiver.receiver.sendRtcpPLI(track.ssrc);
      });
      track.onReceiveRtp.subscribe((packet) => {
        echo.writeRtp(packet);
      });
    });
  });
  await connection.setRemoteDescription({ type: 'offer', sdp });
  await connection.setLocalDescription(await connection.createAnswer());
  process.send?.({ sdp: connection.localDescription?.sdp ?? '' });
}
