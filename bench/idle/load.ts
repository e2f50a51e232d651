/** Some thousand sessions in one process that do nothing but keep alive. */
import { serveCommands } from '../harness/worker-process.ts';
import { TunnelClient, type TunnelClientOptions } from '../tunnel/tunnel-client.ts';

export interface IdleOrder {
  readonly url: string;
  readonly sessions: number;
  /** A loopback address has some 28 000 ports towards one server. */
  readonly localAddress: string;
  readonly roomPrefix: string;
}

const roomSize = 10;
const atOnce = 8;
/** A machine that is busy with 10 000 handshakes lets one pass its time now and then; clients try again, too. */
const attempts = 4;
const retryMs = 1000;
const tickMs = 500;
const tunnels: TunnelClient[] = [];
let lost = 0;

serveCommands({
  async connect({ url, sessions, localAddress, roomPrefix }: IdleOrder): Promise<void> {
    let next = 0;
    const open = async (): Promise<void> => {
      while (next < sessions) {
        const room = `${roomPrefix}-${String(Math.floor(next++ / roomSize))}`;
        const tunnel = await openPatiently({ url, room, localAddress });
        tunnel.webSocket.onClose = () => {
          lost++;
        };
        tunnels.push(tunnel);
      }
    };
    const ticking = setInterval(() => {
      for (const tunnel of tunnels) tunnel.tick();
    }, tickMs);
    try {
      await Promise.all(Array.from({ length: atOnce }, open));
    } catch (error) {
      clearInterval(ticking);
      throw error;
    }
  },
  /** How many connections have been lost. */
  lost(): number {
    return lost;
  },
});

async function openPatiently(options: TunnelClientOptions): Promise<TunnelClient> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await TunnelClient.open(options);
    } catch (error) {
      if (attempt === attempts) throw error;
      await new Promise((resolve) => setTimeout(resolve, retryMs * attempt));
    }
  }
}
