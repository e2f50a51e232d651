import { readFileSync } from 'node:fs';
import t from 'tap';
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import { FileFault } from './file-fault.ts';
import { parseOggOpus } from './ogg-opus.ts';
import { OpusRecorder } from './opus-recorder.ts';

const payload = Buffer.of(0xf8, 1, 2, 3);

function packet(sequenceNumber: number, timestamp: number): RtpPacket {
  return new RtpPacket(new RtpHeader({ sequenceNumber, timestamp, payloadType: 111 }), payload);
}

t.test('packets come into the file in order; what is no Opus does not', async (t) => {
  const file = `${t.testdir()}/out.ogg`;
  const recorder = await OpusRecorder.open(file);
  const track = new MediaStreamTrack({ kind: 'audio' });
  recorder.record(track);
  t.throws(() => {
    recorder.record(track);
  });
  for (const n of [0, 2, 1, 3]) track.writeRtp(packet(n, n * 960));
  track.writeRtp(new RtpPacket(new RtpHeader({ sequenceNumber: 4 }), Buffer.alloc(0)));
  await recorder.close();
  await recorder.close();
  track.writeRtp(packet(5, 0));
  t.equal(recorder.packets, 4);
  const opus = parseOggOpus(readFileSync(file));
  if (opus instanceof FileFault) throw new Error(opus.message);
  t.match(opus, { channels: 2, durationMs: 80 });
  await t.rejects(OpusRecorder.open(`${file}/x`), { code: 'file-unreadable' });
});
