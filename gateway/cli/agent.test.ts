/** The agent on each carrier between real clients and peers of TURN, and an edge. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { controlRungs } from '../../tunnel-protocol/index.ts';
import { startTestEdge, type TestEdge } from '../testing/test-edge.ts';
import { TurnClient } from '../testing/turn-client.ts';
import { coturnMissing, echoPeer, output, portPair } from '../testing/turn-peers.ts';
import { parseAgentArguments } from './agent-arguments.ts';
import { runAgent } from './agent.ts';

const loopback = '127.0.0.1';

interface RunningAgent {
  readonly port: number;
  readonly lines: string[];
  readonly credentials: { readonly username: string; readonly credential: string };
  said(text: RegExp): Promise<string>;
  stop(): Promise<number>;
}

async function startAgent(t: Test, edge: TestEdge, ...args: readonly string[]): Promise<RunningAgent> {
  const who = { identity: null, room: 'elsewhere', name: null, can: ['publish'], hidden: false } as const;
  const token = await edge.tokens.issueJoinToken(who, 60);
  const url = `https://127.0.0.1:${String(edge.port)}`;
  const parsed = parseAgentArguments([url, '--insecure', '--listen', '127.0.0.1:0', '--token', token, ...args], {});
  const lines: string[] = [];
  let wake = (): void => undefined;
  const stop = new AbortController();
  const ended = runAgent(
    parsed,
    {
      write: (text: string) => {
        lines.push(text);
        wake();
      },
    },
    stop.signal,
  );
  ended.catch(() => undefined);
  t.teardown(() => {
    stop.abort();
    return ended;
  });
  const said = async (text: RegExp): Promise<string> => {
    for (;;) {
      const line = lines.find((said) => text.test(said));
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const entry = await said(/iceServers/);
  const [server] = (JSON.parse(entry.split('\n')[2] ?? '') as { iceServers: RunningAgent['credentials'][] }).iceServers;
  const port = Number(/turn:127\.0\.0\.1:(\d+)/.exec(entry)?.[1]);
  return {
    port,
    lines,
    credentials: server ?? { username: '', credential: '' },
    said,
    stop: () => {
      stop.abort();
      return ended;
    },
  };
}

async function udpClient(t: Test, { port, credentials }: RunningAgent): Promise<TurnClient> {
  const socket = createSocket('udp4').bind(0, loopback);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const client = new TurnClient((bytes) => {
    socket.send(bytes, port, loopback);
  }, credentials);
  socket.on('message', (datagram) => {
    client.receive(datagram);
  });
  return client;
}

async function tcpClient(t: Test, { port, credentials }: RunningAgent): Promise<TurnClient> {
  const socket = connect(port, loopback);
  await once(socket, 'connect');
  t.teardown(() => socket.destroy());
  const client = new TurnClient((bytes) => {
    socket.write(bytes);
  }, credentials);
  socket.on('data', (bytes) => {
    client.receive(bytes);
  });
  return client;
}

t.test('each carrier', async (t) => {
  const peer = await echoPeer();
  t.teardown(() => peer.close());
  const { port } = peer.address();
  const edge = await startTestEdge(t, { environment: { SALLYPORT_RELAY_ALLOW: `${loopback}:${String(port)}` } });
  for (const rung of controlRungs) {
    t.test(rung, { timeout: 60_000 }, async (t) => {
      const agent = await startAgent(t, edge, '--rung', rung);
      t.match(agent.lines.join(''), `connected by ${rung}`);
      for (const open of [udpClient, tcpClient]) {
        const client = await open(t, agent);
        t.equal(await client.allocate(), null);
        t.equal(await client.bind(0x4000, { address: loopback, port: 9 }), 403, 'the edge says whom it reaches');
        t.equal(await client.bind(0x4001, { address: loopback, port }), null);
        const datagrams = [1, 2, 3, 4, 1200].map((length) => Buffer.alloc(length, 0x80));
        for (const datagram of datagrams) client.send(0x4001, datagram);
        const arrived = await client.arrived(datagrams.length);
        // Sound goes before pictures.
        t.same(
          arrived.map(({ length }) => length).sort((a, b) => a - b),
          [1, 2, 3, 4, 1200],
        );
      }
      const stranger = await udpClient(t, { ...agent, credentials: { username: 'sallyport', credential: 'guess' } });
      t.equal(await stranger.allocate(), 401);
      t.equal(await agent.stop(), 0);
    });
  }
});

t.test("coturn's client and peer, by UDP and TCP", { skip: coturnMissing, timeout: 120_000 }, async (t) => {
  const port = await portPair();
  const peer = spawn('turnutils_peer', ['-L', loopback, '-p', String(port)], { stdio: 'ignore' });
  t.teardown(() => peer.kill());
  const allow = [port, port + 1].map((number) => `${loopback}:${String(number)}`).join(',');
  const edge = await startTestEdge(t, { environment: { SALLYPORT_RELAY_ALLOW: allow } });
  const agent = await startAgent(t, edge);
  const { username, credential } = agent.credentials;
  const load = ['-n', '50', '-m', '4', '-l', '172', '-z', '5', '-e', loopback, '-r', String(port)];
  const where = ['-p', String(agent.port), '-c', loopback];
  for (const flags of [[], ['-t']]) {
    // Where the machine stalls, this client gives up on what is still to come.
    let received = 0;
    for (let attempt = 0; attempt < 5 && received < 200; attempt++) {
      const client = spawn('turnutils_uclient', ['-u', username, '-w', credential, ...load, ...where, ...flags]);
      received = Number([...(await output(client)).matchAll(/tot_recv_msgs=(\d+)/g)].at(-1)?.[1] ?? 0);
    }
    t.equal(received, 200, `every message came back: ${flags.join(' ') || 'UDP'}`);
  }
});

t.test('an edge that cannot be used', async (t) => {
  const edge = await startTestEdge(t);
  const url = `https://127.0.0.1:${String(edge.port)}`;
  const lines: string[] = [];
  const out = { write: (text: string) => lines.push(text) };
  const never = new AbortController().signal;
  const run = (...args: string[]): Promise<number> =>
    runAgent(parseAgentArguments([url, '--listen', '0', ...args], {}), out, never);
  t.equal(await run('--insecure', '--token', 'nonsense'), 2);
  t.match(lines.at(-1), /the edge cannot be used \(token-invalid\)/);
  const taken = createSocket('udp4').bind(0, loopback);
  await once(taken, 'listening');
  const { port } = taken.address();
  const listen = parseAgentArguments([url, '--listen', String(port)], {});
  await t.rejects(runAgent(listen, out, never), { name: 'UsageError', message: /choose another one by --listen/ });
  taken.close();
});

t.test('what may be asked for', (t) => {
  const parse = (...args: string[]): unknown => parseAgentArguments(args, {});
  const payload = Buffer.from(JSON.stringify({ room: 'standup' })).toString('base64url');
  t.match(parse('edge.example'), { url: 'https://edge.example', room: 'agent', host: '127.0.0.1', port: 3478 });
  t.match(parse('edge.example', '--token', `x.${payload}.y`), { room: 'standup' });
  t.match(parse('edge.example', '--listen', '[::1]:4000'), { host: '::1', port: 4000 });
  t.match(parse('edge.example', '--listen', '10.0.0.1:4000', '--allow-remote'), { host: '10.0.0.1' });
  for (const [args, message] of [
    [[], /say which edge/],
    [['a', 'b'], /only one edge/],
    [['a', '--listen', '10.0.0.1:4000'], /--allow-remote/],
    [['a', '--listen', '0.0.0.0:4000', '--allow-remote'], /name one address/],
    [['a', '--listen', '10.0.0.1:4000', '--allow-remote', '--password', 'short'], /at least 16/],
    [['a', '--listen', 'here'], /must be a port/],
    [['a', '--listen', '70000'], /must be a port/],
    [['a', '--rung', 'udp'], /must be one of websocket, http-stream, long-poll/],
    [['a', '--user', 'a b'], /--user must be/],
  ] as const) {
    t.throws(() => parse(...args), { name: 'UsageError', message }, args.join(' '));
  }
  t.end();
});
