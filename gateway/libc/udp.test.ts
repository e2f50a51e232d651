/** Both ways of sending with both ways of receiving, on real sockets. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import {
  createUdpReceiver,
  createUdpSender,
  libcAbsence,
  loadLibc,
  UdpAddress,
  UdpAddressCache,
  type Libc,
} from './index.ts';

const libc = loadLibc();
/** Under CI, a missing libc is a failure. */
const noLibc = libc === null && process.env['CI'] !== 'true' && 'no libc';
const hasIpv6 = Object.values(networkInterfaces()).some((infos) => infos?.some(({ address }) => address === '::1'));

t.equal(libc === null, libcAbsence() !== null);
t.equal(loadLibc(), libc, 'loaded once');

type Bind = 'udp4' | 'udp6' | 'dual';

async function bound(t: Test, bind: Bind): Promise<Socket> {
  const socket = createSocket({
    type: bind === 'udp4' ? 'udp4' : 'udp6',
    ipv6Only: bind === 'udp6',
    recvBufferSize: 4_194_304,
    sendBufferSize: 4_194_304,
  });
  t.teardown(() => {
    try {
      socket.close();
    } catch {
      // The test has closed it.
    }
  });
  const listening = once(socket, 'listening');
  socket.bind(0, { udp4: '127.0.0.1', udp6: '::1', dual: '::' }[bind]);
  await listening;
  return socket;
}

function addressOf(bind: Bind, socket: Socket): UdpAddress {
  const address = UdpAddress.parse(
    bind === 'udp4' ? 'udp4' : 'udp6',
    bind === 'udp6' ? '::1' : '127.0.0.1',
    socket.address().port,
  );
  if (address === null) throw new Error('no address');
  return address;
}

interface Heard {
  readonly bytes: Buffer;
  readonly from: UdpAddress;
}

/** Sends, and waits for that many; the bytes are copied as they come. */
async function exchange(receiver: Socket, way: Libc | null, count: number, send: () => void): Promise<Heard[]> {
  const heard: Heard[] = [];
  await new Promise<void>((resolve) => {
    const listening = createUdpReceiver(receiver, way, (datagram, from) => {
      heard.push({ bytes: Buffer.from(datagram), from });
      if (heard.length === count) {
        listening.close();
        resolve();
      }
    });
    send();
  });
  return heard;
}

/** Sizes that join into segments, that do not, and that end a run; each datagram tells its place. */
const sizes = [
  ...Array.from({ length: 100 }, () => 1200),
  ...Array.from({ length: 10 }, () => 172),
  100, 172, 172, 60, 61, 61, 1, 1, 2000, 2000, 2048, 1472, 1472, 1473, 1473, 4, 3, 2,
]; // prettier-ignore

function datagrams(): Buffer[] {
  return sizes.map((size, i) => Buffer.alloc(size, i + 1));
}

for (const bind of ['udp4', 'udp6', 'dual'] as const) {
  for (const sending of [libc, null]) {
    for (const receiving of [libc, null]) {
      const name = `${bind}, ${sending === null ? 'plain' : 'batch'} to ${receiving === null ? 'plain' : 'batch'}`;
      t.test(name, { skip: noLibc || (bind !== 'udp4' && !hasIpv6 && 'no IPv6') }, async (t) => {
        const from = await bound(t, bind);
        const to = await bound(t, bind);
        const other = await bound(t, bind);
        const sender = createUdpSender(from, sending);
        t.equal(sender.kind, sending === null ? 'plain' : 'batch');
        const expected = datagrams();
        const heard = await exchange(to, receiving, expected.length, () => {
          for (const [i, datagram] of expected.entries()) {
            t.ok(sender.send(Buffer.from(datagram), addressOf(bind, to)));
            // A stranger's in between ends a run.
            if (i % 30 === 7) sender.send(Buffer.from('x'), addressOf(bind, other));
          }
        });
        t.equal(Buffer.compare(Buffer.concat(heard.map(({ bytes }) => bytes)), Buffer.concat(expected)), 0);
        t.same(heard.map(({ bytes }) => bytes.length), sizes); // prettier-ignore
        const address = bind === 'udp6' ? '::1' : '127.0.0.1';
        t.ok(heard.every(({ from: peer }) => peer.address === address && peer.port === from.address().port));
        const first = heard[0]?.from;
        if (first === undefined) return;
        const [back] = await exchange(from, receiving, 1, () =>
          createUdpSender(to, sending).send(Buffer.from('back'), first),
        );
        t.equal(back?.bytes.toString(), 'back', 'an address that was heard can be answered');
        if (sending !== null) {
          t.ok(sender.counters.calls < 5, `${String(sender.counters.calls)} calls`);
          t.equal(sender.counters.sent, expected.length + 5);
        }
        sender.close();
        sender.close();
        t.notOk(sender.send(Buffer.from('late'), addressOf(bind, to)));
      });
    }
  }
}

