/** The edge's end of the trunk, with paths that lead nowhere. */
import { Secret, TrunkClient } from '../../gateway/index.ts';
import type { Path } from '../../tunnel-protocol/index.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { Arrivals, secret, sendInBatches, type Reading, type SendOrder } from './load.ts';

const arrivals = new Arrivals();
const paths: Path[] = [];
const silent = (): void => undefined;
let client: TrunkClient | null = null;

function sink(port: number): Path {
  return {
    kind: 'websocket',
    reliable: true,
    ordered: true,
    mtu: 1200,
    remote: { address: '127.0.0.1', port },
    owner: null,
    onDrop: null,
    send: () => {
      arrivals.count++;
      return true;
    },
    bind: silent,
    unbind: silent,
    close: silent,
  };
}

serveCommands({
  async connect({ port, flows }: { port: number; flows: number }): Promise<void> {
    const trunk = new TrunkClient(
      {
        edgeId: 'edge',
        host: '127.0.0.1',
        port,
        credentials: { secret: new Secret(secret), certificate: null },
        candidates: [],
        nodeId: 'node',
      },
      {
        log: { debug: silent, info: silent, warn: silent, error: silent },
        now: () => performance.now(),
        events: { opened: silent, lost: silent, refused: silent, event: silent },
      },
    );
    trunk.start();
    client = trunk;
    if (!(await trunk.opened(20_000))) throw new Error('the trunk does not open');
    for (let i = 0; i < flows; i++) {
      const path = sink(i);
      paths.push(path);
      trunk.attach(`session-${String(i)}`, path);
    }
  },
  begin(): void {
    arrivals.begin();
  },
  end(expected: number): Promise<Reading> {
    return arrivals.end(expected);
  },
  send(order: SendOrder): Promise<Reading> {
    return sendInBatches(order, (datagram, index) => {
      const path = paths[index % paths.length];
      if (path !== undefined) client?.forward(path.owner as Parameters<TrunkClient['forward']>[0], datagram);
    });
  },
});
