/**
 * `node dist/gateway/demux/soak.js [count] [method] [kind …]`: that many connections of each kind, cut in each of their stages in
 * turn, then the number of open descriptors, of this process that is client and server, against what it was before.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { testCertificate } from '../testing/tls-fixture.ts';
import {
  allocateRequest,
  Client,
  createUwsServers,
  createWorld,
  iceFrame,
  openDescriptors,
  stunRequest,
} from './fixture.ts';
import { captureHello } from './testing-hello.ts';
import type { DemuxConfig } from './types.ts';

const count = Number(process.argv[2] ?? 10_000);
const method = (process.argv[3] ?? 'auto') as DemuxConfig['method'];
const concurrency = 64;

interface Kind {
  readonly name: string;
  /** The first bytes that a client of the kind sends. */
  readonly opening: Buffer;
  /** For TLS: what follows the handshake; `h2` is a session of its own. */
  readonly alpn?: readonly string[];
  readonly request: Buffer | 'h2' | null;
}

const httpRequest = Buffer.from('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
const plainKind = (name: string, opening: Buffer): Kind => ({ name, opening, request: null });
const tlsKind = async (name: string, alpn: readonly string[], request: Buffer | 'h2'): Promise<Kind> => {
  const opening = await captureHello(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] });
  return { name, opening, alpn, request };
};

const only = process.argv.slice(4);
const kinds = [
  plainKind('plain-http', httpRequest),
  plainKind('turn-tcp', stunRequest),
  plainKind('ice-tcp', iceFrame),
  plainKind('garbage', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')),
  await tlsKind('tls-http1', ['http/1.1'], httpRequest),
  await tlsKind('tls-h2', ['h2'], 'h2'),
  await tlsKind('tls-http1-late', [], httpRequest),
  await tlsKind('turn-tls', [], allocateRequest),
].filter(({ name }) => only.length === 0 || only.includes(name));

/** Of a connection without TLS; with TLS there are three more: after the handshake, in the request, and to the end. */
const plainStages = ['connected', 'one byte', 'half of the opening', 'the whole opening', 'to the end'] as const;
const tlsStages = [...plainStages.slice(0, 4), 'secured', 'half of the request', 'to the end'] as const;

const folder = await mkdtemp(path.join(tmpdir(), 'demux-soak-'));
const files = await testCertificate(folder);
const native = await import('uWebSockets.js').catch(() => null);
const uws = native === null ? null : createUwsServers(native, files);
const world = await createWorld({ files, uws, config: { method, maxOpeningsPerClient: 4096 } });
const { demux, port } = world;
const outcomes = { answered: 0, unanswered: 0 };

await runAll(20);
await settle();
const before = openDescriptors();
const started = performance.now();
for (const kind of kinds) {
  const stages = kind.alpn === undefined ? plainStages : tlsStages;
  const at = performance.now();
  await inParallel(count, (i) => run(kind, stages[i % stages.length] ?? 'connected', Math.floor(i / stages.length)));
  await settle();
  print(
    `${kind.name}: ${String(count)} in ${((performance.now() - at) / 1000).toFixed(1)} s, descriptors ${String(openDescriptors())}`,
  );
}
await settle();
const after = openDescriptors();
print(
  `descriptors before ${String(before)}, after ${String(after)}; method ${demux.method}; ${((performance.now() - started) / 1000).toFixed(0)} s`,
);
print(`openings ${String(demux.openings)}, connections in Node ${String(demux.nodeConnections)}`);
print(JSON.stringify({ ...outcomes, ...demux.counters, rssMiB: process.memoryUsage().rss >> 20 }));
await world.close();
uws?.close();
await rm(folder, { recursive: true });
process.exitCode = after > before || outcomes.unanswered > 0 ? 1 : 0;

async function runAll(each: number): Promise<void> {
  for (const kind of kinds) await inParallel(each, (i) => run(kind, tlsStages[i % 7] ?? 'to the end', i));
}

async function run(kind: Kind, stage: string, turn: number): Promise<void> {
  const client = new Client(port);
  const { socket } = client;
  await Promise.race([once(socket, 'connect'), client.ended]).catch(() => undefined);
  const { opening } = kind;
  const early = {
    connected: 0,
    'one byte': 1,
    'half of the opening': opening.length >> 1,
    'the whole opening': opening.length,
  }[stage];
  if (early !== undefined) {
    if (early > 0) await new Promise((resolve) => socket.write(opening.subarray(0, early), resolve));
    await cut(client, turn);
  } else if (kind.request === null) {
    const answer = await client.exchange(opening);
    if (kind.name !== 'garbage') note(answer.length > 0);
  } else {
    await runTls(client, kind, kind.request, stage, turn);
  }
}

async function runTls(client: Client, kind: Kind, request: Buffer | 'h2', stage: string, turn: number): Promise<void> {
  const { alpn = [] } = kind;
  const socket = connectTls({
    socket: client.socket,
    rejectUnauthorized: false,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
  });
  socket.on('error', () => undefined);
  try {
    await once(socket, 'secureConnect');
  } catch (error) {
    print(`${kind.name}, ${stage}: ${String(error)}; ${JSON.stringify(demux.counters)}`);
    note(false);
    await client.ended;
    return;
  }
  if (stage === 'secured') {
    await cut(client, turn);
  } else if (request === 'h2') {
    await runH2(client, socket, stage, turn);
  } else if (stage === 'half of the request') {
    await new Promise((resolve) => socket.write(request.subarray(0, request.length >> 1), resolve));
    await cut(client, turn);
  } else {
    socket.write(request);
    let length = 0;
    socket.on('data', (chunk: Buffer) => (length += chunk.length));
    await Promise.race([once(socket, 'end'), once(socket, 'close')]);
    note(length > 0);
    socket.destroy();
    await client.ended;
  }
}

async function runH2(client: Client, socket: TLSSocket, stage: string, turn: number): Promise<void> {
  const session = connectHttp2('https://localhost', { createConnection: () => socket });
  session.on('error', () => undefined);
  const stream = session.request({ ':path': '/' });
  stream.on('error', () => undefined);
  if (stage === 'half of the request') {
    await cut(client, turn);
    session.destroy();
    return;
  }
  let length = 0;
  stream.on('data', (chunk: Buffer) => (length += chunk.length));
  await once(stream, 'close');
  note(length > 0);
  session.destroy();
  await client.ended;
}

/** By a reset or an end, at once or after the server has had a turn. */
async function cut(client: Client, turn: number): Promise<void> {
  if ((turn & 1) === 0) await new Promise((resolve) => setImmediate(resolve));
  if ((turn & 2) === 0) client.socket.resetAndDestroy();
  else client.socket.destroy();
  await client.ended;
}

function note(answered: boolean): void {
  outcomes[answered ? 'answered' : 'unanswered']++;
}

async function inParallel(total: number, one: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < total) await one(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

/** Until nothing is open any more, as far as the demultiplexer and the descriptors tell; 30 s at most. */
async function settle(): Promise<void> {
  let last = -1;
  for (let i = 0; i < 150; i++) {
    await sleep(200);
    const now = openDescriptors();
    if (demux.openings === 0 && demux.nodeConnections === 0 && now === last) return;
    last = now;
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
