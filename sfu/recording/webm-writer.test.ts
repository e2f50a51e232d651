/** The times in a file: in order, and no two frames of a track at one moment. */
import fc from 'fast-check';
import t from 'tap';
import { WebmWriter } from './webm-writer.ts';

/** Of the simple blocks (RFC 9559 section 10.2), each frame being one byte: track and time in ms. */
function blockTimes(parts: readonly Uint8Array[]): { track: number; time: number }[] {
  const times: { track: number; time: number }[] = [];
  let cluster = 0;
  for (const part of parts) {
    const bytes = Buffer.from(part);
    const timestamp = bytes.indexOf(0xe7, 4);
    if (bytes.readUInt32BE(0) === 0x1f43b675)
      cluster = bytes.readUIntBE(timestamp + 2, bytes.readUInt8(timestamp + 1) & 0x7f);
    else if (bytes[0] === 0xa3)
      times.push({
        track: bytes.readUInt8(bytes.length - 5) & 0x7f,
        time: cluster + bytes.readInt16BE(bytes.length - 4),
      });
  }
  return times;
}

t.test('of a track every frame is later than the one before, of all none is earlier', (t) => {
  const frames = fc.array(
    fc.record({ track: fc.integer({ min: 1, max: 2 }), by: fc.integer({ min: -400, max: 400 }) }),
  );
  fc.assert(
    fc.property(frames, (frames) => {
      const writer = new WebmWriter([
        { number: 1, codec: 'opus', video: null, name: 'microphone' },
        { number: 2, codec: 'VP8', video: { width: 16, height: 16, codecPrivate: null }, name: 'camera' },
      ]);
      writer.header();
      let at = 0;
      const parts = frames.flatMap(({ track, by }) => {
        at = Math.max(0, at + by / 10);
        return writer.frame(track, at, false, Uint8Array.of(1));
      });
      const times = blockTimes(parts);
      if (times.length !== frames.length) return false;
      const lastOf = [-1, -1, -1];
      return times.every(({ track, time }, index) => {
        const isLater = time > (lastOf[track] ?? 0) && time >= (times[index - 1]?.time ?? 0);
        lastOf[track] = time;
        return isLater;
      });
    }),
  );
  t.end();
});
