/**
 * Random and mutated messages against a server in memory, on its listeners and its relayed addresses:
 * `node dist/turn/fuzz.js [count] [seed]` runs as many as asked for and tells the seed, so that a failure can be run
 * again. The suite runs a few thousand.
 */
import { pathToFileURL } from 'node:url';
import { stunMethod, type StunBuilder } from '../tunnel-protocol/index.ts';
import { BatchedStream } from './batched-stream.ts';
import { MemoryServer } from './testing/memory-server.ts';
import { channelData, packet, requestUdp, type TurnTestClient } from './testing/turn-client.ts';

export interface FuzzResult {
  readonly messages: number;
  /** Messages that got past authentication, and datagrams that were relayed: the fuzz reaches that far. */
  readonly answered: number;
  readonly relayed: number;
  readonly streams: number;
  /** 0 once everything has expired. */
  readonly allocationsLeft: number;
  readonly socketsLeft: number;
  readonly errors: readonly object[];
}

const peer = { address: '203.0.113.5', port: 9000 };
const methods = [1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 0xfff];
const attributes = [
  0x1, 0x6, 0x8, 0x9, 0xa, 0xc, 0xd, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1c, 0x20, 0x22, 0x24,
  0x7777, 0x8000, 0x8022, 0x8028, 0xc057,
];

