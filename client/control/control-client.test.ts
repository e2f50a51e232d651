import t from 'tap';
import type { Test } from 'tap';
import type { SignalEvent, SignalRequest } from '../../tunnel-protocol/index.ts';
import { ClientError } from '../errors.ts';
import { nodeSocketFactory } from '../node/node-socket.ts';
import { TunnelServer } from '../testing/tunnel-server.ts';
import type { TunnelServerOptions } from '../testing/tunnel-server.ts';
import { ControlClient } from './control-client.ts';
import type { ControlClientEvents } from './control-client.ts';

const openSocket = nodeSocketFactory({ rejectUnauthorized: true });
const participant = { id: 'p1', identity: 'ada', name: 'Ada', publications: [], status: {} };

function answer(request: SignalRequest): SignalEvent {
  const { id } = request;
  if (request.type === 'join') {
    return { type: 'reply', id, ok: true, body: { of: 'join', self: participant, participants: [] } };
  }
  if (request.type === 'offer') return { type: 'reply', id, ok: true, body: { of: 'status' } };
  if (request.type === 'mute')
    return { type: 'reply', id, ok: false, error: { code: 'unknown-source', message: 'No.' } };
  return { type: 'reply', id, ok: true, body: { of: request.type } };
}

async function pair(
  t: Test,
  options: TunnelServerOptions = {},
  graceMs = 5000,
): Promise<{ server: TunnelServer; control: ControlClient }> {
  const server = new TunnelServer({ reply: answer, ...options });
  const url = await server.listen();
  const control = new ControlClient({ url, resumeToken: 'täken', openSocket, graceMs, random: () => 0 });
  t.teardown(async () => {
    control.close();
    await server.close();
  });
  return { server, control };
}

function next<K extends keyof ControlClientEvents>(control: ControlClient, name: K): Promise<ControlClientEvents[K]> {
  return new Promise((resolve) => {
    control.once(name, resolve);
  });
}

t.test('requests made before the connection are answered; the session is proved by subprotocol', async (t) => {
  const { server, control } = await pair(t);
  const join = control.request({ type: 'join' });
  const status = control.request({ type: 'status', status: { hand: true } });
  control.connect();
  control.connect();
  t.match(await join, { of: 'join', self: { id: 'p1' } });
  t.same(await status, { of: 'status' });
  t.same(server.offered, [['sallyport.v1', `bearer.${Buffer.from('täken').toString('base64url')}`]]);
  t.equal(server.connections, 1);
  t.ok(control.connected);
});

t.test('refusals, wrong replies and unreadable events', async (t) => {
  const { server, control } = await pair(t);
  control.connect();
  await t.rejects(control.request({ type: 'mute', source: 'camera', muted: true }), {
    code: 'refused',
    serverCode: 'unknown-source',
  });
  await t.rejects(control.request({ type: 'offer', sdp: 'v=0' }), { code: 'bad-answer' });
  const event = next(control, 'event');
  server.text('{"type":"of-the-future"}');
  server.text('nonsense');
  server.event({ type: 'participant-left', id: 'p2' });
  t.same(await event, { type: 'participant-left', id: 'p2' });
  t.equal(control.unreadableEvents, 2);
});

t.test('datagrams go both ways; those of one task share a message', async (t) => {
  const { server, control } = await pair(t);
  t.notOk(control.sendDatagram(Uint8Array.of(1)), 'not before the connection');
  const connected = next(control, 'connected');
  control.connect();
  t.same(await connected, { resumed: false });
  const before = server.messages.length;
  for (let i = 0; i < 10; i++) t.ok(control.sendDatagram(Uint8Array.of(0x80, i)));
  t.notOk(control.sendDatagram(new Uint8Array(2049)), 'longer than a frame');
  await control.request({ type: 'leave' });
  t.equal(server.datagrams.length, 10);
  t.ok(server.messages.length <= before + 2, 'ten datagrams and a request in few messages');
  const datagram = new Promise<Uint8Array>((resolve) => {
    control.once('datagram', (bytes) => {
      resolve(Uint8Array.from(bytes));
    });
  });
  server.sendDatagram(Uint8Array.of(0x80, 42));
  t.same(await datagram, Uint8Array.of(0x80, 42));
});

