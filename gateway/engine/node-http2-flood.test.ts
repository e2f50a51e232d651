/** Clients that speak h2 to cost the server more than themselves: each loses its connection, and nobody else does. */
import { once } from 'node:events';
import { connect as connectHttp2, createServer, type ServerHttp2Session } from 'node:http2';
import { connect, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { dial } from '../testing/dial.ts';
import { echoApplication } from '../testing/echo-application.ts';
import { askOver, openHttp2, until } from '../testing/forward-fixture.ts';
import {
  endHeaders,
  endStream,
  frame,
  frameTypes,
  headerBlock,
  headersFrame,
  literal,
  http2Preface,
} from '../testing/http2-frames.ts';
import { startTestPort } from '../testing/port-fixture.ts';
import { testCertificate } from '../testing/tls-fixture.ts';
import { Http2Connection } from './http2-connection.ts';

const files = await testCertificate(t.testdir());

/** Far more than any connection may hold, and far less than what a flood says. */
const maxGrowthBytes = 96 * 1024 * 1024;
const floodBytes = 16 * 1024 * 1024;

const request = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'a.example'],
] as const;
const get = (stream: number, path = '/never'): Buffer => headersFrame(stream, [...request, [':path', path]]);
const times = (n: number, make: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: n }, (_, i) => make(i)));
const open = frame(frameTypes.headers, endHeaders, 1, headerBlock([...request, [':path', '/never']]));

interface Flood {
  readonly opening: Buffer;
  readonly batch: (turn: number) => Buffer;
  /** The client takes what the server says. */
  readonly reads?: boolean;
}

const floods: Readonly<Record<string, Flood>> = {
  pings: {
    opening: http2Preface,
    batch: () => times(500, () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))),
    reads: true,
  },
  'pings whose answers are not read': {
    opening: http2Preface,
    batch: () => times(500, () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))),
  },
  settings: { opening: http2Preface, batch: () => times(500, () => frame(frameTypes.settings, 0, 0)), reads: true },
  priorities: {
    opening: Buffer.concat([http2Preface, open]),
    batch: () => times(500, () => frame(frameTypes.priority, 0, 1, Buffer.from([0, 0, 0, 0, 1]))),
    reads: true,
  },
  'empty data': {
    opening: Buffer.concat([http2Preface, open]),
    batch: () => times(500, () => frame(frameTypes.data, 0, 1)),
    reads: true,
  },
  'rapid reset (CVE-2023-44487)': {
    opening: http2Preface,
    batch: (turn) =>
      times(100, (i) => {
        const stream = 2 * (turn * 100 + i) + 1;
        return Buffer.concat([get(stream), frame(frameTypes.rstStream, 0, stream, Buffer.from([0, 0, 0, 8]))]);
      }),
    reads: true,
  },
  'resets by a fault of the client’s own making': {
    opening: http2Preface,
    batch: (turn) =>
      times(100, (i) => {
        const stream = 2 * (turn * 100 + i) + 1;
        // A window that grows by nothing is an error of the stream (RFC 9113 section 6.9).
        return Buffer.concat([get(stream), frame(frameTypes.windowUpdate, 0, stream, Buffer.alloc(4))]);
      }),
    reads: true,
  },
  'more streams than there may be': {
    opening: http2Preface,
    batch: (turn) => times(100, (i) => get(2 * (turn * 100 + i) + 1)),
    reads: true,
  },
  'a header without end (CVE-2024-27983)': {
    opening: Buffer.concat([
      http2Preface,
      frame(frameTypes.headers, endStream, 1, headerBlock([...request, [':path', '/']])),
    ]),
    batch: () => times(20, () => frame(frameTypes.continuation, 0, 1, headerBlock([['x', 'a'.repeat(10_000)]]))),
    reads: true,
  },
  'a header of empty pieces': {
    opening: Buffer.concat([
      http2Preface,
      frame(frameTypes.headers, endStream, 1, headerBlock([...request, [':path', '/']])),
    ]),
    batch: () => times(500, () => frame(frameTypes.continuation, 0, 1)),
    reads: true,
  },
};

