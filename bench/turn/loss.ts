/**
 * What coturn's own client loses through an edge, and through coturn: 40 clients, 2000 messages each, one per 5 ms, over
 * UDP, TCP and TLS. `node dist/bench/turn/loss.js [transport …]` runs it alone, and ends with 1 if more than 1 % is lost,
 * unless coturn loses as much: over TLS the client counts no message that shares a record with another, and they share one
 * where the machine has no time for each.
 */
import { pathToFileURL } from 'node:url';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker } from '../harness/worker-process.ts';
import { coturnMissing, freePeerPorts, runUclient, startCoturn, startPeer } from './coturn.ts';
import { loadTransports, type LoadCredentials, type LoadTransport } from './load-client.ts';
import type { TurnServerPorts } from './server.ts';

const load = { clients: 40, messages: 2000, intervalMs: 5 };
const sizes = [172, 1000];
const maxLostPercent = 1;

/** In percent of what was sent; 100 where the client does not run to its end. */
export async function measureLoss(
  progress: (text: string) => void,
  transports: readonly LoadTransport[] = loadTransports,
): Promise<readonly Figure[]> {
  const peerPort = await freePeerPorts();
  const server = startWorker(new URL('./server.js', import.meta.url));
  const closers: (() => Promise<void>)[] = [() => server.stop()];
  try {
    const peer = await startPeer(peerPort);
    closers.push(() => peer.close());
    const coturn = await startCoturn();
    closers.push(() => coturn.close());
    // The client binds a channel to the port after the peer's as well.
    const relayAllow = [peerPort, peerPort + 1].map((port) => `127.0.0.1:${String(port)}`);
    const ours = (await server.call('start', { relayAllow })) as TurnServerPorts;
    const figures: Figure[] = [];
    for (const transport of transports) {
      for (const bytes of sizes) {
        const id = `turn.${transport}.${String(bytes)}.lost_percent`;
        const run = async (name: string, port: number, credentials: LoadCredentials): Promise<number> => {
          try {
            const { sent, received } = await runUclient({ transport, port, peerPort, credentials, bytes, ...load });
            progress(`${id}: ${name} ${String(received)} of ${String(sent)}`);
            return (100 * (sent - received)) / sent;
          } catch (error) {
            progress(`${id}: ${name}: ${String(error)}`);
            return 100;
          }
        };
        const session = `${transport}-${String(bytes)}`;
        const credentials = (await server.call('credentials', session)) as LoadCredentials;
        const lost = await run('ours', transport === 'udp' ? ours.udp : ours.tcp, credentials);
        const theirs = await run('coturn', transport === 'tls' ? coturn.tlsPort : coturn.port, coturn.credentials);
        figures.push({
          ...figure(id, '% of messages', summarize([lost])),
          against: { name: coturn.version, value: Number(theirs.toPrecision(3)) },
        });
      }
    }
    await server.call('stop');
    return figures;
  } finally {
    for (const close of closers) await close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const missing = coturnMissing();
  if (missing !== null) throw new Error(missing);
  const named = process.argv.slice(2);
  const unknown = named.filter((name) => !loadTransports.some((transport) => transport === name));
  if (unknown.length > 0) throw new Error(`${unknown.join()}: transports are ${loadTransports.join(', ')}`);
  const figures = await measureLoss(
    (text) => {
      console.log(text);
    },
    named.length === 0 ? loadTransports : loadTransports.filter((transport) => named.includes(transport)),
  );
  const tooMany = figures.filter(({ value, against }) => value > Math.max(maxLostPercent, against?.value ?? 0));
  for (const { id } of tooMany) console.error(`too many lost: ${id}`);
  process.exit(tooMany.length === 0 ? 0 : 1);
}
