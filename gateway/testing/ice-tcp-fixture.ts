/** ICE-TCP on loopback in front of a real SFU, with a clock of the test's own. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';
import { createSfu, type Sfu } from '../../sfu/index.ts';
import {
  decodeStun,
  stunAttribute,
  stunClass,
  xorAddress,
  type Path,
  type TransportAddress,
} from '../../tunnel-protocol/index.ts';
import { GatewayCounters, type Traffic } from '../counters.ts';
import { IceTcp, type IceTcpLimits } from '../ice-tcp.ts';
import { FramedClient } from './framed-client.ts';

export interface IceTcpFixture {
  readonly iceTcp: IceTcp;
  readonly sfu: Sfu;
  readonly traffic: Traffic;
  readonly refused: Map<string, number>;
  /** Milliseconds of the connections' clock; the SFU has the real one. */
  readonly clock: { now: number };
  /** In the order in which they were heard first. */
  readonly paths: Path[];
  readonly detached: Path[];
  /** The server's ends. */
  readonly sockets: Socket[];
  /** What the connections are said to come from. */
  remote: TransportAddress | null;
  connect(): Promise<FramedClient>;
}

export async function startIceTcp(t: Test, limits: Partial<IceTcpLimits> = {}): Promise<IceTcpFixture> {
  const silent = (): void => undefined;
  const complaints: string[] = [];
  const complain = (_: object, message: string): void => {
    complaints.push(message);
  };
  const sfu = createSfu(
    { nodeId: 'test', candidates: [], sessionGraceMs: 10_000, maxParticipantsPerRoom: 100 },
    {
      now: () => performance.now(),
      random: randomBytes,
      log: { debug: silent, info: silent, warn: complain, error: complain },
    },
  );
  await sfu.start();
  const counters = new GatewayCounters();
  const clock = { now: 0 };
  const paths: Path[] = [];
  const detached: Path[] = [];
  const iceTcp = new IceTcp({
    receive: (path, datagram) => {
      if (!paths.includes(path)) paths.push(path);
      sfu.receive(path, datagram);
    },
    detach: (path) => {
      detached.push(path);
      sfu.detach(path);
    },
    traffic: counters.iceTcp,
    now: () => clock.now,
    limits,
    refused: (reason) => {
      counters.refuse(reason);
    },
  });
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    iceTcp.serve(socket, fixture.remote ?? { address: '127.0.0.1', port: socket.remotePort ?? 0 });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients: FramedClient[] = [];
  const fixture: IceTcpFixture = {
    ...{ iceTcp, sfu, traffic: counters.iceTcp, refused: counters.refused, clock, paths, detached, sockets },
    remote: null,
    connect: async () => {
      const seen = sockets.length;
      const client = await FramedClient.connect(port);
      clients.push(client);
      await until(() => sockets.length > seen);
      return client;
    },
  };
  t.teardown(async () => {
    for (const { socket } of clients) socket.destroy();
    iceTcp.close();
    server.close();
    await sfu.close();
    if (complaints.length > 0) throw new Error(complaints.join());
  });
  return fixture;
}

/** Lets the event loop turn until it is so; the test's time-out is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** The address that a Binding response tells; throws when it is none. */
export function mapped(response: Uint8Array | null): TransportAddress | null {
  const message = decodeStun(response ?? new Uint8Array(0));
  if (typeof message === 'string' || message.messageClass !== stunClass.success) throw new Error('no response');
  return xorAddress(message, stunAttribute.XOR_MAPPED_ADDRESS);
}

/** A Binding request of somebody who knows no session. */
export function strangersRequest(): Uint8Array {
  const request = new Uint8Array(randomBytes(20));
  request.set([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
  return request;
}
