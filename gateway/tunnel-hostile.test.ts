/** What hostile and broken clients of the HTTP tunnels cost, and what they hear; others do not notice them. */
import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { closeCodes, exchangeLimits, exchangeQuery, type ExchangeHeader } from '../tunnel-protocol/index.ts';
import { dial } from './testing/dial.ts';
import { ExchangeTunnel } from './testing/exchange-tunnel.ts';
import { engineVariants } from './testing/port-fixture.ts';
import { testCertificate } from './testing/tls-fixture.ts';
import { startTunnelHttpPort, type TunnelHttpPort } from './testing/tunnel-http-port.ts';

const poll = '/tunnel/v1/poll';

function query(fields: Partial<ExchangeHeader> = {}): string {
  const connection = '0123456789abcdef';
  return exchangeQuery({ flags: 1, close: 0, connection, generation: 1, exchange: 1, oldest: 1, first: 1, ack: 0, holdMs: 0, gatherMs: 20, ...fields }); // prettier-ignore
}

/** Somebody in the same room, by its own tunnel, who must not notice anything. */
class Bystander {
  readonly #tunnel: ExchangeTunnel;
  #asked = 0;

  constructor(t: Test, { port, openSession }: TunnelHttpPort) {
    this.#tunnel = new ExchangeTunnel({ carrier: 'long-poll', port, resumeToken: openSession() });
    t.teardown(() => {
      this.#tunnel.destroy();
    });
  }

  /** Whether a request of the signalling is answered, and none of its HTTP requests has ever failed. */
  async isWell(): Promise<boolean> {
    const id = ++this.#asked;
    this.#tunnel.sendText(JSON.stringify({ id, type: id === 1 ? 'join' : 'status', status: {} }));
    for (;;) {
      const { text } = await this.#tunnel.event('message');
      const reply = JSON.parse(text) as { type: string; id: number; ok: boolean };
      if (reply.type === 'reply' && reply.id === id) return reply.ok && this.#tunnel.failures.length === 0;
    }
  }
}

/** Requests whose parts are sent by hand. Statuses are 0 for a request that is broken off without an answer. */
interface Peer {
  /** Begins a POST of a body of unknown length; the function sends a part of it. */
  post(path: string, headers: Readonly<Record<string, string>>): { send: (part: string) => void; status: Promise<number> }; // prettier-ignore
  /** A whole one. */
  ask(path: string, headers: Readonly<Record<string, string>>, body: Buffer): Promise<{ status: number; body: Buffer }>;
}

class Http1Peer implements Peer {
  readonly #port: number;
  readonly #t: Test;

  constructor(t: Test, port: number) {
    this.#t = t;
    this.#port = port;
  }

  async connect(): Promise<Socket> {
    const socket = await dial(this.#port, { alpn: ['http/1.1'] });
    this.#t.teardown(() => socket.destroy());
    return socket;
  }

  post(path: string, headers: Readonly<Record<string, string>>): ReturnType<Peer['post']> {
    const socket = this.connect();
    const withLength = { 'transfer-encoding': 'chunked', ...headers };
    const status = socket.then((opened) => {
      opened.write(headOf('POST', path, withLength));
      return statusOf(opened);
    });
    const send = (part: string): void => {
      void socket.then((opened) => opened.write(`${part.length.toString(16)}\r\n${part}\r\n`));
    };
    return { send, status };
  }

  async ask(path: string, headers: Readonly<Record<string, string>>, body: Buffer): ReturnType<Peer['ask']> {
    const socket = await this.connect();
    const length = { 'content-length': String(body.length), connection: 'close' };
    socket.write(Buffer.concat([Buffer.from(headOf('POST', path, { ...headers, ...length })), body]));
    return answerOf(await everything(socket));
  }
}

class Http2Peer implements Peer {
  readonly session: ClientHttp2Session;

  constructor(t: Test, port: number) {
    this.session = connectHttp2(`https://127.0.0.1:${String(port)}`, { rejectUnauthorized: false });
    this.session.on('error', () => undefined);
    t.teardown(() => {
      this.session.destroy();
    });
  }

