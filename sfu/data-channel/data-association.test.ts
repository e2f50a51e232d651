/** Two associations over a network in memory that loses what it is told to. SCTP's timers are real: they take a second. */
import t from 'tap';
import type { Test } from 'tap';
import { createDataCounters, dataLimits } from '../../tunnel-protocol/index.ts';
import type {
  DataAssociation,
  DataChannel,
  DataEndReason,
  DataMessage,
  DataReliability,
} from '../../tunnel-protocol/index.ts';
import { createDataAssociation } from './sctp.ts';

interface End {
  readonly association: DataAssociation;
  readonly counters: ReturnType<typeof createDataCounters>;
  readonly messages: { readonly channel: DataChannel; readonly message: DataMessage }[];
  readonly closed: DataChannel[];
  readonly ended: DataEndReason[];
}

interface Pair {
  readonly client: End;
  readonly server: End;
  /** Whether the network loses this packet; the packet is the loser's to look at. */
  lose: (from: 'client' | 'server', packet: Uint8Array) => boolean;
  /** Resolves when the condition holds, which is looked at whenever something happens. */
  until(condition: () => boolean): Promise<void>;
}

/** Ceilings: nothing waits for them when all is well. */
const patienceMs = 80_000;
const timeout = 100_000;
const reliable: DataReliability = { kind: 'reliable' };

function connect(t: Test): Pair {
  const watchers = new Set<() => void>();
  const happened = (): void => {
    for (const watch of watchers) watch();
  };
  const create = (role: 'client' | 'server', other: () => End): End => {
    const end: Omit<End, 'association'> = { counters: createDataCounters(), messages: [], closed: [], ended: [] };
    const association = createDataAssociation(
      {
        role,
        remotePort: 5000,
        remoteMaxMessageBytes: 65_536,
        counters: end.counters,
        send: (packet) => {
          if (pair.lose(role, packet)) return;
          setImmediate(() => {
            other().association.receive(packet);
            setImmediate(happened);
          });
        },
      },
      {
        onConnected: happened,
        onMessage: (channel, message) => {
          end.messages.push({ channel, message });
          happened();
        },
        onChannelClosed: (channel) => {
          end.closed.push(channel);
          happened();
        },
        onProgress: happened,
        onEnded: (reason) => {
          end.ended.push(reason);
          happened();
        },
      },
    );
    return { ...end, association };
  };
  const pair: Pair = {
    client: create('client', () => pair.server),
    server: create('server', () => pair.client),
    lose: () => false,
    until: (condition) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          watchers.delete(watch);
          reject(new Error(`not within ${String(patienceMs)} ms: ${condition.toString()}`));
        }, patienceMs);
        const watch = (): void => {
          if (!condition()) return;
          watchers.delete(watch);
          clearTimeout(timer);
          resolve();
        };
        watchers.add(watch);
        watch();
      }),
  };
  t.teardown(() => {
    pair.client.association.end();
    pair.server.association.end();
  });
  pair.client.association.start();
  pair.server.association.start();
  return pair;
}

function open(end: End, label: string, reliability = reliable, ordered = true): DataChannel {
  const channel = end.association.open({ label, protocol: '', ordered, reliability });
  if (channel === null) throw new Error('no channel');
  return channel;
}

const texts = (end: End): DataMessage[] => end.messages.map(({ message }) => message);
/** DATA chunks stand first in the packets that carry any. */
const isData = (packet: Uint8Array): boolean => packet[12] === 0;

t.test('messages of all kinds arrive whole, on the channel they were sent on', { timeout }, async (t) => {
  const pair = connect(t);
  const { client, server } = pair;
  const chat = open(client, 'chat');
  const files = open(client, 'files', { kind: 'retransmits', limit: 5 }, false);
  const big = Uint8Array.from({ length: dataLimits.maxMessageBytes }, (_, at) => at);
  const sent: [DataChannel, DataMessage][] = [
    [chat, 'höhö'],
    [chat, ''],
    [chat, new Uint8Array(0)],
    [files, big],
    [chat, 'x'.repeat(dataLimits.maxMessageBytes)],
  ];
  for (const [channel, message] of sent) t.equal(client.association.send(channel, message), 'sent');
  t.equal(client.association.send(chat, new Uint8Array(dataLimits.maxMessageBytes + 1)), 'too-large');
  await pair.until(() => server.messages.length === sent.length);
  for (const [{ label }, message] of sent) {
    const found = server.messages.find(
      (each) =>
        each.channel.label === label &&
        typeof each.message === typeof message &&
        each.message.length === message.length,
    );
    t.ok(found !== undefined && Buffer.from(found.message as string).equals(Buffer.from(message as string)), label);
  }
  const onFiles = server.messages.find(({ channel }) => channel.label === 'files')?.channel;
  t.match(onFiles, { ordered: false, reliability: { kind: 'retransmits', limit: 5 }, local: false, id: 2 });
  const back = open(server, 'back');
  t.equal(back.id % 2, 1, 'the server has odd numbers');
  server.association.send(back, 'hello');
  await pair.until(() => client.messages.length === 1);
  t.strictSame(texts(client), ['hello']);

  client.association.close(chat);
  await pair.until(() => server.closed.length === 1);
  t.equal(server.closed[0]?.label, 'chat');
  t.equal(client.association.send(chat, 'late'), 'closed');
  client.association.end();
  await pair.until(() => server.ended.length === 1);
  t.strictSame(server.ended, ['closed-by-peer']);
  t.strictSame(client.ended, []);
});

