/** `node dist/gateway/libc/measure.js [datagrams]`: CPU µs per datagram, sending and receiving, on loopback. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createUdpReceiver, createUdpSender, loadLibc, UdpAddress } from './index.ts';

const datagrams = Number(process.argv[2] ?? 64_000);
const perTurn = 16;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function bound(): Promise<Socket> {
  const socket = createSocket({
    type: 'udp4',
    recvBufferSize: 4_194_304,
    // Without it, dgram defers every send by a question to the resolver.
    lookup: (host, _options, callback) => {
      callback(null, host, 4);
    },
  });
  // Bound within the call, because the lookup is.
  const listening = once(socket, 'listening');
  socket.bind(0, '127.0.0.1');
  await listening;
  return socket;
}

function cpuUs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

for (const libc of [loadLibc(), null]) {
  for (const bytes of [100, 1200]) {
    for (const shape of ['equal', 'unequal'] as const) {
      const from = await bound();
      const sink = await bound();
      const sender = createUdpSender(from, libc);
      let received = 0;
      const to = UdpAddress.parse('udp4', '127.0.0.1', sink.address().port);
      if (to === null) throw new Error('no address');
      // Growing sizes cannot be joined into segments.
      const payload = Array.from({ length: perTurn }, (_, i) => new Uint8Array(bytes + (shape === 'equal' ? 0 : i)));
      let sendUs = 0;
      let receiveUs = 0;
      for (let round = 0; round < datagrams / 512; round++) {
        // A burst into the kernel's buffer while nobody reads, then the reading of it, each on its own.
        const start = process.cpuUsage();
        for (let i = 0; i < 512 / perTurn; i++) {
          for (const datagram of payload) sender.send(datagram, to);
          sender.flush();
        }
        sendUs += cpuUs(start);
        const receiver = createUdpReceiver(sink, libc, () => received++);
        const reading = process.cpuUsage();
        const target = (round + 1) * 512;
        while (received < target) await turn();
        receiveUs += cpuUs(reading);
        receiver.close();
      }
      const per = (us: number): string => (us / received).toFixed(2);
      process.stdout.write(
        `${sender.kind} ${String(bytes)} B ${shape}: send ${per(sendUs)} receive ${per(receiveUs)} µs\n`,
      );
      sender.close();
      from.close();
      sink.close();
    }
  }
}