  post(path: string, headers: Readonly<Record<string, string>>): ReturnType<Peer['post']> {
    const stream = this.#request(path, headers);
    return { send: (part) => void stream.write(part), status: statusOfStream(stream) };
  }

  async ask(path: string, headers: Readonly<Record<string, string>>, body: Buffer): ReturnType<Peer['ask']> {
    const stream = this.#request(path, headers);
    stream.end(body);
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const status = await statusOfStream(stream);
    if (!stream.closed) await once(stream, 'close');
    return { status, body: Buffer.concat(chunks) };
  }

  #request(path: string, headers: Readonly<Record<string, string>>): ClientHttp2Stream {
    const stream = this.session.request({ ':method': 'POST', ':path': path, ...headers });
    stream.on('error', () => undefined);
    return stream;
  }
}

function headOf(method: string, path: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ host: 'edge.example', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

async function everything(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
  return Buffer.concat(chunks);
}

function statusOf(socket: Socket): Promise<number> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => {
      resolve(Number(chunk.toString('latin1').split(' ')[1]));
    });
    socket.once('close', () => {
      resolve(0);
    });
  });
}

function statusOfStream(stream: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve) => {
    stream.once('response', (head) => {
      resolve(head[':status'] ?? 0);
    });
    stream.once('close', () => {
      resolve(0);
    });
  });
}

function answerOf(bytes: Buffer): { status: number; body: Buffer } {
  const end = bytes.indexOf('\r\n\r\n');
  return { status: Number(bytes.toString('latin1').split(' ')[1] ?? 0), body: bytes.subarray(end + 4) };
}

/** Bodies that contradict themselves, after the line of the request; none may be taken for a good one. */
const contradictions: Readonly<Record<string, string>> = {
  'a length that is no number': 'content-length: abc\r\n\r\nabc',
  'a negative length': 'content-length: -1\r\n\r\n',
  'two lengths': 'content-length: 3\r\ncontent-length: 4\r\n\r\nabcd',
  'a length, and chunks': 'content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'a chunk without a size': 'transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n',
  'a chunk as large as no memory': 'transfer-encoding: chunked\r\n\r\nffffffffffffffff0\r\nabc\r\n',
};

const files = await testCertificate(t.testdir());
const engines = (await engineVariants()).filter(({ name }) => !name.includes('spliced'));
const last = engines.at(-1) as (typeof engines)[number];
const variants = [
  ...engines.map((variant) => ({ variant, name: variant.name, h2: false })),
  { variant: last, name: 'h2', h2: true },
];