/** Says it all until the server has ended the connection; returns how much was said. */
async function run(socket: Socket, flood: Flood, isOver: () => boolean): Promise<number> {
  if (flood.reads === true) socket.resume();
  socket.write(flood.opening);
  let said = 0;
  for (let turn = 0; !isOver() && said < floodBytes; turn++) {
    const batch = flood.batch(turn);
    said += batch.length;
    let taken = false;
    socket.write(batch, () => (taken = true));
    await until(() => taken || isOver());
  }
  return said;
}

for (const [name, flood] of Object.entries(floods)) {
  t.test(name, async (t: Test) => {
    const { port, publicPort } = await startTestPort(t, {
      engine: 'node',
      files: [files],
      application: echoApplication(),
    });
    const other = openHttp2(t, port);
    t.match(await askOver(other, { ':path': '/' }), { status: 200 });
    const before = process.memoryUsage().rss;
    const socket = await dial(port, { alpn: ['h2'] });
    t.teardown(() => socket.destroy());
    await until(() => publicPort.demux.nodeConnections === 2);
    // Asked of the server: a client that writes does not always notice that it was cut off.
    const said = await run(socket, flood, () => publicPort.demux.nodeConnections === 1);
    t.ok(said < floodBytes, `ended after ${String(said)} bytes`);
    const grown = process.memoryUsage().rss - before;
    t.ok(grown < maxGrowthBytes, `${String(grown)} bytes more in memory`);
    t.match(await askOver(other, { ':path': '/' }), { status: 200 }, 'others go on');
    t.equal(publicPort.demux.nodeConnections, 1);
  });
}

t.test('header lists that grow in the decoder', async (t) => {
  const application = echoApplication();
  const { port, publicPort } = await startTestPort(t, { engine: 'node', files: [files], application });
  const socket = await dial(port, { alpn: ['h2'] });
  t.teardown(() => socket.destroy());
  socket.resume();
  // One entry of the dynamic table (RFC 7541 section 6.2.1), then a byte for each more of it: 10 KB that say 40 MB.
  const entry = Buffer.concat([Buffer.from([0x40]), literal('x'), literal('a'.repeat(4000))]);
  const block = Buffer.concat([headerBlock([...request, [':path', '/']]), entry, Buffer.alloc(10_000, 0xbe)]);
  const before = process.memoryUsage().rss;
  socket.write(Buffer.concat([http2Preface, frame(frameTypes.headers, endStream | endHeaders, 1, block)]));
  const other = openHttp2(t, port);
  t.match(await askOver(other, { ':path': '/' }), { status: 200 });
  t.ok(process.memoryUsage().rss - before < maxGrowthBytes);
  t.ok(publicPort.demux.nodeConnections > 0);
});

t.test('clients that Node stops to listen to, or that are gone', async (t) => {
  const server = createServer();
  const opened: Http2Connection[] = [];
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => {
    session.on('error', () => undefined);
    sessions.push(session);
    opened.push(new Http2Connection(session, 0));
  });
  server.on('stream', (stream) => stream.on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  t.teardown(() => server.close());
  const client = connectHttp2(`http://127.0.0.1:${String(port)}`);
  t.teardown(() => {
    client.destroy();
  });
  await once(client, 'remoteSettings');
  const hostile = connect(port, '127.0.0.1');
  hostile.on('error', () => undefined);
  const goaway = new Promise<void>((resolve) => {
    hostile.on('data', (bytes: Buffer) => {
      if (bytes.includes('DATA: stream')) resolve();
    });
  });
  hostile.write(Buffer.concat([http2Preface, get(1), frame(frameTypes.data, 0, 1, Buffer.alloc(10))]));
  await goaway;
  for (const connection of opened) connection.checkIdle(29_999);
  t.same(
    sessions.map(({ destroyed }) => destroyed),
    [false, false],
  );
  for (const connection of opened) connection.checkIdle(30_000);
  // The answer is here once one to a later ping is at the other end.
  await new Promise((resolve) => client.ping(resolve));
  await new Promise((resolve) => client.ping(resolve));
  for (const connection of opened) connection.checkIdle(60_000);
  t.same(
    sessions.map(({ destroyed }) => destroyed),
    [false, true],
  );
  await once(hostile, 'close');
});
