/** One end of a measurement by UDP, in a process of its own: it answers, or it sends and listens. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { serveCommands } from '../../harness/worker-process.ts';

export interface ProbeOrder {
  readonly address: string;
  readonly port: number;
  readonly count: number;
  /** Of UDP payload, at least 12. */
  readonly bytes: number;
  readonly burst: number;
  readonly intervalMs: number;
}

export interface ArrivalReading {
  readonly count: number;
  /** Between the first and the last one. */
  readonly ms: number;
}

/** How long after the last datagram answers are waited for at most, in ms. */
const patienceMs = 1_000;
/** A busy machine must not lose what the link let through. */
const receiveBufferBytes = 4_000_000;

let socket: Socket | null = null;
let arrived = 0;
let firstAt = 0;
let lastAt = 0;

async function open(port: number): Promise<Socket> {
  const opened = createSocket({ type: 'udp4', recvBufferSize: receiveBufferBytes }).bind(port);
  await once(opened, 'listening');
  return opened;
}

serveCommands({
  /** Counts what comes to a port, and sends it back if wanted. */
  async listen({ port, echo }: { port: number; echo: boolean }): Promise<void> {
    socket = await open(port);
    socket.on('message', (datagram, from) => {
      lastAt = performance.now();
      if (arrived === 0) firstAt = lastAt;
      arrived += 1;
      if (echo) socket?.send(datagram, from.port, from.address);
    });
  },

  /** What came since the last call. */
  arrivals(): ArrivalReading {
    const reading = { count: arrived, ms: lastAt - firstAt };
    arrived = 0;
    return reading;
  },

  /** Resolves to the round trips in ms of the datagrams that came back. */
  async probe({ address, port, count, bytes, burst, intervalMs }: ProbeOrder): Promise<readonly number[]> {
    const own = await open(0);
    const sentAt = new Float64Array(count);
    const roundTrips: number[] = [];
    let waited = (): void => undefined;
    own.on('message', (answer) => {
      roundTrips.push(performance.now() - (sentAt[answer.readUInt32BE(0)] ?? NaN));
      if (roundTrips.length === count) waited();
    });
    let sent = 0;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        for (let left = burst; left > 0 && sent < count; left--) {
          const datagram = Buffer.alloc(bytes);
          datagram.writeUInt32BE(sent);
          sentAt[sent] = performance.now();
          sent += 1;
          own.send(datagram, port, address);
        }
        if (sent < count) return;
        clearInterval(timer);
        resolve();
      }, intervalMs);
    });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, patienceMs);
      waited = () => {
        clearTimeout(timer);
        resolve();
      };
      if (roundTrips.length === count) waited();
    });
    own.close();
    return roundTrips;
  },
});
