/** `sallyport agent`: TURN on this machine, carried to an edge by whatever the network lets through. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { TurnAgent } from '../../turn/index.ts';
import type { ClientError, TurnTunnel } from '../../client/index.ts';
import { hostOf, isLoopback } from '../addresses.ts';
import { agentHelp, parseAgentArguments, type AgentArguments } from './agent-arguments.ts';
import { AgentListeners } from './agent-listeners.ts';
import { UsageError, type Command } from './command.ts';

export const agentCommand: Command = {
  summary: 'offer TURN on this machine, and carry it to an edge through proxies and firewalls',
  help: agentHelp,
  run: (args) => {
    const stop = new AbortController();
    const end = (): void => {
      stop.abort();
    };
    process.once('SIGINT', end).once('SIGTERM', end);
    return runAgent(parseAgentArguments(args, process.env), process.stdout, stop.signal);
  },
};

export interface AgentOutput {
  write(text: string): unknown;
}

const exitCode = { asAsked: 0, edgeUnusable: 2 } as const;
const realm = 'sallyport-agent';
const tickMs = 1000;
const firstPauseMs = 1000;
const longestPauseMs = 30_000;
/** What trying again does not cure. */
const finalCodes: readonly string[] = [
  'bad-url',
  'bad-answer',
  'edge-not-sallyport',
  'forbidden',
  'token-missing',
  'token-invalid',
  'token-expired',
  'token-wrong-room',
];

/** Resolves with the exit code once `signal` has ended it, or the edge cannot be used. Throws UsageError. */
export async function runAgent(args: AgentArguments, out: AgentOutput, signal: AbortSignal): Promise<number> {
  const agent = new AgentProcess(args, out, signal);
  const listeners = await agent.listen();
  try {
    return await agent.run();
  } finally {
    agent.close();
    await listeners.close();
  }
}

class AgentProcess {
  readonly #args: AgentArguments;
  readonly #out: AgentOutput;
  readonly #signal: AbortSignal;
  readonly #agent: TurnAgent;
  readonly #timer: NodeJS.Timeout;
  #tunnel: TurnTunnel | null = null;
  #port = 0;
  #announced = false;

  constructor(args: AgentArguments, out: AgentOutput, signal: AbortSignal) {
    const { username, credential } = args;
    const now = (): number => performance.now();
    this.#args = args;
    this.#out = out;
    this.#signal = signal;
    this.#agent = new TurnAgent(
      { realm, username, credential },
      { now, random: randomBytes, send: (flow, message) => this.#tunnel?.send(flow, message) === true },
    );
    this.#timer = setInterval(() => {
      this.#agent.tick(now());
    }, tickMs);
  }

  async listen(): Promise<AgentListeners> {
    const { host, port } = this.#args;
    try {
      const listeners = await AgentListeners.open(this.#agent, host, port);
      this.#port = listeners.port;
      return listeners;
    } catch (error) {
      clearInterval(this.#timer);
      const { code = String(error) } = error as NodeJS.ErrnoException;
      const advice = code === 'EADDRINUSE' ? 'something else listens there; choose another one by --listen' : code;
      throw new UsageError(`cannot listen on ${host} port ${String(port)}: ${advice}`, { cause: error });
    }
  }

  /** Sessions one after the other, until it is told to stop or none can be had. */
  async run(): Promise<number> {
    const { url, caFile } = this.#args;
    const { ClientError } = await import('../../client/index.ts');
    const ca = caFile === undefined ? undefined : await readText(caFile);
    this.#line(`TURN on ${hostOf(this.#args.host)}:${String(this.#port)}, UDP and TCP; asking ${url} for a session …`);
    if (!isLoopback(this.#args.host)) {
      this.#line('WARNING: other machines can use this agent; its password is all that keeps them from it');
    }
    let pauseMs = firstPauseMs;
    while (!this.#isStopped()) {
      const error = await this.#session(ca).catch((cause: unknown) => {
        if (cause instanceof ClientError) return cause;
        throw cause;
      });
      if (this.#isStopped() || error?.code === 'aborted') break;
      if (error !== null && finalCodes.includes(error.code)) {
        if (error.code === 'bad-url') throw new UsageError(error.message, { cause: error });
        this.#line(`the edge cannot be used (${error.code}): ${error.message}`);
        return exitCode.edgeUnusable;
      }
      if (this.#wasConnected) pauseMs = firstPauseMs;
      const why = error === null ? 'the session ended' : `${error.code}: ${error.message}`;
      this.#line(`${why}; again in ${String(pauseMs / 1000)} s`);
      await pause(pauseMs, this.#signal);
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    }
    return exitCode.asAsked;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#agent.close();
    this.#tunnel?.close();
  }

  #wasConnected = false;

  /** One session from its beginning to its end. Resolves with why it ended. */
  async #session(ca: string | undefined): Promise<ClientError | null> {
    const { TurnTunnel } = await import('../../client/index.ts');
    const { url, room, token, proxy, rungs, insecure } = this.#args;
    const agent = this.#agent;
    this.#wasConnected = false;
    const tunnel = await TurnTunnel.open(url, { room, token, proxy, ca, rungs, insecure, signal: this.#signal });
    if (this.#isStopped()) {
      tunnel.close();
      return null;
    }
    this.#tunnel = tunnel;
    agent.setServer(tunnel.credentials);
    const ended = new Promise<ClientError | null>((resolve) => {
      tunnel.on('closed', ({ error }) => {
        resolve(error);
      });
    });
    tunnel.on('message', ({ flow, message }) => {
      agent.fromServer(flow, message);
    });
    tunnel.on('connected', ({ rung, resumed }) => {
      this.#wasConnected = true;
      this.#line(`${resumed ? 'connected again' : 'connected'} by ${rung}`);
      if (!this.#announced) this.#announce();
      this.#announced = true;
      agent.resend();
    });
    tunnel.on('rung', ({ from, to }) => {
      if (from !== null) this.#line(`carried by ${to} now, no longer by ${from}`);
    });
    tunnel.on('attempt', ({ rung, outcome, reason }) => {
      if (outcome === 'failed') this.#line(`  ${rung} failed${reason === undefined ? '' : `: ${reason}`}`);
    });
    tunnel.on('disconnected', ({ reason }) => {
      this.#line(`connection lost${reason === '' ? '' : ` (${reason})`}; connecting again …`);
    });
    const stop = (): void => {
      tunnel.close();
    };
    this.#signal.addEventListener('abort', stop, { once: true });
    tunnel.connect();
    const error = await ended;
    this.#signal.removeEventListener('abort', stop);
    this.#tunnel = null;
    agent.setServer(null);
    return error;
  }

  #announce(): void {
    const { host, username, credential } = this.#args;
    const place = `${hostOf(host)}:${String(this.#port)}`;
    const urls = [`turn:${place}?transport=udp`, `turn:${place}?transport=tcp`];
    const entry = JSON.stringify({ iceServers: [{ urls, username, credential }], iceTransportPolicy: 'relay' });
    this.#line(`give this to the application's RTCPeerConnection:\n\n  ${entry}\n`);
  }

  #isStopped(): boolean {
    return this.#signal.aborted;
  }

  #line(text: string): void {
    this.#out.write(`${text}\n`);
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Or until it is called off. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
