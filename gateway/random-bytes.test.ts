/** Random bytes on every port and behind every handshake, for a while: the edge lives, counts, and serves on. */
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { ControlEndpoint, encodeFrame } from '../tunnel-protocol/index.ts';
import { webSocket, TestSocket } from './testing/https-client.ts';
import { openSession, startTestEdge, tunnelProtocols, type TestEdge } from './testing/test-edge.ts';

/** Of each engine. */
const durationMs = 15_000;
/** First bytes of what looks like something: TLS, HTTP, STUN, DTLS, RTP, RTCP, control frames. */
const starts = ['160301', '474554202f', '00010000', '16fefd', '8060', '80c8', 'f0', 'f1', 'f2', 'ff', ''];

function junk(maxBytes: number): Buffer {
  const start = Buffer.from(starts[randomInt(starts.length)] ?? '', 'hex');
  return Buffer.concat([start, randomBytes(randomInt(1, maxBytes))]);
}

async function hurl(socket: Socket): Promise<void> {
  socket.on('error', () => undefined);
  socket.resume();
  for (let i = randomInt(1, 5); i > 0 && !socket.destroyed; i--) {
    socket.write(junk(3000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.destroy();
  if (!socket.closed) await once(socket, 'close');
}

async function hurlAtTunnel(edge: TestEdge): Promise<void> {
  const { resumeToken } = await openSession(edge);
  const socket = await webSocket(edge.port, '/tunnel/v1/ws', tunnelProtocols(resumeToken));
  if (!(socket instanceof TestSocket)) throw new Error('refused');
  const isOpen = (): boolean => socket.ws.readyState === socket.ws.OPEN;
  // Opened properly, so that what follows is looked at.
  const control = new ControlEndpoint({ role: 'client', now: 0 });
  control.connected(0);
  socket.ws.send(encodeFrame(control.nextOutput(0) ?? new Uint8Array(0)));
  for (let i = 0; i < 30 && isOpen(); i++) {
    const frames = Array.from({ length: randomInt(1, 5) }, () => encodeFrame(junk(1500)));
    socket.ws.send(randomInt(4) === 0 ? junk(4000) : Buffer.concat(frames));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.ws.terminate();
  await socket.closed;
}

for (const engine of ['auto', 'node'] as const) {
  t.test(`engine ${engine}`, async (t) => {
    const unlimited = { burst: 1e9, perSecond: 1e9 };
    const edge = await startTestEdge(t, {
      environment: { SALLYPORT_ENGINE: engine },
      limits: { sessions: unlimited, strangers: unlimited, maxParticipantsPerRoom: 100_000 },
    });
    const end = performance.now() + durationMs;
    const repeat = async (act: () => Promise<void>): Promise<number> => {
      let count = 0;
      for (; performance.now() < end; count++) await act();
      return count;
    };
    const udp = createSocket('udp4');
    t.teardown(() => udp.close());
    const counts = await Promise.all([
      repeat(() => hurl(connect(edge.port, '127.0.0.1'))),
      repeat(() => hurl(connect(edge.adminPort, '127.0.0.1'))),
      repeat(async () => {
        const tls = connectTls({ port: edge.port, host: '127.0.0.1', rejectUnauthorized: false });
        tls.on('error', () => undefined);
        await once(tls, 'secureConnect');
        await hurl(tls);
      }),
      repeat(() => hurlAtTunnel(edge)),
      repeat(async () => {
        for (let i = 0; i < 20; i++) udp.send(junk(i === 0 ? 3000 : 300), edge.udpPort, '127.0.0.1');
        await new Promise((resolve) => setImmediate(resolve));
      }),
    ]);
    t.ok(
      counts.every((count) => count > 0),
      `connections and bursts: ${counts.join()}`,
    );
    const session = await openSession(edge);
    const socket = await webSocket(edge.port, '/tunnel/v1/ws', tunnelProtocols(session.resumeToken));
    t.ok(socket instanceof TestSocket, 'a session still opens');
    t.same(
      edge.logged.filter((line) => line.startsWith('error')),
      [],
    );
  });
}
