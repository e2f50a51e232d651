/** Trunks over real TLS: who is let in, what is carried, and what becomes of it when the trunk is lost. */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { createSfu, type Sfu } from '../../sfu/index.ts';
import { controlType, encodeControlFrame, lane, type Path, type SendMeta } from '../../tunnel-protocol/index.ts';
import { Secret } from '../secret.ts';
import { makeCertificate } from '../tls-certificate.ts';
import type { TrunkCredentials } from './trunk-auth.ts';
import { TrunkClient } from './trunk-client.ts';
import { TrunkServer } from './trunk-server.ts';

const silent = (): void => undefined;
const log = { debug: silent, info: silent, warn: silent, error: silent };
const now = (): number => performance.now();
const credentials: TrunkCredentials = { secret: new Secret('what edges and nodes share'), certificate: null };
const request = { room: 'r', identity: 'i', name: 'n', can: ['publish', 'subscribe'], hidden: false } as const;

interface Node {
  readonly server: TrunkServer;
  readonly sfu: Sfu;
  readonly port: number;
}

async function startNode(t: Test, shared = credentials): Promise<Node> {
  let server: TrunkServer | null = null;
  const sfu = createSfu(
    { nodeId: 'node1', candidates: [], sessionGraceMs: 60_000, maxParticipantsPerRoom: 10 },
    {
      now,
      random: randomBytes,
      log,
      onSessionEnd: (session) => server?.sessionEnded(session),
      onTaken: (session, path, take) => server?.taken(session, path, take),
    },
  );
  await sfu.start();
  const own = await makeCertificate({ dns: ['node1'], ip: [] }, Date.now());
  const made = new TrunkServer({ nodeId: 'node1', credentials: shared, own, candidates: [] }, { sfu, log, now });
  server = made;
  const port = await made.listen('127.0.0.1', 0);
  t.teardown(async () => {
    await made.close();
    await sfu.close();
  });
  return { server: made, sfu, port };
}

function startClient(t: Test, port: number, shared = credentials, events: string[] = []): TrunkClient {
  const client = new TrunkClient(
    { edgeId: 'edge1', host: '127.0.0.1', port, credentials: shared, candidates: [], nodeId: 'node1', streams: 2 },
    {
      log,
      now,
      events: {
        opened: () => events.push('opened'),
        lost: () => events.push('lost'),
        refused: () => events.push('refused'),
        event: (_, event) => events.push(event.event),
      },
    },
  );
  client.start();
  t.teardown(() => {
    client.close();
  });
  return client;
}

/** A tunnel as an edge has it, whose other end is the test. */
class ProbePath implements Path {
  readonly kind = 'websocket';
  readonly reliable = true;
  readonly ordered = true;
  readonly mtu = 1200;
  readonly remote = { address: '192.0.2.1', port: 1234 };
  owner: unknown = null;
  onDrop: ((meta: SendMeta) => void) | null = null;
  deliveryRate: number | null = null;
  takes = true;
  readonly sent: { readonly first: number; readonly meta: SendMeta }[] = [];
  readonly closed: Promise<number>;
  #close: (code: number) => void = silent;
  #wake: () => void = silent;

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }

  send(datagram: Uint8Array, meta: SendMeta): boolean {
    if (!this.takes) return false;
    this.sent.push({ first: datagram[0] ?? 0, meta });
    this.#wake();
    return true;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  bind(): void {
    throw new Error('a tunnel is nothing to bind');
  }

  unbind(): void {
    throw new Error('nor to unbind');
  }

  close(code: number): void {
    this.#close(code);
  }
}

const open = encodeControlFrame({ type: 'open', version: 1, capabilities: 0, lastReceived: 0 });

t.test('a tunnel over a trunk: open, welcome, takeover, end', async (t) => {
  const { port, sfu } = await startNode(t);
  const events: string[] = [];
  const client = startClient(t, port, credentials, events);
  t.ok(await client.opened(20_000));
  const { epoch } = await client.ask({ op: 'open-session', request: { ...request, sessionId: 's' } });
  t.type(epoch, 'number');
  await t.rejects(client.ask({ op: 'open-session', request: { ...request, sessionId: 's' } }), {
    code: 'session-exists',
  });
  t.ok(sfu.hasSession('s'));

  const path = new ProbePath();
  client.attach('s', path);
  const sendOn = (on: ProbePath, datagram: Uint8Array): void => {
    if (on.owner === null) throw new Error('the path has no flow');
    client.forward(on.owner as Parameters<TrunkClient['forward']>[0], datagram);
  };
  sendOn(path, open);
  await path.until(() => path.sent.some(({ first }) => first === controlType.welcome));
  t.match(path.sent[0]?.meta, { lane: lane.control, deadlineMs: 0 });

  const second = new ProbePath();
  client.attach('s', second);
  sendOn(second, open);
  t.equal(await path.closed, 4004, 'the first one was replaced');
  t.equal(path.owner, null);
  await second.until(() => second.sent.some(({ first }) => first === controlType.welcome));

  const stranger = new ProbePath();
  client.attach('nobody', stranger);
  t.equal(await stranger.closed, 4200);

  t.same(await client.ask({ op: 'end-session', session: 's' }), { ended: true });
  t.equal(await second.closed, 4000);
  t.same(
    events.filter((event) => event !== 'opened'),
    ['taken', 'taken', 'session-end'],
  );
  t.equal(client.flows, 0);
});

