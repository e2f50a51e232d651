// A page's peer connection of the fixed shape; the test does its signalling.
window.openPeer = async ({ camera, simulcast = true, screen = false }) => {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const stream = camera
    ? await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360, frameRate: 25 } })
    : null;
  pc.addTransceiver(stream?.getAudioTracks()[0] ?? 'audio', { direction: 'sendonly' });
  pc.addTransceiver(stream?.getVideoTracks()[0] ?? 'video', {
    direction: 'sendonly',
    sendEncodings: simulcast
      ? [
          { rid: 'h', maxBitrate: 900_000 },
          { rid: 'l', maxBitrate: 150_000, scaleResolutionDownBy: 2 },
        ]
      : [{ maxBitrate: 900_000 }],
  });
  let screenTrack = 'video';
  if (screen) {
    const canvas = document.createElement('canvas');
    canvas.width = 320;
    canvas.height = 180;
    const context = canvas.getContext('2d');
    let at = 0;
    setInterval(() => {
      context.fillStyle = `hsl(${(at += 7) % 360} 80% 50%)`;
      context.fillRect(0, 0, 320, 180);
    }, 100);
    screenTrack = canvas.captureStream(10).getVideoTracks()[0];
  }
  pc.addTransceiver(screenTrack, { direction: 'sendonly' });
  for (let i = 0; i < 6; i++) pc.addTransceiver('video', { direction: 'recvonly' });
  for (let i = 0; i < 3; i++) pc.addTransceiver('audio', { direction: 'recvonly' });
  pc.createDataChannel('control');
  const streams = {};
  pc.ontrack = ({ transceiver, streams: [first], track }) => {
    streams[transceiver.mid] = first.id;
    // Chromium decodes only what is rendered somewhere.
    const element = document.createElement(track.kind);
    element.srcObject = new MediaStream([track]);
    element.muted = true;
    document.body.append(element);
    void element.play();
  };
  window.peer = {
    pc,
    streams,
    async offer(options) {
      await pc.setLocalDescription(await pc.createOffer(options));
      return pc.localDescription.sdp;
    },
    async answer(sdp) {
      await pc.setRemoteDescription({ type: 'answer', sdp });
    },
    connected() {
      return new Promise((resolve, reject) => {
        const look = () => {
          if (pc.connectionState === 'connected') resolve();
          if (pc.connectionState === 'failed') reject(new Error('the connection failed'));
        };
        pc.addEventListener('connectionstatechange', look);
        look();
      });
    },
    async stats() {
      const result = { inbound: {}, outbound: [], pair: null };
      for (const report of (await pc.getStats()).values()) {
        if (report.type === 'inbound-rtp') result.inbound[report.mid] = report;
        if (report.type === 'outbound-rtp') result.outbound.push(report);
        if (report.type === 'candidate-pair' && report.nominated) result.pair = report;
      }
      return result;
    },
    close() {
      pc.close();
    },
  };
};
