/** Node clients in calls through a real edge: everything that a call can do. */
import t from 'tap';
import { Vp8Descriptor, audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { packetsOf, publishClip, statsUntil, trackOf, withEdge, testTimeoutMs } from './node-tools.ts';

t.setTimeout(testTimeoutMs);

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;

for (const rung of ['websocket', 'udp'] as const) {
  t.test(`two Node clients over ${rung} alone`, async (t) => {
    const { edge, joined, cleanUp } = await withEdge(t);
    const ada = await joined(edge.url, { room: 'r', name: 'Ada', rungs: [rung] });
    t.match(ada, { rung, controlRung: 'websocket', closed: false });
    const came = new Promise<string>((resolve) => {
      ada.on('participant-joined', ({ name }) => {
        resolve(name);
      });
    });
    const grace = await joined(edge.url, { room: 'r', name: 'Grace', rungs: [rung] });
    t.equal(await came, 'Grace');
    t.match(grace.participants, [{ name: 'Ada' }]);

    const updated = new Promise((resolve) => {
      grace.once('participant-updated', resolve);
    });
    const source = await publishClip(ada);
    cleanUp(() => {
      source.stop();
    });
    t.match(await updated, { name: 'Ada', publications: [{}] });
    const video = await trackOf(grace, mainVideo);
    const audio = await trackOf(grace, mainAudio);
    const descriptor = new Vp8Descriptor();
    const keyFrame = new Promise<{ width: number; height: number }>((resolve) => {
      video.onReceiveRtp.subscribe(({ payload }) => {
        if (descriptor.parse(payload, 0, payload.length) && descriptor.keyFrame) {
          const { width, height } = descriptor;
          resolve({ width, height });
        }
      });
    });
    t.match(await keyFrame, { width: 640, height: 360 });
    await Promise.all([packetsOf(video, 60), packetsOf(audio, 60)]);
    const received = await statsUntil(grace, (stats) => stats.packetsReceived > 100);
    t.equal(received.packetsLost, 0);
    const sent = await statsUntil(ada, (stats) => stats.roundTripMs !== null && stats.packetsSent > 100);
    t.equal(sent.rung, rung);
    const metrics = await edge.metrics();
    const udp = /sallyport_datagrams_total\{[^}]*rung="udp"[^}]*\} (\d+)/.exec(metrics);
    if (rung === 'websocket') t.match(udp?.[1] ?? '0', '0', 'no UDP datagram was ever sent');
    const audioConnections = rung === 'websocket' ? 2 : 0;
    t.match(metrics, `\nsallyport_audio_connections_total ${String(audioConnections)}\n`);

    const left = new Promise<string>((resolve) => {
      grace.on('participant-left', ({ name }) => {
        resolve(name);
      });
    });
    const closed = new Promise((resolve) => {
      ada.on('closed', resolve);
    });
    await ada.leave();
    t.same(await closed, { error: null });
    t.equal(await left, 'Ada');
    await t.rejects(ada.status({}), { code: 'left' });
  });
}

t.test('mute, unpublish, subscribe, status and key frames on request', async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t);
  const ada = await joined(edge.url, { room: 'r', name: 'Ada' });
  const grace = await joined(edge.url, { room: 'r', name: 'Grace' });
  const source = await publishClip(ada);
  cleanUp(() => {
    source.stop();
  });
  const { video, audio } = source;
  if (video === null || audio === null) throw new Error('the clip has both');
  const shown = await trackOf(grace, mainVideo);
  await packetsOf(shown, 30);

  const publicationsOfAda = (condition: (text: string) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        const text = grace.participants[0]?.publications.map(({ source, muted }) => `${source} ${String(muted)}`) ?? [];
        if (condition(text.sort().join())) resolve();
      };
      grace.on('participant-updated', check);
      check();
    });
  await ada.mute(video);
  await publicationsOfAda((text) => text === 'camera true,microphone false');
  await ada.mute(video, false);
  await publicationsOfAda((text) => text === 'camera false,microphone false');
  await packetsOf(shown, 30);
  await ada.unpublish(audio);
  await publicationsOfAda((text) => text === 'camera false');
  await t.rejects(ada.unpublish(audio), { code: 'not-publishing' });
  await t.rejects(ada.publish(video), { code: 'already-publishing' });
  await t.rejects(ada.publish(audio, { source: 'screen' }), { code: 'bad-option' });

  const asked = new Promise<void>((resolve) => {
    video.onReceiveRtcp.subscribe(() => {
      resolve();
    });
  });
  grace.requestKeyFrame(mainVideo);
  await asked;
  t.throws(
    () => {
      grace.requestKeyFrame('99');
    },
    { code: 'bad-option' },
  );

  const status = new Promise((resolve) => {
    grace.on('participant-updated', ({ status }) => {
      if (status['hand'] === true) resolve(status);
    });
  });
  await ada.status({ hand: true });
  await status;
  await grace.subscribe({ main: grace.participants[0]?.id ?? null });
  await t.rejects(grace.subscribe({ main: 'nobody' }), { code: 'refused', serverCode: 'unknown-participant' });
  const emptied = new Promise<void>((resolve) => {
    grace.on('slots', (slots) => {
      if (slots.every(({ kind, participant }) => kind === 'audio' || participant === null)) resolve();
    });
  });
  await grace.subscribe({ main: null, video: false });
  await emptied;
});
