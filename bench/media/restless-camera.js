/**
 * Runs in a page before its own script: a camera whose picture needs all of its bitrate, as faces and rooms do and the
 * browser's test picture does not.
 */
(() => {
  const framesPerSecond = 20;
  const devices = navigator.mediaDevices;
  const real = devices.getUserMedia.bind(devices);
  const picture = () => {
    const canvas = document.createElement('canvas');
    canvas.width = 640;
    canvas.height = 360;
    const context = canvas.getContext('2d');
    const noise = document.createElement('canvas');
    noise.width = 320;
    noise.height = 180;
    const grain = noise.getContext('2d');
    const pixels = grain.createImageData(noise.width, noise.height);
    for (let i = 0; i < pixels.data.length; i++) pixels.data[i] = i % 4 === 3 ? 255 : Math.random() * 255;
    grain.putImageData(pixels, 0, 0);
    let at = 0;
    setInterval(() => {
      at++;
      context.fillStyle = `hsl(${(at * 3) % 360} 60% 50%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.globalAlpha = 0.35;
      context.drawImage(noise, (at * 37) % 160, (at * 23) % 90, 160, 90, 0, 0, canvas.width, canvas.height);
      context.globalAlpha = 1;
    }, 1000 / framesPerSecond);
    return canvas.captureStream(framesPerSecond).getVideoTracks()[0];
  };
  devices.getUserMedia = async ({ video, ...others }) => {
    const stream = others.audio ? await real(others) : new MediaStream();
    if (video) stream.addTrack(picture());
    return stream;
  };
})();