t.test('more than the queue holds in one turn', { skip: noLibc }, async (t) => {
  const from = await bound(t, 'udp4');
  const to = await bound(t, 'udp4');
  const sender = createUdpSender(from, libc);
  const heard = await exchange(to, libc, 3000, () => {
    for (let i = 0; i < 3000; i++)
      sender.send(Buffer.from([i >>> 8, i & 255, ...Buffer.alloc(i % 7)]), addressOf('udp4', to));
  });
  t.same(heard.map(({ bytes }) => bytes.readUInt16BE(0)), Array.from({ length: 3000 }, (_, i) => i)); // prettier-ignore
  sender.close();
});

t.test('what the kernel refuses', { skip: noLibc }, async (t) => {
  if (libc === null) return;
  const from = await bound(t, 'udp4');
  const to = await bound(t, 'udp4');
  const target = addressOf('udp4', to);
  const broadcast = UdpAddress.parse('udp4', '255.255.255.255', 9);
  if (broadcast === null) throw new Error('no address');

  t.test('one is lost, its neighbours are not', async (t) => {
    const sender = createUdpSender(from, libc);
    const heard = await exchange(to, libc, 2, () => {
      sender.send(Buffer.from('a'), target);
      sender.send(Buffer.from('b'), broadcast);
      sender.send(Buffer.from('b'), broadcast);
      sender.send(Buffer.from('c'), target);
    });
    t.same(heard.map(({ bytes }) => bytes.toString()), ['a', 'c']); // prettier-ignore
    t.match(sender.counters, { sent: 2, failed: 2, noBuffers: 0 });
    sender.close();
  });

  // The kernel's answers that loopback never gives, at the seam where they come in; the rest is real.
  const failing = (codes: readonly number[]): Libc => {
    const left = [...codes];
    return { ...libc, sendMessages: (...call) => left.shift() ?? libc.sendMessages(...call) };
  };

  t.test('a full socket: what is queued goes later, in order', async (t) => {
    const sender = createUdpSender(from, failing([-11, -11, -4]));
    const heard = await exchange(to, libc, 4, () => {
      for (const text of ['a', 'b']) sender.send(Buffer.from(text), target);
      sender.flush();
      for (const text of ['c', 'd']) sender.send(Buffer.from(text), target);
    });
    t.equal(heard.map(({ bytes }) => bytes.toString()).join(''), 'abcd');
    t.match(sender.counters, { sent: 4, blocked: 2, failed: 0 });
    sender.close();
  });

  t.test('a socket that stays full: the queue is bounded', (t) => {
    const sender = createUdpSender(from, { ...libc, sendMessages: () => -11 });
    for (let i = 0; i < 2000; i++) sender.send(Buffer.alloc(1400 + (i % 2)), target);
    sender.flush();
    const refused = sender.counters.queueFull;
    t.ok(refused > 1600);
    sender.close();
    t.equal(sender.counters.failed, 2000 - refused);
    t.end();
  });

  t.test('no memory: that message is lost, the next goes', async (t) => {
    const sender = createUdpSender(from, failing([-105]));
    const heard = await exchange(to, libc, 1, () => {
      sender.send(Buffer.from('a'), target);
      sender.send(Buffer.from('bc'), target);
    });
    t.equal(heard[0]?.bytes.toString(), 'bc');
    t.match(sender.counters, { sent: 1, noBuffers: 1 });
    sender.close();
  });

  t.test('segments are refused: they go one by one', async (t) => {
    for (const code of [-22, -5]) {
      const sender = createUdpSender(from, failing([code]));
      const heard = await exchange(to, libc, 6, () => {
        for (const text of ['aa', 'bb', 'c', 'dd', 'ee', 'ff']) sender.send(Buffer.from(text), target);
      });
      t.equal(heard.map(({ bytes }) => bytes.toString()).join(), 'aa,bb,c,dd,ee,ff');
      t.match(sender.counters, { sent: 6, unsegmented: 1, failed: 0 });
      sender.close();
    }
  });

  t.test('a part of the batch: the rest follows', async (t) => {
    const sender = createUdpSender(from, { ...libc, sendMessages: (fd, at) => libc.sendMessages(fd, at, 1) });
    const heard = await exchange(to, libc, 3, () => {
      for (const text of ['a', 'bb', 'ccc']) sender.send(Buffer.from(text), target);
    });
    t.equal(heard.map(({ bytes }) => bytes.toString()).join(), 'a,bb,ccc');
    sender.close();
  });

  t.test('a closed socket is not written to, and neither is whoever has its number now', async (t) => {
    const closing = await bound(t, 'udp4');
    const sender = createUdpSender(closing, libc);
    sender.send(Buffer.from('a'), target);
    closing.close();
    sender.flush();
    t.match(sender.counters, { sent: 0, failed: 1, calls: 0 });
    sender.close();
  });
});

for (const way of [libc, null]) {
  t.test(`datagrams longer than any path carries, ${way === null ? 'plain' : 'batch'}`, async (t) => {
    const from = await bound(t, 'udp4');
    const to = await bound(t, 'udp4');
    const heard: number[] = [];
    const receiver = createUdpReceiver(to, way, (datagram) => heard.push(datagram.length));
    const sender = createUdpSender(from, way);
    for (const size of [2049, 2048, 4000, 0, 3]) sender.send(Buffer.alloc(size), addressOf('udp4', to));
    sender.flush();
    while (receiver.counters.received < 5) await new Promise((resolve) => setImmediate(resolve));
    t.same(heard, [2048, 0, 3]);
    t.equal(receiver.counters.oversized, 2);
    receiver.close();
    sender.close();
  });
}

