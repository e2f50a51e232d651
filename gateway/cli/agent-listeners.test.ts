/** Where the agent listens, as whoever means no good finds it. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { TurnAgent } from '../../turn/index.ts';
import { AgentListeners } from './agent-listeners.ts';

const loopback = '127.0.0.1';
const patienceMs = 500;

t.test('whoever proves nothing is closed, however busy he is', async (t) => {
  const now = (): number => performance.now();
  const deps = { now, random: randomBytes, send: () => false };
  const agent = new TurnAgent({ realm: 'test', username: 'u', credential: 'p' }, deps);
  const listeners = await AgentListeners.open(agent, loopback, 0, patienceMs);
  t.teardown(async () => {
    agent.close();
    await listeners.close();
  });
  for (const [why, bytes, drips] of [
    ['what a page of the browser can make it send', Buffer.from('POST / HTTP/1.1\r\n'), false],
    ['a request that never ends', Buffer.from('000104002112a442', 'hex'), true],
    ['silence', Buffer.alloc(0), false],
  ] as const) {
    const socket = connect(listeners.port, loopback);
    socket.on('error', () => undefined);
    socket.write(bytes);
    const dripping = drips ? setInterval(() => socket.write('x'), patienceMs / 10) : undefined;
    await once(socket, 'close');
    clearInterval(dripping);
    t.pass(why);
  }

  const udp = createSocket('udp4').bind(0, loopback);
  await once(udp, 'listening');
  t.teardown(() => udp.close());
  const answers: Buffer[] = [];
  udp.on('message', (answer) => answers.push(answer));
  for (let i = 0; i < 200; i++) udp.send(randomBytes(1 + (i % 60)), listeners.port, loopback);
  // A Binding request with nothing in it, which is answered: what came before it was looked at.
  udp.send(Buffer.from('000100002112a442000000000000000000000000', 'hex'), listeners.port, loopback);
  while (!answers.some((answer) => answer.readUInt16BE(0) === 0x0101)) await once(udp, 'message');
  t.equal(answers.length, 1, 'nothing else was answered');
});
