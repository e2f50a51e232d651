/** The tunnel endpoint against a real client library and the real SFU. */
import t from 'tap';
import {
  closeCodes,
  ControlEndpoint,
  controlType,
  decodeControlFrame,
  encodeControlFrame,
  encodeFrame,
  forEachFrame,
} from '../tunnel-protocol/index.ts';
import { openWebSocket, TestSocket, webSocket } from './testing/https-client.ts';
import { openSession, startTestEdge, tunnelProtocols, type TestEdge } from './testing/test-edge.ts';

const path = '/tunnel/v1/ws';

for (const engine of ['auto', 'node'] as const) {
  t.test(`engine ${engine}`, async (t) => {
    const edge = await startTestEdge(t, { environment: { SALLYPORT_ENGINE: engine } });
    const refused = async (protocols: readonly string[], options = {}): Promise<string> => {
      const outcome = await webSocket(edge.port, path, protocols, options);
      if (outcome instanceof TestSocket) return 'open';
      return `${String(outcome.status)} ${(JSON.parse(outcome.body) as { code: string }).code}`;
    };

    t.test('who is not let in', async (t) => {
      const { resumeToken, sessionId } = await openSession(edge);
      const [version, proof] = tunnelProtocols(resumeToken) as [string, string];
      const forged = { session: sessionId, room: 'standup', node: 'pop2', epoch: 1 };
      const join = await edge.tokens.issueJoinToken(
        { identity: null, room: 'standup', name: null, can: ['publish'], hidden: false },
        60,
      );
      t.equal(await refused([version]), '401 token-missing');
      t.equal(await refused([version, 'bearer.']), '401 token-invalid');
      t.equal(await refused([version, 'bearer.abc']), '401 token-invalid');
      t.equal(await refused(tunnelProtocols(`${resumeToken.slice(0, -4)}AAAA`)), '401 token-invalid');
      t.equal(await refused(tunnelProtocols(join)), '401 token-invalid', 'a join token proves no session');
      t.equal(await refused(['sallyport.v9', proof]), '400 bad-request');
      t.equal(await refused([version, proof], { origin: 'https://evil.example' }), '403 origin-not-allowed');
      t.equal(await refused([version, proof], { origin: 'null' }), '403 origin-not-allowed');
      t.equal(await refused(tunnelProtocols(edge.tokens.issueResumeToken(forged))), '404 session-unknown');
      const ended = { ...forged, node: 'pop1', session: 'gone' };
      t.equal(await refused(tunnelProtocols(edge.tokens.issueResumeToken(ended))), '404 session-unknown');
      t.equal(await refused([version, proof], { origin: `https://127.0.0.1:${String(edge.port)}` }), 'open');
      t.equal(await refused([version], { headers: { authorization: `Bearer ${resumeToken}` } }), 'open');
    });

    t.test('the control channel opens and answers', async (t) => {
      const { socket, control } = await openControl(edge);
      t.equal(socket.ws.protocol, 'sallyport.v1');
      control.send('{"type":"join","id":1}', 0);
      flush(control, socket);
      const reply = await nextText(control, socket);
      t.match(JSON.parse(reply), { type: 'reply', id: 1, ok: true, body: { of: 'join' } });
    });

    t.test('what closes a connection', async (t) => {
      const cases: Record<string, [(socket: TestSocket) => void, string]> = {
        text: [
          (socket) => {
            socket.ws.send('hello');
          },
          'protocol-error',
        ],
        'a datagram before open': [
          (socket) => {
            socket.ws.send(encodeFrame(Uint8Array.of(0x80, 0, 0)));
          },
          'protocol-error',
        ],
        'a cut frame': [
          (socket) => {
            socket.ws.send(Uint8Array.of(0, 9, 1));
          },
          'protocol-error',
        ],
        garbage: [
          (socket) => {
            socket.ws.send(new Uint8Array(1000).fill(0xab));
          },
          'protocol-error',
        ],
      };
      for (const [name, [send, code]] of Object.entries(cases)) {
        const { resumeToken } = await openSession(edge);
        const socket = await openWebSocket(edge.port, path, tunnelProtocols(resumeToken));
        send(socket);
        t.match(await socket.closed, { code: closeCodes[code as 'protocol-error'].wire, reason: code }, name);
      }
      const { resumeToken } = await openSession(edge);
      const socket = await openWebSocket(edge.port, path, tunnelProtocols(resumeToken));
      socket.ws.send(new Uint8Array(65_537));
      t.ok([1006, 1009].includes((await socket.closed).code), 'an oversized message');
    });

    t.test('a connection for audio lives beside that of the session', async (t) => {
      const audioPath = `${path}?lane=audio`;
      const { resumeToken } = await openSession(edge);
      const protocols = tunnelProtocols(resumeToken);
      const tooSoon = await webSocket(edge.port, audioPath, protocols);
      t.match(tooSoon, { status: 409, body: /no-tunnel/ });
      const forged = await webSocket(edge.port, audioPath, tunnelProtocols(`${resumeToken.slice(0, -4)}AAAA`));
      t.match(forged, { status: 401 });
      const waiting = await openWebSocket(edge.port, path, protocols);
      t.match(await webSocket(edge.port, audioPath, protocols), { status: 409 }, 'not for one that only waits');
      const { socket: main } = await openControl(edge, resumeToken);
      const another = await openWebSocket(edge.port, path, protocols);
      waiting.ws.close();
      another.ws.close();
      await Promise.all([waiting.closed, another.closed]);
      const first = await openWebSocket(edge.port, audioPath, protocols);
      const second = await openWebSocket(edge.port, audioPath, protocols);
      t.match(await first.closed, { code: closeCodes.replaced.wire }, 'there is one');
      second.ws.send(encodeFrame(new Uint8Array(100).fill(0x80)));
      second.ws.send(encodeFrame(encodeControlFrame({ type: 'ping', id: 0, time: 42 })));
      t.match(await second.closed, { code: closeCodes['protocol-error'].wire }, 'it has no control channel');
      t.equal(main.ws.readyState, main.ws.OPEN);
      const third = await openWebSocket(edge.port, audioPath, protocols);
      main.ws.close();
      t.match(await third.closed, { code: closeCodes.replaced.wire }, 'it goes with that of the session');
    });

    t.test('a second connection answers a ping, and takes over with its `open`', async (t) => {
      const { socket: first, control, resumeToken } = await openControl(edge);
      const second = await openWebSocket(edge.port, path, tunnelProtocols(resumeToken));
      second.ws.send(encodeFrame(encodeControlFrame({ type: 'ping', id: 0, time: 42 })));
      let pong: unknown = null;
      forEachFrame(await second.next(), (frame) => {
        pong = decodeControlFrame(frame);
      });
      t.match(pong, { type: 'pong', id: 0, echoedTime: 42 });
      t.equal(first.ws.readyState, first.ws.OPEN);
      control.connected(0);
      flush(control, second);
      t.match(await first.closed, { code: closeCodes.replaced.wire });
      t.equal(second.ws.readyState, second.ws.OPEN);
    });
  });
}

