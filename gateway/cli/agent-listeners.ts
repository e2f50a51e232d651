/** Where applications find the agent: one address and port, on UDP and TCP. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type AddressInfo, type Server, type Socket } from 'node:net';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import {
  AddressTable,
  BatchedStream,
  StreamSplitter,
  turnAgentLimits,
  type AgentLink,
  type TurnAgent,
} from '../../turn/index.ts';
import { canonicalSocketAddress } from '../addresses.ts';

/** Unsent bytes of a connection beyond which its datagrams are dropped. */
const backlogBytes = 524_288;
/** So long may a connection be open before an allocation is made on it, whatever it sends meanwhile. */
const unprovenMs = 30_000;
const bindAttempts = 16;

export class AgentListeners {
  readonly port: number;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Socket>();

  private constructor(agent: TurnAgent, udp: UdpSocket, tcp: Server, patienceMs: number) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.port = udp.address().port;
    serveUdp(agent, udp);
    tcp.on('connection', (socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
      serveTcp(agent, socket, patienceMs);
    });
    tcp.maxConnections = turnAgentLimits.clients;
  }

  /** Port 0: one that is free on both. Rejects with the system's error. */
  static async open(agent: TurnAgent, host: string, port: number, patienceMs = unprovenMs): Promise<AgentListeners> {
    for (let attempt = 1; ; attempt++) {
      const tcp = createServer({ noDelay: true });
      const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
      try {
        tcp.listen(port, host);
        await once(tcp, 'listening');
        udp.bind({ address: host, port: (tcp.address() as AddressInfo).port, exclusive: true });
        await once(udp, 'listening');
        return new AgentListeners(agent, udp, tcp, patienceMs);
      } catch (error) {
        tcp.close();
        udp.close();
        if (port !== 0 || attempt === bindAttempts) throw error;
      }
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(resolve)),
      new Promise((resolve) => this.#tcp.close(resolve)),
    ]);
  }
}

class UdpLink implements AgentLink {
  readonly isStream = false;
  readonly remote: TransportAddress;
  readonly address: string;
  readonly port: number;
  client: AgentLink['client'] = null;
  readonly #socket: UdpSocket;
  readonly #table: AddressTable<UdpLink>;

  constructor(remote: TransportAddress, socket: UdpSocket, table: AddressTable<UdpLink>) {
    this.remote = remote;
    this.address = remote.address;
    this.port = remote.port;
    this.#socket = socket;
    this.#table = table;
  }

  send(message: Uint8Array): void {
    // A copy, because the system may take it later.
    this.#socket.send(Buffer.from(message), this.port, this.address);
  }

  end(): void {
    this.#table.remove(this.address, this.port);
  }
}

function serveUdp(agent: TurnAgent, socket: UdpSocket): void {
  const table = new AddressTable<UdpLink>();
  // A client that is gone is told by ICMP: its allocation expires by itself.
  socket.on('error', () => undefined);
  socket.on('message', (datagram, { address, port }) => {
    const known = table.find(address, port);
    const link = known ?? new UdpLink({ address, port }, socket, table);
    agent.receive(link, datagram);
    if (known === null && link.client !== null) table.add(link);
  });
}

function serveTcp(agent: TurnAgent, socket: Socket, patienceMs: number): void {
  const remote = { address: canonicalSocketAddress(socket.remoteAddress ?? '::'), port: socket.remotePort ?? 0 };
  const local = { address: canonicalSocketAddress(socket.localAddress ?? '::'), port: socket.localPort ?? 0 };
  const stream = new BatchedStream({
    kind: 'turn-tcp',
    remote,
    local,
    write: (bytes) => socket.write(bytes),
    bufferedBytes: () => socket.writableLength,
    backlogBytes,
    close: () => {
      socket.destroySoon();
    },
  });
  const link: AgentLink = {
    remote,
    isStream: true,
    client: null,
    send: (message) => {
      if (!stream.open(message.length)) return;
      stream.bytes.set(message, stream.at);
      stream.commit();
    },
    end: () => {
      stream.close();
    },
  };
  const splitter = new StreamSplitter();
  // One that proves nothing must not stay; one that did is watched by the agent.
  const unproven = setTimeout(() => {
    if (link.client === null) socket.destroy();
  }, patienceMs);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    clearTimeout(unproven);
    stream.lost();
    agent.closed(link);
  });
  socket.on('data', (chunk) => {
    splitter.push(chunk);
    for (let message = splitter.next(); message !== null; message = splitter.next()) agent.receive(link, message);
    if (splitter.failed) socket.destroy();
  });
}
