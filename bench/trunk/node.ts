/** The SFU node's end of the trunk, with a sink in the SFU's place. */
import { makeCertificate, Secret, TrunkServer } from '../../gateway/index.ts';
import type { Path } from '../../tunnel-protocol/index.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { createSinkSfu } from '../tunnel/sink-sfu.ts';
import { Arrivals, secret, sendInBatches, type Reading, type SendOrder } from './load.ts';

const arrivals = new Arrivals();
const paths: Path[] = [];
const silent = (): void => undefined;

serveCommands({
  async start(): Promise<number> {
    const sfu = {
      ...createSinkSfu(),
      attach: (_: string, path: Path) => paths.push(path),
      receive: () => {
        arrivals.count++;
      },
    };
    const own = await makeCertificate({ dns: ['bench'], ip: [] }, Date.now());
    const server = new TrunkServer(
      { nodeId: 'node', credentials: { secret: new Secret(secret), certificate: null }, own, candidates: [] },
      {
        sfu,
        log: { debug: silent, info: silent, warn: silent, error: silent },
        now: () => performance.now(),
      },
    );
    return server.listen('127.0.0.1', 0);
  },
  begin(): void {
    arrivals.begin();
  },
  end(expected: number): Promise<Reading> {
    return arrivals.end(expected);
  },
  send(order: SendOrder): Promise<Reading> {
    return sendInBatches(order, (datagram, index, meta) => {
      paths[index % paths.length]?.send(datagram, meta);
    });
  },
});
