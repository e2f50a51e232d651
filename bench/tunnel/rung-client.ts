/** One participant of a bench on a rung of choice: paced audio both ways, and how old what came is. */
import { createSocket, type Socket } from 'node:dgram';
import { serveCommands } from '../harness/worker-process.ts';
import { LoadClient, LoadCounter, type LoadCredentials } from '../turn/index.ts';
import { AgeLog, sendPaced, type Ages } from './age-log.ts';
import { ExchangeTunnel } from './exchange-driver.ts';
import { openBenchSession, TunnelClient } from './tunnel-client.ts';

/** With `-h1` over HTTP/1.1, without over h2. */
export type BenchRung =
  'udp' | 'turn-tls' | 'websocket' | 'http-stream' | 'http-stream-h1' | 'long-poll' | 'long-poll-h1';

export interface RungEnds {
  readonly url: string;
  readonly port: number;
  readonly udpPort: number;
  readonly credentials: LoadCredentials;
}

interface Connection {
  /** The bytes are given away. */
  send(datagram: Uint8Array): void;
  close(): void;
}

const address = '127.0.0.1';
const tickMs = 20;
let log = new AgeLog();
let connection: Connection | null = null;
let stop: (() => number) | null = null;

serveCommands({
  async connect({ rung, ends }: { rung: BenchRung; ends: RungEnds }): Promise<void> {
    log = new AgeLog();
    connection = await open(rung, ends);
    // Strangers are listened to only where they begin with STUN.
    connection.send(new Uint8Array(20));
  },
  start({ bytes, intervalMs }: { bytes: number; intervalMs: number }): void {
    log = new AgeLog();
    stop = sendPaced(bytes, intervalMs, (datagram) => {
      connection?.send(datagram);
    });
  },
  /** Returns how many were sent. */
  stop(): number {
    return stop?.() ?? 0;
  },
  ages(): Ages {
    return log.ages();
  },
  resetAges(): void {
    log = new AgeLog();
  },
  close(): void {
    connection?.close();
  },
});

async function open(rung: BenchRung, ends: RungEnds): Promise<Connection> {
  if (rung === 'udp') return openUdp(ends.udpPort);
  if (rung === 'turn-tls') return openTurn(ends);
  if (rung === 'websocket') {
    const tunnel = await TunnelClient.open({ url: ends.url, onDatagram: take });
    const timer = setInterval(() => {
      tunnel.tick();
    }, tickMs);
    return {
      send: (datagram) => {
        tunnel.send(datagram, 1);
      },
      close: () => {
        clearInterval(timer);
        tunnel.destroy();
      },
    };
  }
  const tunnel = await ExchangeTunnel.open({
    session: await openBenchSession(ends.url),
    carrier: rung.startsWith('long-poll') ? 'long-poll' : 'http-stream',
    http2: !rung.endsWith('-h1'),
    onDatagram: take,
  });
  return {
    send: (datagram) => {
      tunnel.send(datagram);
    },
    close: () => {
      tunnel.destroy();
    },
  };
}

async function openUdp(port: number): Promise<Connection> {
  const socket: Socket = createSocket('udp4');
  socket.on('message', take);
  await new Promise<void>((resolve) => {
    socket.connect(port, address, resolve);
  });
  return {
    send: (datagram) => {
      socket.send(datagram);
    },
    close: () => {
      socket.close();
    },
  };
}

async function openTurn({ port, udpPort, credentials }: RungEnds): Promise<Connection> {
  const peer = { address, port: udpPort };
  const client = await LoadClient.open({ transport: 'tls', host: address, port, credentials, peer }, new LoadCounter());
  return {
    send: (datagram) => {
      client.send(LoadClient.message('tls', datagram, 1), 1);
    },
    close: () => {
      client.close();
    },
  };
}

function take(datagram: Uint8Array): void {
  log.take(datagram);
}
