/** A participant's end of the data channels: what it opens for whom, and what becomes of a reader that does not read. */
import t from 'tap';
import type { Test } from 'tap';
import { createDataCounters, dataLimits } from '../../tunnel-protocol/index.ts';
import type { DataAssociation, DataChannel, DataCounters, DataReliability } from '../../tunnel-protocol/index.ts';
import { DataEndpoint } from './data-endpoint.ts';
import { createDataAssociation } from './sctp.ts';

interface Listener {
  readonly endpoint: DataEndpoint;
  readonly client: DataAssociation;
  readonly counters: DataCounters;
  readonly heard: string[];
  readonly log: string[];
  /** From now on nothing that the client sends arrives. */
  readonly silence: () => void;
  readonly until: (condition: () => boolean) => Promise<void>;
}

const reliable: DataReliability = { kind: 'reliable' };

function channel(id: number, label: string, reliability = reliable): DataChannel {
  return { id, label, protocol: '', ordered: true, reliability, local: false };
}

async function connect(t: Test): Promise<Listener> {
  let silent = false;
  const heard: string[] = [];
  const log: string[] = [];
  const counters = createDataCounters();
  const watchers = new Set<() => void>();
  const happened = (): void => {
    for (const watch of watchers) watch();
  };
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const watch = (): void => {
        if (!condition()) return;
        watchers.delete(watch);
        resolve();
      };
      watchers.add(watch);
      watch();
    });
  const endpoint: DataEndpoint = new DataEndpoint(
    { port: 5000, maxMessageBytes: Infinity },
    counters,
    (packet) => {
      setImmediate(() => {
        client.receive(packet);
      });
    },
    {
      onMessage: ({ label }, message) => log.push(`message ${label} ${String(message)}`),
      onChannelClosed: ({ label }) => log.push(`closed ${label}`),
      onEnded: (reason) => {
        log.push(`ended ${reason}`);
      },
    },
  );
  const client: DataAssociation = createDataAssociation(
    {
      role: 'client',
      remotePort: 5000,
      remoteMaxMessageBytes: Infinity,
      counters: createDataCounters(),
      send: (packet) => {
        if (silent) return;
        setImmediate(() => {
          endpoint.receive(packet);
          setImmediate(happened);
        });
      },
    },
    {
      onConnected: happened,
      onMessage: ({ label, protocol }, message) => {
        heard.push(`${protocol} ${label} ${String(message)}`);
        happened();
      },
      onChannelClosed: ({ label, protocol }) => {
        heard.push(`${protocol} ${label} closed`);
        happened();
      },
      onEnded: () => undefined,
    },
  );
  t.teardown(() => {
    client.end();
    endpoint.end();
  });
  client.start();
  await until(() => client.connected && counters.associations === 1);
  const silence = (): void => {
    silent = true;
  };
  return { endpoint, client, counters, heard, log, silence, until };
}

t.test('a channel for each speaker and each of its channels', async (t) => {
  const { endpoint, client, heard, log, until } = await connect(t);
  const [chat, file] = [channel(0, 'chat'), channel(2, 'file')];
  endpoint.deliver('ada', chat, 'hi');
  endpoint.deliver('bob', chat, 'ho');
  endpoint.deliver('ada', file, 'bytes');
  endpoint.deliver('ada', chat, 'again');
  await until(() => heard.length === 4);
  t.strictSame(heard, ['ada chat hi', 'bob chat ho', 'ada file bytes', 'ada chat again']);

  endpoint.release('ada', file);
  await until(() => heard.includes('ada file closed'));
  endpoint.release('ada', null);
  await until(() => heard.includes('ada chat closed'));
  t.notOk(heard.includes('bob chat closed'));

  const own = client.open({ label: 'own', protocol: '', ordered: true, reliability: reliable });
  if (own === null) throw new Error('no channel');
  client.send(own, 'mine');
  await until(() => log.length === 1);
  client.close(own);
  await until(() => log.length === 2);
  t.strictSame(log, ['message own mine', 'closed own']);
});

t.test('a reader that does not read loses what may be lost, and is ended for the rest', async (t) => {
  const { endpoint, counters, log, silence } = await connect(t);
  silence();
  const message = 'x'.repeat(10_000);
  const pulse = channel(0, 'pulse', { kind: 'retransmits', limit: 0 });
  for (let at = 0; at < 300; at++) endpoint.deliver('ada', pulse, message);
  t.ok(counters.messages_lost >= 270, `${String(counters.messages_lost)} lost`);
  t.strictSame(log, []);
  const chat = channel(2, 'chat');
  let delivered = 0;
  while (log.length === 0 && delivered < 1000) {
    endpoint.deliver('ada', chat, message);
    delivered++;
  }
  t.strictSame(log, ['ended slow-reader']);
  t.ok(delivered <= dataLimits.maxQueuedBytes / message.length + 10, `${String(delivered)} messages waited`);
  endpoint.deliver('ada', chat, message);
  t.strictSame(log, ['ended slow-reader'], 'and hears nothing more');
});
