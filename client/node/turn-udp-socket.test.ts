import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { TurnUdpSocket } from './turn-udp-socket.ts';
import type { ResolveHost } from './turn-udp-socket.ts';

interface Watched {
  readonly socket: TurnUdpSocket;
  readonly opened: Promise<void>;
  readonly message: Promise<string>;
  readonly failed: Promise<string>;
}

function open(t: Test, port: number, resolve?: ResolveHost): Watched {
  let opened!: () => void;
  let message!: (text: string) => void;
  let failed!: (reason: string) => void;
  const isOpen = new Promise<void>((done) => (opened = done));
  const heard = new Promise<string>((done) => (message = done));
  const ended = new Promise<string>((done) => (failed = done));
  const events = {
    opened: () => {
      opened();
    },
    message: (bytes: Uint8Array) => {
      message(Buffer.from(bytes).toString());
    },
    failed,
  };
  const socket = new TurnUdpSocket(
    'turn.example',
    port,
    events,
    resolve ??
      ((_, done) => {
        done(null, ['127.0.0.1']);
      }),
  );
  t.teardown(() => {
    socket.close();
  });
  return { socket, opened: isOpen, message: heard, failed: ended };
}

async function echoAt(t: Test, address: string): Promise<number> {
  const server = createSocket('udp4').bind(0, address);
  await once(server, 'listening');
  server.on('message', (bytes, { port, address }) => {
    server.send(`echo of ${bytes.toString()}`, port, address);
  });
  t.teardown(() => {
    server.close();
  });
  return server.address().port;
}

t.test('an address that refuses, and one that cannot be reached, give way to the next', async (t) => {
  const port = await echoAt(t, '127.0.0.2');
  for (const first of ['127.0.0.3', '255.255.255.255']) {
    const { socket, opened, message } = open(t, port, (_, done) => {
      done(null, [first, '127.0.0.2']);
    });
    await opened;
    socket.write(Buffer.from('hello'));
    t.equal(await message, 'echo of hello', `after ${first}`);
  }
});

t.test('no address is left, or there never was one', async (t) => {
  const port = await echoAt(t, '127.0.0.2');
  const refused = open(t, port, (_, done) => {
    done(null, ['127.0.0.3', '127.0.0.4']);
  });
  await refused.opened;
  refused.socket.write(Buffer.from('hello'));
  t.equal(await refused.failed, 'ECONNREFUSED');
  const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND turn.example'), { code: 'ENOTFOUND' });
  const nameless = open(t, port, (_, done) => {
    setImmediate(done, unknown, []);
  });
  t.equal(await nameless.failed, 'ENOTFOUND');
});

t.test('after it has answered once, a refusal is not the end', async (t) => {
  const server = createSocket('udp4').bind(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const { socket, opened, message, failed } = open(t, port);
  await opened;
  const first = once(server, 'message') as Promise<[Buffer, { port: number }]>;
  socket.write(Buffer.from('a'));
  const [, client] = await first;
  server.send('b', client.port, '127.0.0.1');
  t.equal(await message, 'b');
  server.close();
  await once(server, 'close');
  for (let i = 0; i < 3; i++) {
    socket.write(Buffer.from('c'));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const again = createSocket('udp4').bind(port, '127.0.0.1');
  await once(again, 'listening');
  const heard = once(again, 'message') as Promise<[Buffer]>;
  socket.write(Buffer.from('d'));
  t.equal((await heard)[0].toString(), 'd');
  again.close();
  await Promise.race([failed.then((reason) => t.fail(reason)), new Promise((resolve) => setImmediate(resolve))]);
});
