/**
 * `npm run smoke`: the built edge starts on this Node, and four Node clients see each other's clip: by udp, by websocket,
 * and by TURN over TLS and ICE-TCP on the same port as that. The gate runs it on Node versions for which uWebSockets.js
 * has no binary as well, so that the second engine carries a call there.
 */
import { ClipSource, join, loadClip, type NodeCall } from '../client/index.ts';
import { startBenchEdge } from './harness/bench-edge.ts';

const packetsWanted = 100;
const timeoutMs = 30_000;

const edge = await startBenchEdge();
const watchdog = setTimeout(() => {
  console.error(`smoke: not done after ${String(timeoutMs)} ms`);
  process.exit(1);
}, timeoutMs);
const clip = await loadClip(['media/clip.ivf', 'media/clip.ogg']);
const people = await Promise.all([
  enter('ada', 'udp'),
  enter('ben', 'websocket'),
  enter('cleo', 'turn-tls'),
  enter('dan', 'ice-tcp'),
]);
await Promise.all(people.map((person) => received(person.call)));
console.log(
  `smoke: Node ${process.version}, engine ${edge.engine}: ` +
    people
      .map(({ call }) => `${call.self.name} by ${call.rung}, ${String(call.stats().packetsReceived)} packets`)
      .join('; '),
);
for (const { call, source } of people) {
  source.stop();
  await call.leave();
}
await edge.close();
clearTimeout(watchdog);

async function enter(name: string, rung: NodeCall['rung']): Promise<{ call: NodeCall; source: ClipSource }> {
  const call = await join(edge.url, { room: 'smoke', name, rungs: [rung], insecure: true });
  if (call.rung !== rung) throw new Error(`${name} wanted ${rung} and got ${call.rung}`);
  const source = new ClipSource(clip);
  for (const track of source.tracks) await call.publish(track);
  source.start();
  return { call, source };
}

/** Resolves when the call has received its share of packets. */
async function received(call: NodeCall): Promise<void> {
  while (call.stats().packetsReceived < packetsWanted) {
    await new Promise<void>((resolve) => {
      call.once('stats', () => {
        resolve();
      });
    });
  }
}