for (const { variant, name, h2 } of variants) {
  t.test(name, { skip: variant.skip }, async (t) => {
    const served = await startTunnelHttpPort(t, variant, files);
    const { port, tunnels, counters, openSession, pass } = served;
    const peer: Peer = h2 ? new Http2Peer(t, port) : new Http1Peer(t, port);
    const bystander = new Bystander(t, served);
    t.ok(await bystander.isWell());

    t.test('huge headers', async (t) => {
      const authorization = `Bearer ${openSession()}`;
      for (const [what, headers] of [
        ['one', { authorization, 'x-large': 'x'.repeat(20_000) }],
        ['many', Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`x-${String(i)}`, 'x'.repeat(40)]))],
      ] as const) {
        const { status } = await (h2 ? new Http2Peer(t, port) : peer).ask(
          `${poll}?${query()}`,
          headers,
          Buffer.alloc(0),
        );
        t.ok([0, 431].includes(status), `${what}: ${String(status)}`);
      }
      const path = `${poll}?${query()}${'0'.repeat(2000)}`;
      t.equal((await peer.ask(path, { authorization }, Buffer.alloc(0))).status, 400, 'a header of an exchange');
      t.ok(await bystander.isWell());
    });

    t.test('bodies that do not come', async (t) => {
      const authorization = `Bearer ${openSession()}`;
      const most = exchangeLimits.maxUploads;
      const posts = Array.from({ length: 2 * most }, (_, i) =>
        peer.post(`${poll}?${query({ exchange: i + 1 })}`, { authorization }),
      );
      for (const { send } of posts) send('\x00\x08');
      const refused: number[] = [];
      for (const { status } of posts) void status.then((status) => refused.push(status));
      while (refused.length < most) await new Promise((resolve) => setImmediate(resolve));
      t.strictSame(refused, Array<number>(most).fill(429), 'those beyond the limit hear it at once');
      t.equal(tunnels.openBodies, most);
      t.equal(counters.refused.get('too-many-requests'), most);
      const text = { 'content-type': 'text/plain' };
      const nameless = peer.post(`${poll}?${query()}`, text);
      nameless.send('half of a tok');
      while (tunnels.openBodies === most) await new Promise((resolve) => setImmediate(resolve));
      t.ok(await bystander.isWell());
      pass(exchangeLimits.answerAfterMs);
      t.equal(await nameless.status, 408);
      t.strictSame((await Promise.all(posts.map(({ status }) => status))).filter((status) => status !== 429), Array<number>(most).fill(408)); // prettier-ignore
      t.equal(tunnels.openBodies, 0);
      t.equal((await peer.ask(`${poll}?${query()}`, { authorization }, Buffer.alloc(0))).status, 200, 'and then it goes on'); // prettier-ignore
      t.ok(await bystander.isWell());
    });

    t.test('a new connection with each request', async (t) => {
      const authorization = `Bearer ${openSession()}`;
      const count = 100;
      const ask = async (generation: number): Promise<number> => {
        const connection = generation.toString(16).padStart(16, 'f');
        const path = `${poll}?${query({ connection, generation })}`;
        const { status, body } = await peer.ask(path, { authorization }, Buffer.alloc(0));
        return status === 200 ? body.readUInt16BE(4) : -status;
      };
      const before = tunnels.openTunnels + tunnels.lingeringTunnels;
      let most = 0;
      for (let generation = 1; generation <= count; generation++) {
        if ((await ask(generation)) !== 0) t.fail('the newest is let in');
        most = Math.max(most, tunnels.openTunnels + tunnels.lingeringTunnels);
      }
      t.ok(most - before <= 10, `${String(most - before)} connections are remembered at most`);
      const { accepted } = counters.httpTunnels['long-poll'];
      for (let i = 0; i < 20; i++) t.equal(await ask(1 + i), closeCodes.replaced.wire, 'an older one');
      t.equal(counters.httpTunnels['long-poll'].accepted, accepted, 'which costs nothing');
      t.ok(await bystander.isWell());
      pass(15_000);
      t.equal(tunnels.lingeringTunnels, 0);
    });

    if (!h2)
      t.test('bodies that contradict themselves', async (t) => {
        const head = headOf('POST', `${poll}?${query({ flags: 0 })}`, { authorization: `Bearer ${openSession()}` }).slice(0, -2); // prettier-ignore
        for (const [what, rest] of Object.entries(contradictions)) {
          const socket = await new Http1Peer(t, port).connect();
          socket.write(head + rest);
          const { status } = answerOf(await everything(socket));
          t.ok([0, 400, 413].includes(status), `${what}: ${String(status)}, and the connection is closed`);
        }
        const behind = await new Http1Peer(t, port).connect();
        behind.write(`${head}transfer-encoding: chunked\r\n\r\n0\r\n\r\n\x16\x03garbage\r\n\r\n`);
        t.match(
          (await everything(behind)).toString('latin1'),
          /^(?:HTTP\/1.1 (?:200|400|505) |$)/,
          'garbage behind a good one',
        );
        const short = await new Http1Peer(t, port).connect();
        short.write(`${head}content-length: 10\r\n\r\nabc`);
        while (tunnels.openBodies === 0) await new Promise((resolve) => setImmediate(resolve));
        short.destroy();
        while (tunnels.openBodies > 0) await new Promise((resolve) => setImmediate(resolve));
        t.ok(await bystander.isWell());
      });

    if (h2)
      t.test('a length that is not the body', async (t) => {
        const headers = { authorization: `Bearer ${openSession()}`, 'content-length': '3' };
        const { status } = await peer.ask(`${poll}?${query()}`, headers, Buffer.alloc(10));
        t.ok([0, 400].includes(status), String(status));
        t.equal(tunnels.openBodies, 0);
        t.ok(await bystander.isWell());
      });
  });
}
