/** How each kind of client comes to an edge, and what it does there. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import WebSocket from 'ws';
import { ControlEndpoint, encodeFrame, FrameDecoder, stunClass } from '../../tunnel-protocol/index.ts';
import { dial } from '../testing/dial.ts';
import { bindingRequest, TurnStreamClient } from '../testing/turn-stream-client.ts';
import { crowdKinds, type CrowdKind, type CrowdPlan } from './plan.ts';

/** Uses the connection once more; true when it was served. */
type Use = () => Promise<boolean>;

export interface Visit {
  readonly socket: Socket;
  readonly use: Use;
}

/** HTTP/1.1 is closed by servers after ten idle seconds; checks and pings are due in the same measure. */
const keepAliveMs = 4000;
/** h2 is closed after two minutes. */
const keepAliveHttp2Ms = 30_000;

/** Each opens a connection that keeps itself alive. They reject when it is refused. */
export const openers: Record<CrowdKind, (plan: CrowdPlan, index: number) => Promise<Visit>> = {
  h2: openHttp2,
  websocket: openTunnel,
  http1: openHttp1,
  'turn-tls': (plan, index) => openTurn(plan, index, []),
  'turn-tcp': (plan, index) => openTurn(plan, plan.count + index, null),
  'ice-tcp': openIceTcp,
};

/** Each kind comes from an address of its own, as clients of several networks would. */
function from(kind: CrowdKind): string {
  return `127.0.0.${String(10 + crowdKinds.indexOf(kind))}`;
}

async function openHttp2({ port }: CrowdPlan): Promise<Visit> {
  const socket = await dial(port, { from: from('h2'), alpn: ['h2', 'http/1.1'] });
  const session = connectHttp2('https://edge.example', { createConnection: () => socket });
  session.on('error', () => undefined);
  const use = async (): Promise<boolean> => {
    const stream = session.request({ ':path': '/' });
    let status = 0;
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    stream.on('error', () => undefined).resume();
    await new Promise((resolve) => stream.once('close', resolve));
    return status === 200;
  };
  keepAlive(socket, use, keepAliveHttp2Ms);
  return { socket, use };
}

async function openHttp1({ port }: CrowdPlan): Promise<Visit> {
  const socket = await dial(port, { from: from('http1'), alpn: ['http/1.1'] });
  const use = async (): Promise<boolean> =>
    (await exchange(socket, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n')).status === 200;
  let busy: Promise<boolean> = Promise.resolve(true);
  const inTurn = (): Promise<boolean> => (busy = busy.then(use));
  keepAlive(socket, inTurn);
  return { socket, use: inTurn };
}

/** A session of its own for each, and its tunnel. */
async function openTunnel({ port }: CrowdPlan, index: number): Promise<Visit> {
  const asking = await dial(port, { from: from('websocket'), alpn: ['http/1.1'] });
  const body = JSON.stringify({ room: `r${String(index % 50)}`, client: { kind: 'crowd', version: '1' } });
  const head = `POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}`;
  const { status, body: answer } = await exchange(asking, `${head}\r\n\r\n${body}`);
  asking.destroy();
  if (status !== 201) throw new Error(String(status));
  const { resumeToken } = JSON.parse(answer) as { resumeToken: string };
  const socket = await dial(port, { from: from('websocket'), alpn: ['http/1.1'] });
  const bearer = `bearer.${Buffer.from(resumeToken).toString('base64url')}`;
  const ws = new WebSocket('ws://a/tunnel/v1/ws', ['sallyport.v1', bearer], { createConnection: () => socket });
  ws.on('error', () => undefined);
  const control = new ControlEndpoint({ role: 'client', now: performance.now() });
  const decoder = new FrameDecoder();
  let answered = (): void => undefined;
  const flush = (): void => {
    for (let out = control.nextOutput(performance.now()); out !== null; out = control.nextOutput(performance.now())) {
      if (ws.readyState === ws.OPEN) ws.send(encodeFrame(out));
    }
  };
  ws.on('message', (message: Buffer) => {
    decoder.push(message);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) control.handle(frame, performance.now());
    for (let event = control.nextEvent(); event !== null; event = control.nextEvent()) {
      if (event.type === 'message') answered();
    }
    flush();
  });
  await once(ws, 'open');
  control.connected(performance.now());
  let id = 0;
  keepAlive(socket, () => {
    control.handleTimeout(performance.now());
    flush();
    return Promise.resolve(true);
  });
  const use = (): Promise<boolean> => {
    const reply = new Promise<boolean>((resolve) => {
      answered = () => {
        resolve(true);
      };
      ws.once('close', () => {
        resolve(false);
      });
    });
    control.send(JSON.stringify({ type: 'join', id: ++id }), performance.now());
    flush();
    return reply;
  };
  return { socket, use };
}

async function openTurn(plan: CrowdPlan, index: number, alpn: readonly [] | null): Promise<Visit> {
  const kind = alpn === null ? 'turn-tcp' : 'turn-tls';
  const client = new TurnStreamClient(await dial(plan.port, { from: from(kind), alpn }));
  const user = plan.turnUsers[index % plan.turnUsers.length];
  if (user === undefined || !(await client.allocate(user))) throw new Error('no allocation');
  const use = async (): Promise<boolean> => (await client.ask(bindingRequest()))?.messageClass === stunClass.success;
  return { socket: client.socket, use };
}

async function openIceTcp({ port, checks }: CrowdPlan, index: number): Promise<Visit> {
  const socket = await dial(port, { from: from('ice-tcp'), alpn: null });
  const check = encodeFrame(Buffer.from(checks[index % checks.length] ?? '', 'hex'));
  const use = async (): Promise<boolean> => {
    socket.write(check);
    const bytes = await nextBytes(socket);
    // Behind the length: a success response of Binding.
    return bytes !== null && bytes.length > 4 && bytes.readUInt16BE(2) === 0x0101;
  };
  let busy: Promise<boolean> = Promise.resolve(true);
  const inTurn = (): Promise<boolean> => (busy = busy.then(use));
  keepAlive(socket, inTurn);
  return { socket, use: inTurn };
}

function keepAlive(socket: Socket, use: Use, everyMs = keepAliveMs): void {
  const timer = setInterval(() => void use().catch(() => false), everyMs);
  socket.once('close', () => {
    clearInterval(timer);
  });
}

/** Of HTTP/1.1 with Content-Length, on a connection that stays. */
async function exchange(socket: Socket, request: string): Promise<{ status: number; body: string }> {
  socket.write(request);
  let text = '';
  for (;;) {
    const bytes = await nextBytes(socket);
    if (bytes === null) return { status: 0, body: '' };
    text += bytes.toString();
    const end = text.indexOf('\r\n\r\n');
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (end === -1 || text.length < end + 4 + length) continue;
    return { status: Number(text.slice(9, 12)), body: text.slice(end + 4) };
  }
}

/** Null: the connection has ended. */
function nextBytes(socket: Socket): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const settle = (bytes: Buffer | null): void => {
      socket.off('data', settle).off('close', ended);
      resolve(bytes);
    };
    const ended = (): void => {
      settle(null);
    };
    if (socket.destroyed) resolve(null);
    else socket.on('data', settle).on('close', ended);
  });
}
