/** SFUs of others behind an edge: werift in another process, by tunnel and by TURN, and whom a session may reach. */
import { fork } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { RTCPeerConnection } from 'werift';
import {
  classifyDatagram,
  ControlEndpoint,
  datagramClass,
  encodeFrame,
  forEachFrame,
} from '../../tunnel-protocol/index.ts';
import { openWebSocket, type TestSocket } from '../testing/https-client.ts';
import {
  postSession,
  startTestEdge,
  tunnelProtocols,
  type OpenedSession,
  type TestEdge,
} from '../testing/test-edge.ts';
import { TurnClient } from '../testing/turn-client.ts';
import { turnSubprotocol, turnWebSocketPath } from '../turn-websocket.ts';

const loopback = '127.0.0.1';

t.test('a peer connection with an SFU of others, through the tunnel', { timeout: 60_000 }, async (t) => {
  const free = await freePort();
  const edge = await startThirdPartyEdge(t, [free, free + 1].map((port) => `${loopback}:${String(port)}`).join(','));
  const client = new RTCPeerConnection({ iceUseIpv6: false, iceAdditionalHostAddresses: [loopback], iceServers: [] });
  t.teardown(() => client.close());
  const channel = client.createDataChannel('echo');
  await client.setLocalDescription(await client.createOffer());
  const offer = client.localDescription?.sdp ?? '';
  // Neither end hears of the other's own addresses: what arrives has come through the edge.
  const answer = await askForeignSfu(t, { address: loopback, port: free, sdp: withoutCandidates(offer) });
  const port = /^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host/m.exec(answer)?.[1] ?? '';
  const tunnel = await Tunnel.open(edge, await open(edge, [`${loopback}:${port}`]));
  const bridge = await tunnel.bridge();
  t.teardown(() => {
    bridge.close();
    tunnel.socket.ws.close();
  });
  const there = `a=candidate:1 1 udp 2130706431 ${loopback} ${String(bridge.address().port)} typ host\r\n`;
  await client.setRemoteDescription({ type: 'answer', sdp: withoutCandidates(answer) + there });
  await new Promise<void>((resolve) => {
    channel.stateChanged.subscribe((state) => {
      if (state === 'open') resolve();
    });
  });
  const echo = new Promise<string>((resolve) => {
    channel.onMessage.subscribe((data) => {
      resolve(data.toString());
    });
  });
  channel.send('through the wall');
  t.equal(await echo, 'through the wall');
  const metrics = await (await fetch(`http://127.0.0.1:${String(edge.adminPort)}/metrics`)).text();
  t.match(metrics, /sallyport_sfu_events_total\{event="upstream_sent"\} [1-9]/);
  t.match(metrics, /sallyport_sfu_events_total\{event="upstream_received"\} [1-9]/);
  t.match(metrics, /sallyport_sessions\{rung="websocket"\} 1/);
});

t.test('whom a session may reach', async (t) => {
  const [first, second] = [await echoPeer(t), await echoPeer(t)];
  const [one, other] = [first, second].map((socket) => `${loopback}:${String(socket.address().port)}`) as [
    string,
    string,
  ];
  const edge = await startThirdPartyEdge(t, `${one},${other}`);
  const bind = async (session: OpenedSession, peer: Socket): Promise<number | null> => {
    const turn = await openTurn(edge, session);
    await turn.allocate();
    return turn.bind(0x4000, { address: loopback, port: peer.address().port });
  };
  const bound = await open(edge, [one]);
  t.equal(await bind(bound, first), null);
  t.equal(await bind(bound, second), 403, 'the token names another one');
  t.equal(await bind(await open(edge), second), null, 'a token that names none may reach all that are allowed');
  const refused = await ask(edge, [`${loopback}:9`]);
  t.match([refused.status, refused.body], [403, /upstream-not-allowed.*SALLYPORT_RELAY_ALLOW/]);
});