t.test('a lost connection is made again and no message is lost', async (t) => {
  const { server, control } = await pair(t);
  const seen: string[] = [];
  control.on('event', (event) => {
    if (event.type === 'participant-left') seen.push(event.id);
  });
  control.connect();
  await next(control, 'connected');
  for (let round = 0; round < 3; round++) {
    const disconnected = next(control, 'disconnected');
    const resumed = next(control, 'connected');
    server.cut();
    await disconnected;
    t.notOk(control.connected);
    server.event({ type: 'participant-left', id: `while-away-${String(round)}` });
    const reply = control.request({ type: 'subscribe', main: null, audio: true, video: true });
    t.same(await resumed, { resumed: true });
    t.same(await reply, { of: 'subscribe' });
  }
  t.same(seen, ['while-away-0', 'while-away-1', 'while-away-2']);
  t.equal(server.connections, 4);
});

t.test('drain: it moves to another connection after the time it was told, and is never without one', async (t) => {
  const { server, control } = await pair(t);
  control.on('disconnected', () => t.fail('it was without a connection'));
  control.connect();
  await next(control, 'connected');
  const moved = next(control, 'moved');
  server.drain(10, 10);
  t.same(await moved, { from: 'websocket', to: 'websocket' });
  t.equal(server.connections, 2);
  t.ok(control.connected);
  await control.request({ type: 'leave' });
});

t.test('closes that end the session', async (t) => {
  for (const [code, expected] of [
    ['kicked', 'kicked'],
    ['replaced', 'replaced'],
    ['session-ended', 'session-ended'],
    ['unknown-session', 'session-lost'],
  ] as const) {
    const { server, control } = await pair(t);
    control.connect();
    await next(control, 'connected');
    const closed = next(control, 'closed');
    const asked = t.rejects(control.request({ type: 'leave' }), ClientError);
    server.closeSession(code, 'because');
    t.equal((await closed).error?.code, expected);
    await asked;
    t.ok(control.closed);
    await t.rejects(control.request({ type: 'leave' }), { code: 'left' });
  }
});

t.test('a server that breaks the protocol is left', async (t) => {
  for (const message of [Uint8Array.of(0, 0), Uint8Array.of(0, 1, 0xf0), Uint8Array.of(9, 9, 9)]) {
    const { server, control } = await pair(t, {}, 50);
    control.connect();
    await next(control, 'connected');
    const closed = next(control, 'closed');
    server.sendRaw(message);
    t.equal((await closed).error?.code, 'session-lost');
  }
});

t.test('a refused upgrade is final when trying again is useless', async (t) => {
  const body = JSON.stringify({ code: 'session-unknown', detail: 'No such session.' });
  const refused = await pair(t, { refuse: { status: 404, body } });
  const closed = next(refused.control, 'closed');
  refused.control.connect();
  t.match((await closed).error, { code: 'session-lost', message: /No such session/ });

  const other = await pair(t, { subprotocol: 'chat' }, 50);
  const ended = next(other.control, 'closed');
  other.control.connect();
  t.equal((await ended).error?.code, 'edge-not-sallyport');
});

t.test('it gives up when the session must have ended', async (t) => {
  const { server, control } = await pair(t, {}, 300);
  control.connect();
  await next(control, 'connected');
  const reply = t.rejects(control.request({ type: 'leave' }), { code: 'connection-lost' });
  const closed = next(control, 'closed');
  server.refuse = { status: 503, body: '' };
  server.cut();
  t.match((await closed).error, { code: 'connection-lost', message: /HTTP 503/ });
  await reply;
});

t.test('close: the server hears why, waiting requests are rejected, nothing is left running', async (t) => {
  const { control } = await pair(t);
  const never = new ControlClient({ url: 'ws://127.0.0.1:1/', resumeToken: '', openSocket, graceMs: 1000 });
  never.close();
  never.connect();
  t.ok(never.closed);
  control.connect();
  await next(control, 'connected');
  const closed = next(control, 'closed');
  const reply = t.rejects(control.request({ type: 'leave' }), { code: 'left' });
  control.close('bye');
  control.close();
  t.same(await closed, { error: null });
  await reply;
});