t.test('a handler that throws does so alone', { skip: noLibc }, async (t) => {
  const from = await bound(t, 'udp4');
  const [bad, good] = [await bound(t, 'udp4'), await bound(t, 'udp4')];
  const thrown = new Promise<Error>((resolve) => {
    process.once('uncaughtException', resolve);
  });
  const failing = createUdpReceiver(bad, libc, () => {
    throw new Error('not my datagram');
  });
  const sender = createUdpSender(from, libc);
  const heard = await exchange(good, libc, 1, () => {
    sender.send(Buffer.from('a'), addressOf('udp4', bad));
    sender.send(Buffer.from('b'), addressOf('udp4', good));
  });
  t.equal(heard[0]?.bytes.toString(), 'b');
  t.equal((await thrown).message, 'not my datagram');
  failing.close();
  sender.close();
});

t.test('one datagram alone, and what the kernel says of it', { skip: noLibc }, async (t) => {
  if (libc === null) return;
  const from = await bound(t, 'udp4');
  const to = await bound(t, 'udp4');
  const codes: number[] = [];
  const lost: number[] = [];
  const fickle: Libc = { ...libc, sendTo: (...call) => codes.shift() ?? libc.sendTo(...call) };
  const sender = createUdpSender(from, fickle, { onLost: (count) => lost.push(count) });
  const heard = await exchange(to, libc, 2, () => {
    // Interrupted; no memory; full.
    for (const [text, code] of [
      ['a', -4],
      ['b', -105],
      ['c', -11],
    ] as const) {
      codes.push(code);
      sender.send(Buffer.from(text), addressOf('udp4', to));
      sender.flush();
    }
  });
  t.same(heard.map(({ bytes }) => bytes.toString()), ['a', 'c']); // prettier-ignore
  t.match(sender.counters, { sent: 2, blocked: 1, noBuffers: 1, failed: 0 });
  t.same(lost, [1]);
  sender.close();
});

t.test('many sockets in one turn, each with its own peers', { skip: noLibc }, async (t) => {
  const senders = await Promise.all(Array.from({ length: 20 }, () => bound(t, 'udp4')));
  const to = await bound(t, 'udp4');
  const heard = await exchange(to, libc, 20 * 30, () => {
    const lanes = senders.map((socket) => createUdpSender(socket, libc));
    for (let i = 0; i < 30; i++) {
      for (const lane of lanes) lane.send(Buffer.from([i, ...Buffer.alloc(i % 4)]), addressOf('udp4', to));
    }
  });
  for (const socket of senders) {
    const { port } = socket.address();
    t.same(
      heard.filter(({ from }) => from.port === port).map(({ bytes }) => bytes[0]),
      Array.from({ length: 30 }, (_, i) => i),
    );
  }
});

t.test('a handler that closes the socket in the middle of a batch', { skip: noLibc }, async (t) => {
  const from = await bound(t, 'udp4');
  const to = await bound(t, 'udp4');
  const closed = once(to, 'close');
  createUdpReceiver(to, libc, () => {
    to.removeAllListeners('message');
    to.close();
  });
  from.send('a', to.address().port, '127.0.0.1');
  await closed;
  t.pass();
});

t.test('addresses', (t) => {
  t.equal(UdpAddress.parse('udp4', '::1', 1), null);
  t.equal(UdpAddress.parse('udp4', 'a.b', 1), null);
  t.equal(UdpAddress.parse('udp4', '127.0.0.1', 65_536), null);
  const local = UdpAddress.parse('udp6', 'fe80::1%3', 7);
  t.match(local, { address: 'fe80::1', port: 7, socketText: 'fe80::1%3' });
  t.equal(local?.sockaddr[24], 3);
  const mapped = UdpAddress.parse('udp6', '192.0.2.1', 7);
  t.match(mapped, { address: '192.0.2.1', socketText: '::ffff:192.0.2.1' });
  if (mapped === null || local === null) throw new Error('no address');
  const again = UdpAddress.fromSockaddr('udp6', mapped.sockaddr, 0);
  t.ok(again.equals(mapped));
  t.match(again, { address: '192.0.2.1', port: 7, socketText: '::ffff:192.0.2.1' });
  t.notOk(again.equals(local));
  const cache = new UdpAddressCache('udp6', 1);
  const first = cache.fromSockaddr(mapped.sockaddr, 0);
  t.equal(cache.fromSockaddr(mapped.sockaddr, 0), first);
  t.equal(cache.fromText('::ffff:192.0.2.1', 7), first);
  t.equal(cache.fromText('fe80::1%3', 7).address, 'fe80::1');
  t.not(cache.fromSockaddr(mapped.sockaddr, 0), first, 'pushed out');
  t.throws(() => new UdpAddressCache('udp4', 3));
  t.end();
});