async function openControl(
  edge: TestEdge,
  known?: string,
): Promise<{ readonly socket: TestSocket; readonly control: ControlEndpoint; readonly resumeToken: string }> {
  const resumeToken = known ?? (await openSession(edge)).resumeToken;
  const socket = await openWebSocket(edge.port, path, tunnelProtocols(resumeToken));
  const control = new ControlEndpoint({ role: 'client', now: 0 });
  control.connected(0);
  flush(control, socket);
  if (known !== undefined) await nextWelcome(socket);
  return { socket, control, resumeToken };
}

async function nextWelcome(socket: TestSocket): Promise<void> {
  const types: (number | undefined)[] = [];
  while (!types.includes(controlType.welcome)) forEachFrame(await socket.next(), (frame) => types.push(frame[0]));
}

function flush(control: ControlEndpoint, socket: TestSocket): void {
  for (let frame = control.nextOutput(0); frame !== null; frame = control.nextOutput(0)) {
    socket.ws.send(encodeFrame(frame));
  }
}

async function nextText(control: ControlEndpoint, socket: TestSocket): Promise<string> {
  for (;;) {
    forEachFrame(await socket.next(), (frame) => control.handle(frame, 0));
    flush(control, socket);
    for (let event = control.nextEvent(); event !== null; event = control.nextEvent()) {
      if (event.type === 'message') return event.text;
    }
  }
}
