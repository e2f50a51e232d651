/**
 * Runs in a page before its own script: a camera of 640×360 at 25 frames a second whose pictures have the time in them, as 16 black
 * or white squares along the top, the highest bit first: milliseconds since 1970, modulo 65,536.
 */
(() => {
  const framesPerSecond = 25;
  const devices = navigator.mediaDevices;
  const real = devices.getUserMedia.bind(devices);
  const picture = () => {
    const canvas = document.createElement('canvas');
    canvas.width = 640;
    canvas.height = 360;
    const context = canvas.getContext('2d', { alpha: false });
    let at = 0;
    setInterval(() => {
      at++;
      context.fillStyle = `hsl(${(at * 2) % 360} 45% 45%)`;
      context.fillRect(0, 40, 640, 320);
      for (let i = 0; i < 12; i++) {
        context.fillStyle = `hsl(${(i * 30 + at) % 360} 70% 55%)`;
        context.fillRect((i * 53 + at * (i + 2)) % 640, 60 + ((i * 29) % 260), 48, 48);
      }
      const time = Math.round(performance.timeOrigin + performance.now()) & 0xffff;
      for (let bit = 0; bit < 16; bit++) {
        context.fillStyle = (time >> (15 - bit)) & 1 ? '#fff' : '#000';
        context.fillRect(bit * 40, 0, 40, 40);
      }
    }, 1000 / framesPerSecond);
    return canvas.captureStream(framesPerSecond).getVideoTracks()[0];
  };
  devices.getUserMedia = async ({ video, ...others }) => {
    const stream = others.audio ? await real(others) : new MediaStream();
    if (video) stream.addTrack(picture());
    return stream;
  };
})();
