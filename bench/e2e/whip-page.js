/**
 * Runs in a page: what any web application does to publish by WHIP, with the browser's own peer connection and fetch alone, and
 * to see whether a recording plays. The compiler does not see this file.
 */
globalThis.whip = (() => {
  const publishers = new Map();
  const media = navigator.mediaDevices.getUserMedia({
    audio: true,
    video: { width: 640, height: 360, frameRate: 10 },
  });

  /** Offers one codec alone. Resolves when ICE and DTLS are up. */
  async function publish({ room, codec, simulcast }) {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const stream = (await media).clone();
    for (const track of stream.getTracks()) {
      const isVideo = track.kind === 'video';
      const small = { scaleResolutionDownBy: 2 };
      const sendEncodings = !isVideo ? [{}] : simulcast ? [{ rid: 'l', ...small }, { rid: 'h' }] : [small];
      const transceiver = peer.addTransceiver(track, { direction: 'sendonly', sendEncodings });
      if (!isVideo) continue;
      const { codecs } = RTCRtpSender.getCapabilities('video');
      transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`));
    }
    await peer.setLocalDescription();
    const answer = await fetch(`/whip/${room}?name=${room}`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: peer.localDescription.sdp,
    });
    const sdp = await answer.text();
    if (answer.status !== 201) throw new Error(`${answer.status} ${sdp}`);
    publishers.set(room, { peer, url: answer.headers.get('location'), etag: answer.headers.get('etag') });
    await peer.setRemoteDescription({ type: 'answer', sdp });
    await isConnected(peer);
    return { etag: answer.headers.get('etag'), link: answer.headers.get('link') };
  }

  function isConnected(peer) {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (peer.connectionState === 'connected') resolve();
        if (peer.connectionState === 'failed') reject(new Error('the connection failed'));
      };
      peer.addEventListener('connectionstatechange', look);
      look();
    });
  }

  /** RFC 9725 section 4.3.2. Resolves with the answer when media goes by the new ICE session. */
  async function restart(room) {
    const publisher = publishers.get(room);
    const { peer, url } = publisher;
    const credential = (sdp, name) => new RegExp(`^a=${name}:(.+)$`, 'm').exec(sdp)[1].trim();
    peer.restartIce();
    await peer.setLocalDescription();
    const offer = peer.localDescription.sdp;
    const [section] = /^m=.*$/m.exec(offer);
    const own = ['ice-ufrag', 'ice-pwd'].map((name) => `a=${name}:${credential(offer, name)}`);
    const answer = await fetch(url, {
      method: 'PATCH',
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' },
      body: [...own, section.trim(), `a=mid:${credential(offer, 'mid')}`, ''].join('\r\n'),
    });
    const fragment = await answer.text();
    if (answer.status !== 200) throw new Error(`${answer.status} ${fragment}`);
    const ufrag = credential(fragment, 'ice-ufrag');
    const sdp = peer.remoteDescription.sdp
      .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${ufrag}`)
      .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${credential(fragment, 'ice-pwd')}`);
    await peer.setRemoteDescription({ type: 'answer', sdp });
    const before = publisher.etag;
    publisher.etag = answer.headers.get('etag');
    await until(async () => {
      const stats = [...(await peer.getStats()).values()];
      const transport = stats.find(({ type }) => type === 'transport');
      return (
        transport.iceLocalUsernameFragment === credential(offer, 'ice-ufrag') && transport.iceState === 'connected'
      );
    });
    return { before, etag: publisher.etag, negotiated: peer.signalingState };
  }

  async function until(isSo) {
    while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  /** Whether the large layer of simulcast is sent. */
  async function sendLarge(room, active) {
    const sender = publishers
      .get(room)
      .peer.getSenders()
      .find(({ track }) => track.kind === 'video');
    const parameters = sender.getParameters();
    parameters.encodings.find(({ rid }) => rid === 'h').active = active;
    await sender.setParameters(parameters);
  }

  async function end(room) {
    const { peer, url } = publishers.get(room);
    const { status } = await fetch(url, { method: 'DELETE' });
    peer.close();
    return status;
  }

  /** Plays from `from` seconds on for a second; resolves with what was seen. */
  async function play(url, from) {
    const video = document.createElement('video');
    video.muted = true;
    document.body.append(video);
    const failed = new Promise((resolve, reject) => {
      video.addEventListener('error', () => reject(new Error(video.error.message)));
    });
    const once = (name) => Promise.race([failed, new Promise((resolve) => video.addEventListener(name, resolve))]);
    video.src = url;
    await once('loadedmetadata');
    if (from > 0) {
      video.currentTime = from;
      await once('seeked');
    }
    void video.play();
    await until(() => video.ended || video.currentTime > from + 1 || video.error !== null);
    const frames = video.getVideoPlaybackQuality().totalVideoFrames;
    const seen = { width: video.videoWidth, height: video.videoHeight, duration: video.duration, frames };
    video.remove();
    return { ...seen, error: video.error?.message ?? null };
  }

  return { publish, restart, sendLarge, end, play };
})();
