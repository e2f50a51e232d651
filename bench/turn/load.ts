/** The load of the TURN bench: clients and the peer that answers them, in a process of their own. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { serveCommands } from '../harness/worker-process.ts';
import { frameBytes, LoadClient, LoadCounter, type LoadTarget } from './load-client.ts';

export interface LoadShape {
  readonly bytes: number;
  /** Datagrams that a client sends at once. */
  readonly burst: number;
  readonly intervalMs: number;
  readonly durationMs: number;
}

export interface LoadReading {
  readonly sent: number;
  readonly received: number;
}

/** What a burst leaves in the sockets has to arrive by then. */
const drainMs = 2000;

interface Group {
  readonly target: LoadTarget;
  readonly counter: LoadCounter;
  readonly clients: LoadClient[];
}

const groups = new Map<string, Group>();
let peer: Socket | null = null;

serveCommands({
  /** Opens the peer: it sends back what it gets. */
  async startPeer(): Promise<number> {
    const socket = createSocket({
      type: 'udp4',
      recvBufferSize: 4_194_304,
      sendBufferSize: 4_194_304,
      lookup: (name, _options, callback) => {
        callback(null, name, 4);
      },
    });
    const bound = once(socket, 'listening');
    socket.bind(0, '127.0.0.1');
    await bound;
    let answers: { readonly datagram: Uint8Array; readonly port: number }[] = [];
    // What came as a burst goes back as one.
    const answer = (): void => {
      for (const { datagram, port } of answers) socket.send(datagram, port, '127.0.0.1');
      answers = [];
    };
    socket.on('message', (datagram, { port }) => {
      if (answers.push({ datagram, port }) === 1) setImmediate(answer);
    });
    peer = socket;
    return socket.address().port;
  },
  async connect({ name, target, clients }: { name: string; target: LoadTarget; clients: number }): Promise<void> {
    const group: Group = { target, counter: new LoadCounter(), clients: [] };
    groups.set(name, group);
    for (let i = 0; i < clients; i++) group.clients.push(await LoadClient.open(target, group.counter));
  },
  /** One datagram each that no answer is waited for, so that an SFU gets to know the clients. */
  introduce(name: string): void {
    const { target, clients } = groupOf(name);
    const message = LoadClient.message(target.transport, new Uint8Array(20), 1);
    for (const client of clients) client.send(message, 1);
  },
  /** Every client sends a burst per interval; the clients are spread evenly over the interval, as real ones are. */
  async send({ name, shape }: { name: string; shape: LoadShape }): Promise<LoadReading> {
    const { target, counter, clients } = groupOf(name);
    const { bytes, burst, intervalMs, durationMs } = shape;
    counter.bytes = 0;
    const message = LoadClient.message(target.transport, new Uint8Array(bytes).fill(0x80), burst);
    const rounds = Math.round(durationMs / intervalMs);
    const start = performance.now();
    for (let round = 0; round < rounds; round++) {
      for (const [index, client] of clients.entries()) {
        await until(start + (round + index / clients.length) * intervalMs);
        client.send(message, burst);
      }
    }
    const sent = rounds * clients.length * burst;
    const perDatagram = frameBytes(target.transport, bytes);
    const deadline = performance.now() + drainMs;
    while (counter.bytes < sent * perDatagram && performance.now() < deadline) await until(performance.now() + 2);
    return { sent, received: counter.bytes / perDatagram };
  },
  disconnect(name: string): void {
    for (const client of groupOf(name).clients) client.close();
    groups.delete(name);
  },
  stopPeer(): void {
    peer?.close();
  },
});

function groupOf(name: string): Group {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`no clients named ${name}`);
  return group;
}

/** Lets the event loop turn at least once: who is late must read all the same. */
async function until(moment: number): Promise<void> {
  for (;;) {
    const wait = moment - performance.now();
    await (wait > 2 ? new Promise((resolve) => setTimeout(resolve, wait - 1)) : new Promise(setImmediate));
    if (performance.now() >= moment) return;
  }
}
