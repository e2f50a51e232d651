import t from 'tap';
import {
  closeCodes,
  ControlEndpoint,
  controlLimits,
  decodeControlFrame,
  encodeControlFrame,
} from '../tunnel-protocol/index.ts';
import type { Path } from '../tunnel-protocol/index.ts';
import { ControlSession } from './control-session.ts';
import { createCounters } from './counters.ts';

/** A session and its client, joined by a path that can be told to take no more. */
function pair(): {
  session: ControlSession;
  client: ControlEndpoint;
  happened: string[];
  connect: (now: number) => { path: Path; full: boolean };
} {
  const happened: string[] = [];
  const client = new ControlEndpoint({ role: 'client', now: 0 });
  const session: ControlSession = new ControlSession(
    7,
    {
      onMessage: (text) => happened.push(`message ${text}`),
      onReport: () => null,
      onOpen: () => happened.push('open'),
      onTaken: () => undefined,
      onLost: () => happened.push('lost'),
      onEnded: (reason) => happened.push(`ended ${reason}`),
    },
    createCounters().sfu,
    0,
  );
  const connect = (now: number): { path: Path; full: boolean } => {
    const frames: Uint8Array[] = [];
    const path: Path = {
      kind: 'websocket',
      reliable: true,
      ordered: true,
      mtu: 2048,
      remote: { address: '127.0.0.1', port: 1 },
      owner: null,
      send: (frame) => {
        if (connection.full) return false;
        frames.push(frame);
        return true;
      },
      bind: () => undefined,
      unbind: () => undefined,
      close: (code) => {
        happened.push(`closed ${String(code)}`);
        for (const frame of frames.splice(0)) client.handle(frame, now);
        client.disconnected(now);
      },
    };
    const connection = { path, full: false };
    client.connected(now);
    session.attach(path, now);
    exchange(session, client, path, frames, now);
    return connection;
  };
  return { session, client, happened, connect };
}

function exchange(
  session: ControlSession,
  client: ControlEndpoint,
  path: Path,
  frames: Uint8Array[],
  now: number,
): void {
  for (;;) {
    const frame = client.nextOutput(now);
    if (frame !== null) session.receive(path, frame, now);
    const reply = frames.shift();
    if (reply !== undefined) client.handle(reply, now);
    if (frame === null && reply === undefined) return;
  }
}

const event = (id: string): string => JSON.stringify({ type: 'participant-left', id });

function received(client: ControlEndpoint): string[] {
  const ids: string[] = [];
  for (let next = client.nextEvent(); next !== null; next = client.nextEvent()) {
    if (next.type === 'message') ids.push((JSON.parse(next.text) as { id: string }).id);
    else if (next.type !== 'round-trip') ids.push(next.type);
  }
  return ids;
}

t.test('a connection that takes no more is ended, and the next one brings everything', (t) => {
  const { session, client, happened, connect } = pair();
  const first = connect(0);
  first.full = true;
  session.send(event('a'), 1);
  session.flush(1);
  t.strictSame(happened, ['open', `closed ${String(closeCodes['slow-reader'].wire)}`, 'lost']);
  t.equal(session.path, null);
  t.equal(session.disconnectedAt, 1);
  session.send(event('b'), 2);
  received(client);
  connect(3);
  t.strictSame(received(client), ['welcome', 'a', 'b']);
  t.equal(session.disconnectedAt, null);
  t.end();
});

t.test('what was said before the end is delivered, then why it ended', (t) => {
  const { session, client, happened, connect } = pair();
  connect(0);
  received(client);
  session.send(event('a'), 1);
  session.close('kicked', 1);
  t.strictSame(received(client), ['a', 'close']);
  t.strictSame(happened, ['open', `closed ${String(closeCodes.kicked.wire)}`]);
  session.close('normal', 2);
  t.equal(happened.length, 2, 'once');
  t.end();
});

t.test('a silent connection is given up', (t) => {
  const { session, happened, connect } = pair();
  connect(0);
  session.tick(controlLimits.silentAfterMs - 1);
  t.strictSame(happened, ['open']);
  session.tick(controlLimits.silentAfterMs);
  t.strictSame(happened, ['open', `closed ${String(closeCodes.idle.wire)}`, 'lost']);
  t.end();
});

