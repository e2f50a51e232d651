/**
 * Trunks over real TLS: who is let in, what is carried, and what becomes of it when the trunk is lost. Long because both ends
 * and their loss are one scene.
 */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { createSfu, type Sfu } from '../../sfu/index.ts';
import {
  controlType,
  encodeControlFrame,
  lane,
  transportMeta,
  type Path,
  type SendMeta,
} from '../../tunnel-protocol/index.ts';
import { Secret } from '../secret.ts';
import { makeCertificate } from '../tls-certificate.ts';
import type { TrunkCredentials } from './trunk-auth.ts';
import { EdgeFlow } from './edge-flow.ts';
import { TrunkClient } from './trunk-client.ts';
import { TrunkPath } from './trunk-path.ts';
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

function startClient(t: Test, port: number, shared = credentials, events: string[] = [], streams = 2): TrunkClient {
  const client = new TrunkClient(
    { edgeId: 'edge1', host: '127.0.0.1', port, credentials: shared, candidates: [], nodeId: 'node1', streams },
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

/** A UDP peer of an edge. */
class ProbePeer implements Path {
  readonly kind = 'udp';
  readonly reliable = false;
  readonly ordered = false;
  readonly mtu = 1200;
  readonly remote: { readonly address: string; readonly port: number };
  owner: unknown = null;
  onDrop: ((meta: SendMeta) => void) | null = null;
  bound = false;
  heard = 0;

  constructor(port: number) {
    this.remote = { address: '192.0.2.2', port };
  }

  send(): boolean {
    this.heard++;
    return true;
  }

  bind(): void {
    this.bound = true;
  }

  unbind(): void {
    this.bound = false;
  }

  close(): void {
    this.bound = false;
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

t.test('a stream that is lost costs its tunnels alone, and is opened again', async (t) => {
  const own = await makeCertificate({ dns: ['node1'], ip: [] }, Date.now());
  const detached: Path[] = [];
  let latest: Path | null = null;
  // Believes everybody, and answers with what it got.
  const sfu = {
    attach: silent,
    detach: (path: Path) => detached.push(path),
    receive: (path: Path, datagram: Uint8Array) => {
      path.bind();
      path.send(datagram.slice(), transportMeta);
      latest = path;
    },
  } as unknown as Sfu;
  const server = new TrunkServer({ nodeId: 'node1', credentials, own, candidates: [] }, { sfu, log, now });
  const port = await server.listen('127.0.0.1', 0);
  t.teardown(() => server.close());
  const relay = await startRelay(t, port);
  const events: string[] = [];
  const client = startClient(t, relay.port, credentials, events, 3);
  t.ok(await client.opened(20_000));

  const tunnels = [new ProbePath(), new ProbePath()] as const;
  for (const [i, path] of tunnels.entries()) client.attach(`s${String(i)}`, path);
  const peers = [new ProbePeer(1), new ProbePeer(2)] as const;
  for (const peer of peers) {
    client.introduce(peer, Uint8Array.of(0, 1, 0, 0));
    await until(() => (peer.bound ? true : null));
  }
  const flowOf = (path: Path): EdgeFlow => path.owner as EdgeFlow;
  const [doomed, other] = tunnels;
  const [moved, unmoved] = peers;
  const lost = flowOf(doomed).stream;
  t.equal(flowOf(moved).stream, lost);
  t.not(flowOf(other).stream, lost);
  t.equal(flowOf(unmoved).stream, flowOf(other).stream);

  relay.cutFrom(lost.socket.localPort ?? 0);
  t.equal(await doomed.closed, 4103, 'its client is to come again');
  t.equal(flowOf(moved).stream, flowOf(other).stream);
  const before = moved.heard;
  // What the node sends before it knows of the loss is lost with the stream.
  await until(() => {
    client.forward(flowOf(moved), Uint8Array.of(0x80, 1));
    return moved.heard > before ? true : null;
  });
  t.ok(moved.bound);
  t.equal(detached.length, 1, 'the tunnel');
  await until(() => (relay.connections === 3 ? true : null));
  const again = new ProbePath();
  client.attach('s0', again);
  await until(() => (client.isOpen && again.owner !== null ? true : null));
  client.forward(flowOf(other), Uint8Array.of(0x80, 1));
  client.forward(flowOf(again), Uint8Array.of(0x80, 1));
  await other.until(() => other.sent.length > 0);
  await again.until(() => again.sent.length > 0);
  t.same(events, ['opened'], 'the trunk was there all the time');

  // As when what said that a flow has ended was lost with a stream: the node does not know it any more.
  const stray = flowOf(unmoved);
  latest = null;
  client.forward(stray, Uint8Array.of(0x80, 1));
  const known: unknown = await until(() => latest);
  if (!(known instanceof TrunkPath)) throw new Error('not a path of a trunk');
  known.end();
  client.forward(stray, Uint8Array.of(0x80, 1));
  await until(() => (unmoved.bound ? null : true));
  t.equal(unmoved.owner, null, 'it is heard as a stranger again');
});

t.test('certificates of the cluster, both ways', async (t) => {
  const [ours, theirs] = [await createAuthority(), await createAuthority()];
  const credentialsOf = (authority: Authority, trusted: Authority, secret: string | null = null) =>
    authority.issue().then((issued) => ({
      secret: secret === null ? null : new Secret(secret),
      certificate: { ...issued, ca: trusted.ca },
    }));
  const { port, server } = await startNode(t, await credentialsOf(ours, ours));
  t.ok(await startClient(t, port, await credentialsOf(ours, ours)).opened(20_000));
  const cases: readonly (readonly [string, TrunkCredentials])[] = [
    ['of another authority', await credentialsOf(theirs, ours)],
    ['none at all', { secret: new Secret('a secret that this node does not ask for'), certificate: null }],
    ['its own word', await selfSigned(ours.ca)],
  ];
  for (const [name, shown] of cases) {
    const before = server.refused;
    t.notOk(await startClient(t, port, shown).opened(1000), name);
    t.ok(server.refused > before, `${name}: counted`);
  }
  t.equal(server.edges, 1);
  t.notOk(
    await startClient(t, port, await credentialsOf(ours, theirs)).opened(1000),
    'an edge believes its own authority alone',
  );

  const both = await startNode(t, await credentialsOf(ours, ours, 'a secret as well'));
  t.notOk(await startClient(t, both.port, await credentialsOf(ours, ours, 'not that one')).opened(1000));
  t.ok(both.server.refused > 0);
  t.ok(await startClient(t, both.port, await credentialsOf(ours, ours, 'a secret as well')).opened(20_000));
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

interface Authority {
  readonly ca: string;
  /** A certificate of it, and the key. */
  issue(): Promise<{ readonly cert: string; readonly key: string }>;
}

async function createAuthority(): Promise<Authority> {
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const generate = (): Promise<webcrypto.CryptoKeyPair> =>
    webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const [notBefore, notAfter] = [new Date(Date.now() - 86_400_000), new Date(Date.now() + 86_400_000)];
  const own = await generate();
  const name = `CN=authority ${randomBytes(4).toString('hex')}`;
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name,
      serialNumber: '01',
      notBefore,
      notAfter,
      keys: own,
      signingAlgorithm: algorithm,
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    },
    webcrypto,
  );
  return {
    ca: authority.toString('pem'),
    issue: async () => {
      const keys = await generate();
      const certificate = await x509.X509CertificateGenerator.create(
        {
          subject: 'CN=member',
          issuer: name,
          serialNumber: `00${randomBytes(8).toString('hex')}`,
          notBefore,
          notAfter,
          publicKey: keys.publicKey,
          signingKey: own.privateKey,
          signingAlgorithm: algorithm,
        },
        webcrypto,
      );
      const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString();
      return { cert: certificate.toString('pem'), key };
    },
  };
}

async function selfSigned(ca: string): Promise<TrunkCredentials> {
  return { secret: null, certificate: { ...(await makeCertificate({ dns: ['edge1'], ip: [] }, Date.now())), ca } };
}

interface Relay {
  readonly port: number;
  /** Of clients. */
  readonly connections: number;
  readonly cut: () => void;
  /** The connection of a client's port alone. */
  readonly cutFrom: (port: number) => void;
}

async function startRelay(t: Test, port: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  const nears = new Map<number, Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    const from = near.remotePort ?? 0;
    nears.set(from, near);
    near.once('close', () => nears.delete(from));
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
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return nears.size;
    },
    cut,
    cutFrom: (from) => {
      nears.get(from)?.destroy();
    },
  };
}