t.test('what an edge drops, and how fast a path delivers, is told to the SFU', async (t) => {
  let attached: Path | null = null;
  const rates: (number | null | undefined)[] = [];
  const own = await makeCertificate({ dns: ['node1'], ip: [] }, Date.now());
  const sfu = {
    attach: (_: string, path: Path) => {
      attached = path;
    },
    detach: silent,
  } as unknown as Sfu;
  const server = new TrunkServer({ nodeId: 'node1', credentials, own, candidates: [] }, { sfu, log, now });
  const port = await server.listen('127.0.0.1', 0);
  t.teardown(() => server.close());
  const client = startClient(t, port);
  t.ok(await client.opened(20_000));
  const path = new ProbePath();
  path.deliveryRate = 1_000_000;
  path.takes = false;
  client.attach('s', path);
  const at = await until(() => attached);
  const dropped = new Promise<SendMeta>((resolve) => {
    at.onDrop = resolve;
  });
  const meta = { lane: lane.video, frameId: 70_000, keyFrame: true, discardable: false, deadlineMs: 300 };
  t.ok(at.send(new Uint8Array(100), meta));
  t.match(await dropped, { lane: lane.video, keyFrame: true, discardable: false, deadlineMs: 300 });
  t.equal(await until(() => at.deliveryRate ?? null), 1_000_000);
  path.deliveryRate = null;
  await until(() => (at.deliveryRate === null ? true : null));
  t.same(rates, []);
});

t.test('a trunk that is lost takes its paths with it, and comes back', async (t) => {
  const { port, server } = await startNode(t);
  const relay = await startRelay(t, port);
  const events: string[] = [];
  const client = startClient(t, relay.port, credentials, events);
  t.ok(await client.opened(20_000));
  await client.ask({ op: 'open-session', request: { ...request, sessionId: 's' } });
  const path = new ProbePath();
  client.attach('s', path);
  await until(() => (server.flows === 1 ? true : null));
  relay.cut();
  t.equal(await path.closed, 4103, 'the client is to come again');
  await t.rejects(client.ask({ op: 'rooms' }), { name: 'UpstreamUnavailable' });
  const refused = new ProbePath();
  client.attach('s', refused);
  t.equal(await refused.closed, 4103);
  t.ok(await client.opened(20_000));
  await until(() => (server.flows === 0 ? true : null));
  t.same(await client.ask({ op: 'end-session', session: 's' }), { ended: true }, 'the session lived on');
  t.same(events.slice(0, 3), ['opened', 'lost', 'opened']);
});

t.test('who does not know the secret gets nowhere, from either side', async (t) => {
  const { port, server } = await startNode(t);
  const wrong: TrunkCredentials = { secret: new Secret('another secret'), certificate: null };
  const stranger = startClient(t, port, wrong);
  t.notOk(await stranger.opened(1500));
  t.ok(server.refused > 0);
  t.equal(server.edges, 0);
  const honest = startClient(t, port);
  t.ok(await honest.opened(20_000), 'others are not kept out by that');

  const impostor = await startNode(t, wrong);
  const edge = startClient(t, impostor.port);
  t.notOk(await edge.opened(1500));
});

t.test('bytes that are no trunk are refused', async (t) => {
  const { port, server } = await startNode(t);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', silent).end('GET / HTTP/1.1\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  await until(() => (server.refused > 0 ? true : null));
  t.equal(server.edges, 0);
});

/** Looks again and again, because nobody tells. */
async function until<T>(read: () => T | null): Promise<T> {
  for (;;) {
    const value = read();
    if (value !== null) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function startRelay(t: Test, port: number): Promise<{ readonly port: number; readonly cut: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', silent).on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(() => {
    cut();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cut };
}