t.test('what is lost comes again, in order, where it must; and not where it need not', { timeout }, async (t) => {
  const pair = connect(t);
  const { client, server } = pair;
  await pair.until(() => client.association.connected && server.association.connected);
  const log = open(client, 'log');
  const pulse = open(client, 'pulse', { kind: 'retransmits', limit: 0 }, false);
  client.association.send(log, 'begin');
  client.association.send(pulse, 'begin');
  await pair.until(() => server.messages.length === 2);
  // Every message of its own is a packet; each third one of the pulse never arrives, and of the log not the first time.
  const seen = new Set<string>();
  pair.lose = (from, packet) => {
    if (from !== 'client' || !isData(packet)) return false;
    const text = Buffer.from(packet.subarray(28)).toString().replaceAll('\0', '');
    const [, name = '', number = ''] = /^(log|pulse) (\d+)/.exec(text) ?? [];
    if (name === '' || Number(number) % 3 !== 0) return false;
    const again = seen.has(text);
    seen.add(text);
    return name === 'pulse' || !again;
  };
  for (let at = 0; at < 60; at++) {
    client.association.send(log, `log ${String(at)}`);
    client.association.send(pulse, `pulse ${String(at)}`);
  }
  client.association.send(log, 'end');
  await pair.until(() => texts(server).includes('end'));
  const of = (name: string): DataMessage[] =>
    texts(server).filter((text) => typeof text === 'string' && text.startsWith(`${name} `));
  t.strictSame(
    of('log'),
    Array.from({ length: 60 }, (_, at) => `log ${String(at)}`),
    'all, in order',
  );
  t.strictSame(
    new Set(of('pulse')),
    new Set(Array.from({ length: 60 }, (_, at) => `pulse ${String(at)}`).filter((_, at) => at % 3 !== 0)),
  );
  // The association is not held up by what was given up.
  pair.lose = () => false;
  const before = server.messages.length;
  for (let at = 0; at < 300; at++) client.association.send(log, 'x'.repeat(1000));
  await pair.until(() => server.messages.length === before + 300);
});

t.test('a fragmented message that is given up takes no other with it', { timeout }, async (t) => {
  const pair = connect(t);
  const { client, server } = pair;
  await pair.until(() => client.association.connected && server.association.connected);
  const film = open(client, 'film', { kind: 'retransmits', limit: 0 });
  const log = open(client, 'log');
  client.association.send(log, 'begin');
  client.association.send(film, 'begin');
  await pair.until(() => server.messages.length === 2);
  let lost = 0;
  // One fragment in the middle: its payload is of one letter.
  pair.lose = (from, packet) => from === 'client' && isData(packet) && packet[40] === 102 && ++lost === 5;
  t.equal(client.association.send(film, 'f'.repeat(50_000)), 'sent');
  t.equal(client.association.send(log, 'between'), 'sent');
  t.equal(client.association.send(film, 'g'.repeat(50_000)), 'sent');
  await pair.until(() => server.messages.length === 4);
  t.strictSame(
    texts(server).map((text) => text.slice(0, 8)),
    ['begin', 'begin', 'between', 'gggggggg'],
  );
  t.ok(lost >= 5);
});

t.test('what waits is bounded', { timeout }, async (t) => {
  const pair = connect(t);
  const { client, server } = pair;
  await pair.until(() => client.association.connected && server.association.connected);
  const log = open(client, 'log');
  const pulse = open(client, 'pulse', { kind: 'lifetime', limit: 50 });
  client.association.send(log, 'begin');
  await pair.until(() => server.messages.length === 1);
  pair.lose = () => true;
  const message = 'x'.repeat(10_000);
  let sent = 0;
  while (client.association.send(log, message) === 'sent') sent++;
  t.ok(sent > 100 && sent < 300, `${String(sent)} messages of 10 kB`);
  t.ok(client.association.queuedBytes <= dataLimits.maxQueuedBytes);
  t.equal(client.association.send(log, message), 'refused');
  t.equal(client.association.send(pulse, message), 'lost');
  pair.lose = () => false;
  await pair.until(() => server.messages.length === sent + 1);
  t.equal(client.association.queuedBytes, 0);
  for (let at = 0; at < dataLimits.maxRemoteChannels; at++) open(client, String(at));
  await pair.until(() => server.counters.channels_refused > 0);
  t.equal(server.counters.channels_opened, dataLimits.maxRemoteChannels);
});

t.test('hostile packets change nothing', { timeout }, async (t) => {
  const pair = connect(t);
  const { client, server } = pair;
  const captured: Uint8Array[] = [];
  pair.lose = (from, packet) => {
    if (from === 'client') captured.push(packet.slice());
    return false;
  };
  const log = open(client, 'log');
  client.association.send(log, 'x'.repeat(5000));
  await pair.until(() => server.messages.length === 1);
  pair.lose = () => false;
  let sent = 0;
  for (const packet of captured) {
    for (let at = 0; at < Math.min(packet.length, 64); at++) {
      server.association.receive(packet.with(at, (packet[at] as number) ^ 0xff));
      server.association.receive(packet.slice(0, at));
      sent += 2;
      if (sent % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  client.association.send(log, 'still here');
  await pair.until(() => texts(server).includes('still here'));
  t.ok(server.counters.packets_refused > 0);
  t.strictSame(server.ended, []);
});