t.test('a client that says goodbye ends the session; one that will resume does not', (t) => {
  const leaving = pair();
  const left = leaving.connect(0);
  leaving.client.close('normal', '', 1);
  const goodbye = leaving.client.nextOutput(1);
  if (goodbye !== null) leaving.session.receive(left.path, goodbye, 1);
  t.ok(leaving.happened.includes('ended left'));
  t.not(leaving.session.path, left.path);

  const moving = pair();
  const { path } = moving.connect(0);
  moving.client.close('idle', '', 1);
  const pause = moving.client.nextOutput(1);
  if (pause !== null) moving.session.receive(path, pause, 1);
  t.equal(moving.happened.at(-1), 'lost');
  t.equal(
    moving.happened.some((what) => what.startsWith('ended')),
    false,
  );
  t.end();
});

t.test('more than the client may leave unacknowledged is refused', (t) => {
  const { session } = pair();
  const large = event('x'.repeat(60_000));
  let taken = 0;
  while (session.send(large, 0)) taken++;
  t.equal(taken, Math.floor(controlLimits.maxUnackedBytes / JSON.stringify(large).length));
  t.end();
});

t.test('a new connection answers pings, and takes over with its `open`', (t) => {
  const { session, happened, connect } = pair();
  const first = connect(0);
  const frames: Uint8Array[] = [];
  const closes: number[] = [];
  const candidate = (): Path => ({
    ...first.path,
    send: (frame) => {
      frames.push(frame);
      return true;
    },
    close: (code) => {
      closes.push(code);
    },
  });
  const second = candidate();
  session.attach(second, 10);
  session.receive(second, encodeControlFrame({ type: 'ping', id: 0, time: 5 }), 10);
  t.match(decodeControlFrame(frames[0] as Uint8Array), { type: 'pong', id: 0, echoedTime: 5, time: 10 });
  t.equal(session.path, first.path);
  t.strictSame(happened, ['open'], 'the first one goes on');
  session.receive(second, encodeControlFrame({ type: 'open', version: 1, capabilities: 0, lastReceived: 0 }), 11);
  t.equal(session.path, second);
  t.strictSame(happened, ['open', `closed ${String(closeCodes.replaced.wire)}`, 'lost', 'open']);

  for (const bytes of [Uint8Array.of(0xf2, 0, 0, 0, 1), Uint8Array.of(0xf0), Uint8Array.of(0xf7, 1)]) {
    const wrong = candidate();
    session.attach(wrong, 12);
    session.receive(wrong, bytes, 12);
    t.equal(session.path, second, 'a fault there is no fault of the session');
  }
  t.end();
});

t.test('connections that never open are few, and not for ever', (t) => {
  const { session, happened, connect } = pair();
  const first = connect(0);
  const closes: string[] = [];
  const attach = (name: string, now: number): Path => {
    const path = { ...first.path, send: () => true, close: (code: number) => closes.push(`${name} ${String(code)}`) };
    session.attach(path, now);
    return path;
  };
  const paths = ['a', 'b', 'c', 'd', 'e'].map((name) => attach(name, 1));
  t.strictSame(closes, [`a ${String(closeCodes.replaced.wire)}`]);
  session.receive(paths[1] as Path, encodeControlFrame({ type: 'close', wire: 4000, reason: '' }), 2);
  session.receive(first.path, encodeControlFrame({ type: 'ping', id: 1, time: 0 }), 5000);
  session.receive(paths[4] as Path, encodeControlFrame({ type: 'ping', id: 0, time: 0 }), 5000);
  session.tick(controlLimits.silentAfterMs + 1);
  const { normal, idle, kicked } = closeCodes;
  t.strictSame(closes.slice(1), [`b ${String(normal.wire)}`, `c ${String(idle.wire)}`, `d ${String(idle.wire)}`]);
  t.equal(session.path, first.path);
  session.close('kicked', 20_000);
  t.equal(closes.at(-1), `e ${String(kicked.wire)}`);
  t.equal(happened.filter((what) => what === 'lost').length, 5, 'the owner forgets each');
  t.end();
});
