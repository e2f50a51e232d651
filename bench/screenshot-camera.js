/**
 * Runs in the page, before its own script, for bench/screenshot.ts: a camera that draws a person at a desk, so that the
 * pictures of the demo page show a call and not a test pattern. Who it is comes from the room link's name.
 */
(() => {
  const people = {
    Ada: {
      wall: '#d9c7b0',
      light: '#f2e6d3',
      hair: '#3b2417',
      skin: '#e3b48d',
      neck: '#cf9d75',
      shirt: '#7a2f3d',
      long: true,
    },
    Grace: {
      wall: '#9fb4bf',
      light: '#d3e0e6',
      hair: '#5a5f66',
      skin: '#c98d68',
      neck: '#b17651',
      shirt: '#22405e',
      long: false,
    },
    Radia: {
      wall: '#b9c4a2',
      light: '#dfe6cf',
      hair: '#1d1a1a',
      skin: '#8d5a3c',
      neck: '#75482e',
      shirt: '#d8a13a',
      long: true,
    },
    Alan: {
      wall: '#c9b3c4',
      light: '#e8dae4',
      hair: '#6b4a2b',
      skin: '#f0c9a8',
      neck: '#dcb08c',
      shirt: '#3d5c4a',
      long: false,
    },
  };
  const name = new URLSearchParams(location.search).get('name') ?? '';
  const person = people[name] ?? people.Ada;
  const canvas = document.createElement('canvas');
  canvas.width = 640;
  canvas.height = 360;
  const context = canvas.getContext('2d', { alpha: false });

  const shape = (fill, draw) => {
    context.fillStyle = fill;
    context.beginPath();
    draw();
    context.fill();
  };
  const ellipse = (x, y, rx, ry) => context.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);

  const draw = (sway) => {
    const { wall, light, hair, skin, neck, shirt, long } = person;
    context.fillStyle = wall;
    context.fillRect(0, 0, 640, 360);
    shape(light, () => context.roundRect(60, 36, 132, 170, 8));
    shape(wall, () => context.rect(122, 36, 8, 170));
    shape('#6d5a48', () => context.rect(448, 150, 150, 10));
    ['#a8473e', '#3f6f86', '#d7b65a', '#55724e', '#7d5a86'].forEach((spine, index) => {
      shape(spine, () => context.rect(460 + index * 24, 92 + (index % 3) * 7, 18, 58 - (index % 3) * 7));
    });
    context.save();
    context.translate(320 + sway, Math.abs(sway) / 3);
    if (long) shape(hair, () => context.roundRect(-84, 92, 168, 200, 80));
    shape(shirt, () => context.roundRect(-150, 262, 300, 180, 90));
    shape(neck, () => context.roundRect(-30, 196, 60, 94, 28));
    shape(hair, () => ellipse(0, 128, 84, 88));
    shape(skin, () => ellipse(0, 152, 66, 80));
    shape(hair, () => context.roundRect(-68, 66, 136, 44, [44, 44, 18, 18]));
    for (const side of [-1, 1]) {
      shape('#2a2320', () => ellipse(side * 26, 150, 6, 7));
      shape(hair, () => context.roundRect(side * 26 - 14, 130, 28, 5, 3));
    }
    context.strokeStyle = '#7a3b34';
    context.lineWidth = 5;
    context.lineCap = 'round';
    context.beginPath();
    context.arc(0, 178, 24, 0.2 * Math.PI, 0.8 * Math.PI);
    context.stroke();
    context.restore();
  };

  const began = performance.now();
  setInterval(() => draw(4 * Math.sin((performance.now() - began) / 900)), 66);
  draw(0);
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async ({ audio, video }) => {
    const tracks = audio ? (await real({ audio })).getTracks() : [];
    return new MediaStream([...tracks, ...(video ? canvas.captureStream(15).getVideoTracks() : [])]);
  };
})();
