/** Random bytes on every port and behind every handshake, for a while: the edge lives, counts, and serves on. */
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { ControlEndpoint, encodeFrame } from '../tunnel-protocol/index.ts';
import { dial, proxyHeaderV1 } from './testing/dial.ts';
import { webSocket, TestSocket } from './testing/https-client.ts';
import { engineVariants } from './testing/port-fixture.ts';
import { openSession, startTestEdge, tunnelProtocols, type TestEdge } from './testing/test-edge.ts';

/** Of each engine. */
const durationMs = 8000;
/** First bytes of what looks like something: DTLS, RTP, RTCP, ChannelData, control frames. */
const starts = ['16fefd', '8060', '80c8', '40000004', 'f0', 'f1', 'f2', 'ff', ''];
/** The same on connections: TLS, HTTP, h2, STUN, Allocate, RFC 4571 frames, and PROXY headers. */
const openings = [
  ...[
    '160301',
    '16030100ff010000fb0303',
    '474554202f',
    '474554202f20485454502f312e310d0a',
    '505249202a20485454502f322e30',
  ],
  ...[
    '00010000',
    '000100002112a442',
    '000300082112a4420102030405060708090a0b0c',
    '001400010000',
    '0014000100002112a442',
  ],
  ...['50524f585920', '50524f5859205443503420', '0d0a0d0a000d0a515549540a2111'],
  ...starts,
];
/** What a client may offer; the last is TLS without ALPN. */
const offers = [['http/1.1'], ['h2'], ['stun.turn'], []] as const;

function junk(maxBytes: number, beginnings: readonly string[] = starts): Buffer {
  const start = Buffer.from(beginnings[randomInt(beginnings.length)] ?? '', 'hex');
  return Buffer.concat([start, randomBytes(randomInt(1, maxBytes))]);
}

function someone(): Buffer {
  return proxyHeaderV1(`192.0.2.${String(randomInt(256))}`, randomInt(65_536));
}

async function hurl(socket: Socket): Promise<void> {
  socket.on('error', () => undefined);
  socket.resume();
  for (let i = randomInt(1, 5); i > 0 && !socket.destroyed; i--) {
    socket.write(junk(3000, openings));
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

for (const { name, engine, libc, skip } of await engineVariants()) {
  t.test(`engine ${name}`, { skip }, async (t) => {
    const unlimited = { burst: 1e9, perSecond: 1e9 };
    const edge = await startTestEdge(t, {
      environment: { SALLYPORT_ENGINE: engine, SALLYPORT_PROXY_FROM: '127.0.0.9' },
      ...(libc === null ? { libc } : {}),
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
      repeat(async () => hurl(await dial(edge.port, { alpn: offers[randomInt(offers.length)] ?? [] }))),
      repeat(async () => hurl(connect({ port: edge.port, host: '127.0.0.1', localAddress: '127.0.0.9' }))),
      repeat(async () => hurl(await dial(edge.port, { from: '127.0.0.9', header: someone(), alpn: null }))),
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