t.test('the tunnel relays what WebRTC is made of, and nothing else', async (t) => {
  const sfu = createSocket('udp4');
  sfu.bind(0, loopback);
  await once(sfu, 'listening');
  t.teardown(() => sfu.close());
  const edge = await startThirdPartyEdge(t, `${loopback}:${String(sfu.address().port)}`);
  const tunnel = await Tunnel.open(edge, await open(edge));
  const came = collect(sfu);
  // Sent until it arrives: the socket behind the tunnel is opened by the first.
  const stun = Buffer.concat([Buffer.of(0, 1, 0, 0), Buffer.alloc(16, 7)]);
  while (came.length === 0) {
    tunnel.send(stun);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const from = came[0]?.from ?? 0;
  t.same(came[0]?.datagram, stun);
  const stranger = createSocket('udp4');
  stranger.send(Buffer.alloc(30, 0x81), from, loopback);
  sfu.send(Buffer.of(0xf6, 0x0f, 0xa0), from, loopback);
  sfu.send(Buffer.alloc(30, 0x80), from, loopback);
  t.same(await tunnel.next(), Buffer.alloc(30, 0x80), 'neither a stranger nor a control frame gets through');
  stranger.close();
  const leave = new Promise<string>((resolve) => {
    tunnel.onText = resolve;
  });
  tunnel.say('{"type":"join","id":1}');
  t.match(JSON.parse(await leave), { id: 1, ok: false, error: { code: 'third-party-sfu' } });
  tunnel.socket.ws.close();
});

t.test('an edge with an SFU of its own takes no such token', async (t) => {
  const edge = await startTestEdge(t);
  const refused = await ask(edge, ['192.0.2.1:10000']);
  t.match([refused.status, refused.body], [403, /upstream-not-allowed.*SALLYPORT_UPSTREAM=udp/]);
});

function startThirdPartyEdge(t: Test, allow: string): Promise<TestEdge> {
  return startTestEdge(t, { environment: { SALLYPORT_UPSTREAM: 'udp', SALLYPORT_RELAY_ALLOW: allow } });
}

async function ask(edge: TestEdge, upstream?: readonly string[]): Promise<{ status: number; body: string }> {
  const who = { identity: null, room: 'elsewhere', name: null, can: ['publish'], hidden: false } as const;
  const token = await edge.tokens.issueJoinToken({ ...who, ...(upstream === undefined ? {} : { upstream }) }, 60);
  return postSession(edge, { room: 'elsewhere', token });
}

async function open(edge: TestEdge, upstream?: readonly string[]): Promise<OpenedSession> {
  const { status, body } = await ask(edge, upstream);
  if (status !== 201) throw new Error(body);
  return JSON.parse(body) as OpenedSession;
}

async function openTurn(edge: TestEdge, session: OpenedSession): Promise<TurnClient> {
  const { ws } = await openWebSocket(edge.port, turnWebSocketPath, [turnSubprotocol]);
  const client = new TurnClient(
    (bytes) => {
      ws.send(bytes);
    },
    session.iceServers[0] ?? { username: '', credential: '' },
  );
  ws.on('message', (bytes) => {
    client.receive(bytes as Buffer);
  });
  return client;
}

async function askForeignSfu(t: Test, offer: { address: string; port: number; sdp: string }): Promise<string> {
  const child = fork(fileURLToPath(new URL('../testing/foreign-sfu.js', import.meta.url)));
  t.teardown(() => child.kill());
  child.send(offer);
  const [{ sdp }] = (await once(child, 'message')) as [{ sdp: string }];
  return sdp;
}

function withoutCandidates(sdp: string): string {
  return sdp.replace(/^a=(candidate|end-of-candidates).*\r\n/gm, '');
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, loopback);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

async function echoPeer(t: Test): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, loopback);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return socket;
}

function collect(socket: Socket): { readonly datagram: Buffer; readonly from: number }[] {
  const came: { datagram: Buffer; from: number }[] = [];
  socket.on('message', (datagram, { port }) => came.push({ datagram, from: port }));
  return came;
}

/** The client's end of a session's WebSocket tunnel. */
class Tunnel {
  readonly socket: TestSocket;
  onText: (text: string) => void = () => undefined;
  readonly #control = new ControlEndpoint({ role: 'client', now: 0 });
  readonly #came: Buffer[] = [];
  #wake: () => void = () => undefined;

  private constructor(socket: TestSocket) {
    this.socket = socket;
    this.#control.connected(0);
    this.#flush();
  }

  static async open(edge: TestEdge, { resumeToken }: OpenedSession): Promise<Tunnel> {
    const tunnel = new Tunnel(await openWebSocket(edge.port, '/tunnel/v1/ws', tunnelProtocols(resumeToken)));
    void tunnel.#read();
    return tunnel;
  }

  send(datagram: Uint8Array): void {
    this.socket.ws.send(encodeFrame(datagram));
  }

  say(text: string): void {
    this.#control.send(text, 0);
    this.#flush();
  }

  async next(): Promise<Buffer> {
    for (;;) {
      const datagram = this.#came.shift();
      if (datagram !== undefined) return datagram;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** A UDP socket whose one peer is at the other end of the tunnel. */
  async bridge(): Promise<Socket> {
    const socket = createSocket('udp4').bind(0, loopback);
    await once(socket, 'listening');
    let client = 0;
    socket.on('message', (datagram, { port }) => {
      client = port;
      this.send(datagram);
    });
    void (async () => {
      for (;;) socket.send(await this.next(), client, loopback);
    })();
    return socket;
  }

  async #read(): Promise<void> {
    for (;;) {
      const message = await this.socket.next();
      forEachFrame(message, (frame) => {
        if (classifyDatagram(frame) === datagramClass.control) this.#control.handle(frame, 0);
        else this.#came.push(Buffer.from(frame));
      });
      this.#flush();
      for (let event = this.#control.nextEvent(); event !== null; event = this.#control.nextEvent()) {
        if (event.type === 'message') this.onText(event.text);
      }
      this.#wake();
    }
  }

  #flush(): void {
    for (let frame = this.#control.nextOutput(0); frame !== null; frame = this.#control.nextOutput(0)) {
      this.socket.ws.send(encodeFrame(frame));
    }
  }
}
