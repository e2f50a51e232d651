import t from 'tap';
import { closeCodes, ControlEndpoint, controlLimits } from '../tunnel-protocol/index.ts';
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
      onOpen: () => happened.push('open'),
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
    exchange(session, client, frames, now);
    return connection;
  };
  return { session, client, happened, connect };
}

function exchange(session: ControlSession, client: ControlEndpoint, frames: Uint8Array[], now: number): void {
  for (;;) {
    const frame = client.nextOutput(now);
    if (frame !== null) session.receive(frame, now);
    const reply = frames.shift();
    if (reply !== undefined) client.handle(reply, now);
    if (frame === null && reply === undefined) return;
  }
}

const event = (id: string): { readonly type: 'participant-left'; readonly id: string } => ({
  type: 'participant-left',
  id,
});

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
  if (goodbye !== null) leaving.session.receive(goodbye, 1);
  t.ok(leaving.happened.includes('ended left'));
  t.not(leaving.session.path, left.path);

  const moving = pair();
  moving.connect(0);
  moving.client.close('idle', '', 1);
  const pause = moving.client.nextOutput(1);
  if (pause !== null) moving.session.receive(pause, 1);
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
