/** Connections to upstreams. Node's own agent ends one after five silent seconds, in the middle of a request too. */
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { Socket } from 'node:net';
import { PinnedAgent } from './pinned-agent.ts';

export type { PinnedOptions } from './pinned-agent.ts';
export type AgentKind = 'plain' | 'tls' | 'pinned';

const maxFreeSockets = 64;
/** Less than servers keep one: Node's five seconds, an edge's ten. */
const freeSocketTimeoutMs = 4000;

export class UpstreamAgents {
  readonly #kept = {
    plain: patient(new Agent(keeping)),
    tls: patient(new TlsAgent(keeping)),
    pinned: patient(new PinnedAgent(keeping)),
  };
  readonly #fresh = {
    plain: new Agent({ keepAlive: false }),
    tls: new TlsAgent({ keepAlive: false }),
    pinned: new PinnedAgent({ keepAlive: false }),
  };

  /** `fresh`: for a connection that has served no request before, and will serve no other. */
  agent(kind: AgentKind, fresh: boolean): Agent {
    return (fresh ? this.#fresh : this.#kept)[kind];
  }

  get busySockets(): number {
    return this.#all().reduce((sum, agent) => sum + count(agent.sockets), 0);
  }

  get freeSockets(): number {
    return this.#all().reduce((sum, agent) => sum + count(agent.freeSockets), 0);
  }

  close(): void {
    for (const agent of this.#all()) agent.destroy();
  }

  #all(): readonly Agent[] {
    return [...Object.values(this.#kept), ...Object.values(this.#fresh)];
  }
}

const keeping = { keepAlive: true, maxFreeSockets } as const;

/** A connection has a time-out while nobody uses it, and none while somebody does. */
function patient<T extends Agent>(agent: T): T {
  agent.keepSocketAlive = (socket) => {
    if (socket instanceof Socket) socket.unref().setTimeout(freeSocketTimeoutMs);
    return true;
  };
  const reuse = agent.reuseSocket.bind(agent);
  agent.reuseSocket = (socket, request) => {
    reuse(socket, request);
    if (socket instanceof Socket) socket.setTimeout(0);
  };
  return agent;
}

function count(sockets: NodeJS.ReadOnlyDict<Socket[]>): number {
  return Object.values(sockets).reduce((sum, list) => sum + (list?.length ?? 0), 0);
}
