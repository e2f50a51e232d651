/** A running SFU with the real clock, on one real UDP socket. */
import { randomBytes } from 'node:crypto';
import type { Permission } from '../../tunnel-protocol/index.ts';
import { createSfu } from '../create-sfu.ts';
import type { Candidate, Logger, Sfu, SfuConfig } from '../sfu.ts';
import { TunnelClient } from './tunnel.ts';
import { openUdpHub } from './udp-hub.ts';
import type { UdpHub } from './udp-hub.ts';

export interface SfuFixture {
  readonly sfu: Sfu;
  readonly hub: UdpHub;
  /** Opens a session and its control connection. */
  readonly open: (options: OpenOptions) => TunnelClient;
  /** Throws when anything was logged as a warning or an error. */
  readonly close: () => Promise<void>;
}

export interface OpenOptions {
  readonly name: string;
  readonly room?: string;
  readonly can?: readonly Permission[];
  readonly hidden?: boolean;
}

/** `now` is the clock; the SFU's own timer runs by the real one, whatever that clock says. */
export async function startSfu(
  config: Partial<SfuConfig> = {},
  now: () => number = () => performance.now(),
): Promise<SfuFixture> {
  const complaints: string[] = [];
  const complain = (fields: object, message: string): void => {
    const err = 'err' in fields && fields.err instanceof Error ? (fields.err.stack ?? fields.err.message) : '';
    complaints.push(`${message} ${err}`);
  };
  const log: Logger = { debug: () => undefined, info: () => undefined, warn: complain, error: complain };
  const candidates: Candidate[] = [];
  const sfu = createSfu(
    { nodeId: 'test', candidates, sessionGraceMs: 10_000, maxParticipantsPerRoom: 100, ...config },
    {
      now,
      log,
      random: (length) => randomBytes(length),
      // Packet by packet, so that tests need not wait for the turn's end.
      endOfTurn: (run) => {
        run();
      },
    },
  );
  await sfu.start();
  const hub = await openUdpHub((path, datagram) => {
    sfu.receive(path, datagram);
  });
  candidates.push({ transport: 'udp', address: '127.0.0.1', port: hub.port });
  return {
    sfu,
    hub,
    open: ({ name, room = 'room', can = ['publish', 'subscribe'], hidden = false }) => {
      sfu.openSession({ sessionId: `session-${name}`, room, identity: `identity-${name}`, name, can, hidden });
      const client = new TunnelClient(sfu, now);
      client.connect(`session-${name}`);
      return client;
    },
    close: async () => {
      await sfu.close();
      await hub.close();
      if (complaints.length > 0) throw new Error(complaints.join('\n'));
    },
  };
}