/** Rejects when anything throws. */
export async function fuzz(count: number, seed: number): Promise<FuzzResult> {
  const random = mulberry32(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const network = new MemoryServer({
    limits: { repliesPerSecond: 1e9, repliesPerSecondPerPrefix: 1e9, bytesPerSecondPerUser: 1e9 },
  });
  const { server } = network;
  const clients = [network.client(), network.client({ session: 's2' }), network.client({ address: '2001:db8::1' })];
  let stream = openStream(network);
  let streams = 0;
  const corpus: Uint8Array[] = [];

  /** Brings the clients back to where there is something to break. */
  const renew = async (): Promise<void> => {
    corpus.length = 0;
    for (const client of clients) {
      client.received.length = 0;
      await client.challenge();
      await client.allocate();
      await client.bindChannel(0x4000, peer);
      corpus.push(...realMessages(client));
    }
  };
  const attribute = (builder: StunBuilder): void => {
    const length = pick([0, 1, 2, 3, 4, 4, 4, 7, 8, 8, 8, 16, 20, 20, below(100)]);
    const value = randomBytes(length, below);
    if (random() < 0.5 && length > 1) value[1] = 1 + below(2);
    if (random() < 0.3 && length === 4) value[0] = pick([17, 1, 2, 0x40]);
    builder.attribute(pick(attributes), value);
  };

  for (let i = 0; i < count; i++) {
    if (i % 2000 === 0) await renew();
    if (i % 128 === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      network.now += below(2000);
      server.tick(network.now);
      network.sent.length = 0;
    }
    const client = pick(clients);
    const kind = below(10);
    if (kind < 3) client.raw(mutate(pick(corpus), corpus, below));
    else if (kind < 4) client.raw(randomBytes(below(120), below));
    else if (kind < 6) {
      // Correctly signed nonsense: it reaches what only users reach.
      const fill = (builder: StunBuilder): void => {
        for (let n = below(5); n > 0; n--) attribute(builder);
      };
      client.raw(client.build(pick(methods), fill, { signed: random() < 0.9, messageClass: below(8) === 0 ? 1 : 0 }));
    } else if (kind < 8) {
      const relayed = server.allocations === 0 ? null : client.relayed;
      network.fromPeer(
        relayed,
        random() < 0.8 ? peer : { ...peer, port: below(65_536) },
        randomBytes(below(60), below),
      );
    } else {
      const bytes = random() < 0.7 ? pick(corpus) : mutate(pick(corpus), corpus, below);
      const cut = below(bytes.length + 1);
      stream.push(bytes.slice(0, cut));
      stream.push(bytes.slice(cut));
      if (stream.ended() || below(200) === 0) {
        stream.closed();
        stream = openStream(network);
        streams++;
      }
    }
  }
  stream.closed();
  network.pass(4000);
  await new Promise((resolve) => setImmediate(resolve));
  const { counters } = server;
  return {
    messages: count,
    answered: counters.allocations_made + counters.unknown_attribute + counters.bad_request,
    relayed: counters.relayed_to_peer + counters.relayed_to_client,
    streams,
    allocationsLeft: server.allocations,
    socketsLeft: network.sockets.size,
    errors: network.errors,
  };
}

/** What a client sends in the course of a call. */
function realMessages(client: TurnTestClient): Uint8Array[] {
  const unsigned = { signed: false } as const;
  const address = (builder: StunBuilder): void => {
    builder.attribute(0x12, Buffer.from('00010239ea12d547', 'hex'));
  };
  return [
    client.build(stunMethod.Binding, undefined, unsigned),
    client.build(stunMethod.Allocate, requestUdp, unsigned),
    client.build(stunMethod.Allocate, requestUdp),
    client.build(stunMethod.Refresh),
    client.build(stunMethod.CreatePermission, address),
    client.build(stunMethod.ChannelBind, (builder) => {
      builder.u32(0xc, 0x4001 * 65_536);
      address(builder);
    }),
    client.build(
      stunMethod.Send,
      (builder) => {
        address(builder);
        builder.attribute(0x13, packet('data'));
      },
      { signed: false, messageClass: 1 },
    ),
    channelData(0x4000, packet('data')),
  ];
}

function mutate(message: Uint8Array, corpus: readonly Uint8Array[], below: (limit: number) => number): Uint8Array {
  let bytes = new Uint8Array(message);
  for (let n = 1 + below(3); n > 0; n--) {
    const at = below(bytes.length);
    switch (below(6)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
        break;
      case 1:
        bytes[at] = below(256);
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        bytes = new Uint8Array([...bytes, ...randomBytes(below(12), below)]);
        break;
      case 4: {
        // The length says what is there again, so that the change gets past the first check.
        const body = Math.max(0, bytes.length - 20) & ~3;
        bytes = bytes.slice(0, 20 + body);
        if (bytes.length >= 4) bytes.set([body >> 8, body & 255], 2);
        break;
      }
      default: {
        const other = corpus[below(corpus.length)] as Uint8Array;
        bytes = new Uint8Array([...bytes.subarray(0, at), ...other.subarray(below(other.length))]);
      }
    }
  }
  return bytes;
}

interface FuzzStream {
  push(chunk: Uint8Array): void;
  closed(): void;
  ended(): boolean;
}

function openStream(network: MemoryServer): FuzzStream {
  let ended = false;
  const output = new BatchedStream({
    kind: 'turn-tcp',
    remote: { address: '192.0.2.77', port: 5 },
    local: { address: '198.51.100.1', port: 443 },
    write: (bytes) => {
      if (bytes.length === 0) throw new Error('an empty write');
    },
    bufferedBytes: () => 0,
    backlogBytes: 65_536,
    close: () => {
      ended = true;
    },
  });
  const input = network.server.acceptStream(output);
  if (input === null) throw new Error('connections leak');
  return {
    push: (chunk) => {
      input.push(chunk);
    },
    closed: () => {
      input.closed();
    },
    ended: () => ended,
  };
}

function randomBytes(length: number, below: (limit: number) => number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = below(256);
  return bytes;
}

function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [count = 1_000_000, seed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number);
  console.log(`fuzzing with seed ${String(seed)}`);
  const slice = 100_000;
  for (let done = 0; done < count; done += slice) {
    const { errors, ...result } = await fuzz(Math.min(slice, count - done), seed + done);
    if (errors.length > 0 || result.allocationsLeft > 0 || result.socketsLeft > 0) {
      console.error(seed + done, result, errors.slice(0, 3));
      process.exit(1);
    }
    const heapMb = Math.round(process.memoryUsage().heapUsed / 1e6);
    console.log({ done: done + result.messages, ...result, heapMb });
  }
}
