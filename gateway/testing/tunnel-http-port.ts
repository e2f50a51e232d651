/** The HTTP tunnels over a real SFU on a port of their own, with a clock that can be put forward. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { createSfu } from '../../sfu/index.ts';
import type { CertificateFiles } from '../certificates.ts';
import { GatewayCounters } from '../counters.ts';
import { TokenAuthority } from '../auth.ts';
import { Origins } from '../origins.ts';
import { problem, problemReply } from '../problem.ts';
import { Secret } from '../secret.ts';
import { TunnelHttp } from '../tunnel-http.ts';
import { EmbeddedUpstream } from '../upstream/index.ts';
import { startTestPort, type EngineVariant } from './port-fixture.ts';

export interface TunnelHttpPort {
  readonly port: number;
  readonly tunnels: TunnelHttp;
  readonly counters: GatewayCounters;
  /** Opens a session, and returns its resume token. */
  readonly openSession: () => string;
  /** Puts the clock of the tunnels forward, and lets them look at what has become too old. */
  readonly pass: (ms: number) => void;
}

const silent = (): void => undefined;

export async function startTunnelHttpPort(
  t: Test,
  { engine, libc }: EngineVariant,
  files: CertificateFiles,
): Promise<TunnelHttpPort> {
  let aheadMs = 0;
  const now = (): number => performance.now() + aheadMs;
  const sfu = createSfu(
    { nodeId: 'pop1', candidates: [], sessionGraceMs: 60_000, maxParticipantsPerRoom: 100 },
    { now: () => performance.now(), random: randomBytes, log: { debug: silent, info: silent, warn: silent, error: silent } }, // prettier-ignore
  );
  await sfu.start();
  t.teardown(() => sfu.close());
  const tokens = new TokenAuthority(new Secret('a secret of tests, with more than thirty-two bytes'));
  const counters = new GatewayCounters();
  const tunnels = new TunnelHttp({
    strays: null,
    upstream: new EmbeddedUpstream(sfu, 'pop1'),
    tokens,
    origins: new Origins([]),
    counters,
    now,
  });
  const { port } = await startTestPort(t, {
    engine,
    libc,
    files: [files],
    application: {
      webSockets: [],
      route: (head) => {
        const notFound = problemReply(problem('not-found', 'There is nothing else.'));
        return tunnels.route(head) ?? { maxBodyBytes: 0, handle: () => notFound };
      },
      refuse: (code) => {
        counters.refuse(code);
        return problemReply(problem(code, 'refused'));
      },
      failed: (error) => problemReply(problem('internal', String(error))),
    },
  });
  let sessions = 0;
  return {
    port,
    tunnels,
    counters,
    openSession: () => {
      const session = `session-${String(++sessions)}`;
      const who = { identity: session, name: session, can: ['publish', 'subscribe', 'data'], hidden: false } as const;
      const { epoch } = sfu.openSession({ sessionId: session, room: 'standup', ...who });
      return tokens.issueResumeToken({ session, room: 'standup', node: 'pop1', epoch });
    },
    pass: (ms) => {
      aheadMs += ms;
      tunnels.sweep(now());
    },
  };
}
