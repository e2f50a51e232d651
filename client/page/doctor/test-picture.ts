/** A picture that no codec can make small: what is sent in a test is as much as the path, or the encoder's limit, admits. */

const width = 320;
const height = 180;
const framesPerSecond = 15;
/** Squares of one colour; smaller ones cost more to encode than a busy machine has. */
const squarePixels = 8;

export interface TestPicture {
  readonly track: MediaStreamTrack;
  stop(): void;
}

/** Null where this browser has no canvas whose pictures can be taken. */
export function drawTestPicture(): TestPicture | null {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null || !('captureStream' in canvas)) return null;
  let state = 1;
  const draw = (): void => {
    for (let y = 0; y < height; y += squarePixels) {
      for (let x = 0; x < width; x += squarePixels) {
        // Numerical Recipes' linear congruence: cheap, and no square foretells the next one.
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        context.fillStyle = `rgb(${String(state >>> 24)} ${String((state >>> 16) & 255)} ${String((state >>> 8) & 255)})`;
        context.fillRect(x, y, squarePixels, squarePixels);
      }
    }
  };
  draw();
  const timer = setInterval(draw, 1_000 / framesPerSecond);
  const [track] = canvas.captureStream(framesPerSecond).getVideoTracks();
  if (track === undefined) {
    clearInterval(timer);
    return null;
  }
  return {
    track,
    stop: () => {
      clearInterval(timer);
      track.stop();
    },
  };
}
