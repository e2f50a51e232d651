/** TURN in a WebSocket: what clients may send, and coturn's own client and peer through it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import t from 'tap';
import { openWebSocket, TestSocket, webSocket } from './testing/https-client.ts';
import { openSession, startTestEdge, type TestEdge } from './testing/test-edge.ts';
import { channelData, TurnClient } from './testing/turn-client.ts';
import { coturnMissing, echoPeer, output, portPair } from './testing/turn-peers.ts';
import { turnSubprotocol, turnWebSocketPath } from './turn-websocket.ts';

for (const engine of ['auto', 'node'] as const) {
  t.test(`engine ${engine}`, async (t) => {
    const peer = await echoPeer();
    t.teardown(() => peer.close());
    const { port } = peer.address();
    const edge = await startTestEdge(t, {
      environment: { SALLYPORT_ENGINE: engine, SALLYPORT_RELAY_ALLOW: `127.0.0.1:${String(port)}` },
    });

    t.test('who is not let in', async (t) => {
      const refused = async (protocols: readonly string[], origin?: string): Promise<string> => {
        const outcome = await webSocket(
          edge.port,
          turnWebSocketPath,
          protocols,
          origin === undefined ? {} : { origin },
        );
        if (outcome instanceof TestSocket) return 'open';
        return `${String(outcome.status)} ${(JSON.parse(outcome.body) as { code: string }).code}`;
      };
      t.equal(await refused(['sallyport.v1']), '400 bad-request');
      t.equal(await refused([turnSubprotocol], 'https://evil.example'), '403 origin-not-allowed');
      t.equal(await refused([turnSubprotocol, 'other']), 'open');
    });

    t.test('an allocation, and datagrams of many to a message', async (t) => {
      const { client, socket } = await connect(edge);
      t.equal(await client.allocate(), null);
      t.equal(socket.ws.protocol, turnSubprotocol);
      t.equal(await client.bind(0x4000, { address: '127.0.0.1', port: port - 1 }), 403, 'a peer that nobody allowed');
      t.equal(await client.bind(0x4000, { address: '127.0.0.1', port }), null);
      const datagrams = [1, 2, 3, 400, 1200].map((length) => Buffer.alloc(length, 0x80));
      socket.ws.send(Buffer.concat(datagrams.map((datagram) => channelData(0x4000, datagram))));
      t.same(await client.arrived(5), datagrams);
      socket.ws.close();
      await socket.closed;
    });

    t.test('what ends a connection', async (t) => {
      const bad: Record<string, [string | Uint8Array, number]> = {
        'a text': ['hello', 1003],
        'no TURN': [new Uint8Array(100).fill(0xf0), 1007],
        'a piece of a message': [channelData(0x4000, new Uint8Array(100)).subarray(0, 50), 1007],
        'a message that is too long for TURN': [channelData(0x4000, new Uint8Array(4000)), 1007],
        'a header alone': [Uint8Array.of(0x40, 0), 1007],
      };
      for (const [name, [bytes, code]] of Object.entries(bad)) {
        const socket = await openWebSocket(edge.port, turnWebSocketPath, [turnSubprotocol]);
        socket.ws.send(bytes);
        t.equal((await socket.closed).code, code, name);
      }
      const long = await openWebSocket(edge.port, turnWebSocketPath, [turnSubprotocol]);
      long.ws.send(new Uint8Array(70_000));
      t.not((await long.closed).code, 1000, 'a message that is too long for a WebSocket here');
    });
  });
}

t.test("coturn's client and peer", { skip: coturnMissing, timeout: 120_000 }, async (t) => {
  const port = await portPair();
  const peer = spawn('turnutils_peer', ['-L', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  const allow = [port, port + 1].map((number) => `127.0.0.1:${String(number)}`).join(',');
  const edge = await startTestEdge(t, { environment: { SALLYPORT_RELAY_ALLOW: allow } });
  const bridge = await tcpToWebSocket(edge);
  t.teardown(() => {
    peer.kill();
    bridge.close();
  });
  const { username, credential } = (await openSession(edge)).iceServers[0] ?? { username: '', credential: '' };
  const who = ['-u', username, '-w', credential, '-t'];
  const load = ['-n', '50', '-m', '4', '-l', '172', '-z', '5', '-e', '127.0.0.1', '-r', String(port)];
  // Where the machine stalls, this client gives up on what is still to come.
  let received = 0;
  for (let attempt = 0; attempt < 5 && received < 200; attempt++) {
    const text = await output(
      spawn('turnutils_uclient', [...who, ...load, '-p', String(bridge.port), '-c', '127.0.0.1']),
    );
    received = Number([...text.matchAll(/tot_recv_msgs=(\d+)/g)].at(-1)?.[1] ?? 0);
  }
  t.equal(received, 200, 'every message came back');
});

async function connect(edge: TestEdge): Promise<{ readonly client: TurnClient; readonly socket: TestSocket }> {
  const session = await openSession(edge);
  const socket = await openWebSocket(edge.port, turnWebSocketPath, [turnSubprotocol]);
  const client = new TurnClient(
    (bytes) => {
      socket.ws.send(bytes);
    },
    session.iceServers[0] ?? { username: '', credential: '' },
  );
  socket.ws.on('message', (bytes) => {
    client.receive(bytes as Buffer);
  });
  return { client, socket };
}

/** What a client that knows no WebSocket sends on TCP, a message of TURN's to each of the WebSocket's. */
async function tcpToWebSocket(edge: TestEdge): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((tcp) => {
    void openWebSocket(edge.port, turnWebSocketPath, [turnSubprotocol]).then(({ ws }) => {
      let held = Buffer.alloc(0);
      tcp.on('data', (chunk: Buffer) => {
        held = Buffer.concat([held, chunk]);
        for (;;) {
          if (held.length < 4) return;
          const body = held.readUInt16BE(2);
          const length = (held[0] ?? 0) < 0x40 ? 20 + body : 4 + ((body + 3) & ~3);
          if (held.length < length) return;
          ws.send(held.subarray(0, length));
          held = held.subarray(length);
        }
      });
      ws.on('message', (bytes) => tcp.write(bytes as Buffer));
      ws.on('close', () => tcp.destroy());
      tcp.on('close', () => {
        ws.close();
      });
      tcp.on('error', () => tcp.destroy());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}
