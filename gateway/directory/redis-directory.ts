/** The directory in Redis: one server, or a Redis Cluster. */
import { createHash } from 'node:crypto';
import { Cluster, Redis } from 'ioredis';
import {
  DirectoryDown,
  directoryTimes,
  type Directory,
  type EdgeRecord,
  type NodeRecord,
  type RoomRecord,
  type SessionRecord,
} from './directory.ts';
import { redisScripts, type RedisScript } from './redis-scripts.ts';

export interface RedisDirectoryOptions {
  /** `redis://` or, with TLS, `rediss://`, with user and password; several are the nodes of one Redis Cluster. */
  readonly urls: readonly string[];
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  /** Certificates, as PEM, of the authority that Redis is to be certified by; those that Node knows if absent. */
  readonly ca?: string | undefined;
  /** Of all keys; `sallyport` if absent. */
  readonly prefix?: string;
}

/** Nothing waits longer: whoever asks has an answer of its own for when there is none. */
const commandTimeoutMs = 1000;
const connectTimeoutMs = 1000;
const maxRetryMs = 1000;

export class RedisDirectory implements Directory {
  onUp: (() => void) | null = null;
  readonly #client: Redis | Cluster;
  readonly #prefix: string;
  readonly #log: RedisDirectoryOptions['log'];
  readonly #hashes = new Map<RedisScript, string>();
  #wasUp: boolean | null = null;
  #closed = false;

  constructor({ urls, log, ca, prefix = 'sallyport' }: RedisDirectoryOptions) {
    this.#log = log;
    this.#prefix = prefix;
    const common = { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: commandTimeoutMs };
    const retry = (times: number): number => Math.min(maxRetryMs, 50 * 2 ** Math.min(times, 6));
    const [first = ''] = urls;
    const tls = first.startsWith('rediss:') ? { tls: ca === undefined ? {} : { ca } } : {};
    if (urls.length > 1) {
      const { username, password } = new URL(first);
      this.#client = new Cluster([...urls], {
        enableOfflineQueue: false,
        clusterRetryStrategy: retry,
        redisOptions: {
          ...common,
          connectTimeout: connectTimeoutMs,
          ...(username === '' ? {} : { username: decodeURIComponent(username) }),
          ...(password === '' ? {} : { password: decodeURIComponent(password) }),
          ...tls,
        },
      });
    } else {
      this.#client = new Redis(first, { ...common, ...tls, connectTimeout: connectTimeoutMs, retryStrategy: retry });
    }
    this.#client.on('error', (error: Error) => {
      this.#becameDown(error);
    });
    this.#client.on('close', () => {
      this.#becameDown(null);
    });
    this.#client.on('ready', () => {
      if (this.#wasUp === false) this.#log.info({}, 'the directory answers again');
      this.#wasUp = true;
      this.onUp?.();
    });
  }

  get up(): boolean {
    return this.#client.status === 'ready';
  }

  async announceNode(record: NodeRecord): Promise<void> {
    await this.#announce('nodes', record);
  }

  async announceEdge(record: EdgeRecord): Promise<void> {
    await this.#announce('edges', record);
  }

  async withdrawNode(id: string, instance: string): Promise<void> {
    await this.#run('withdraw', 'nodes', [id, instance]);
  }

  async withdrawEdge(id: string, instance: string): Promise<void> {
    await this.#run('withdraw', 'edges', [id, instance]);
  }

  async nodes(): Promise<readonly NodeRecord[]> {
    return parseAll(await this.#run('present', 'nodes', [])) as NodeRecord[];
  }

  async edges(): Promise<readonly EdgeRecord[]> {
    return parseAll(await this.#run('present', 'edges', [])) as EdgeRecord[];
  }

  async findRoom(room: string): Promise<RoomRecord | null> {
    const held = await this.#ask(() => this.#client.get(this.#key(`room:${room}`)));
    return held === null ? null : readRoom(held);
  }

  async claimRoom(room: string, mine: RoomRecord, dead: RoomRecord | null): Promise<RoomRecord> {
    const instead = dead === null ? '' : writeRoom(dead);
    return this.#roomBy('claimRoom', room, [writeRoom(mine), instead, directoryTimes.roomTtlMs]);
  }

  renewRoom(room: string, mine: RoomRecord): Promise<RoomRecord> {
    return this.#roomBy('renewRoom', room, [writeRoom(mine), mine.epoch, directoryTimes.roomTtlMs]);
  }

  async releaseRoom(room: string, mine: RoomRecord): Promise<void> {
    await this.#run('releaseRoom', `room:${room}`, [writeRoom(mine)]);
  }

  async putSession(session: string, { edge, node, rung, take }: SessionRecord): Promise<boolean> {
    const text = `${String(take)} ${edge} ${node} ${rung}`;
    return (await this.#run('putSession', `session:${session}`, [take, text, directoryTimes.sessionTtlMs])) === 1;
  }

  async findSession(session: string): Promise<SessionRecord | null> {
    const held = await this.#ask(() => this.#client.get(this.#key(`session:${session}`)));
    const [take, edge, node, rung] = held?.split(' ') ?? [];
    if (edge === undefined || node === undefined || rung === undefined) return null;
    return { take: Number(take), edge, node, rung };
  }

  async removeSession(session: string, take: number): Promise<void> {
    await this.#run('removeSession', `session:${session}`, [take]);
  }

  async claimConnection(session: string, connection: string, edge: string): Promise<string> {
    const key = `connection:${session}:${connection}`;
    return (await this.#run('claimConnection', key, [edge, directoryTimes.sessionTtlMs])) as string;
  }

  findConnection(session: string, connection: string): Promise<string | null> {
    return this.#ask(() => this.#client.get(this.#key(`connection:${session}:${connection}`)));
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#client.disconnect();
    return Promise.resolve();
  }

  async #announce(of: 'nodes' | 'edges', record: NodeRecord | EdgeRecord): Promise<void> {
    const { id, instance } = record;
    await this.#run('announce', of, [id, instance, JSON.stringify(record), directoryTimes.presenceTtlMs]);
  }

  async #roomBy(script: RedisScript, room: string, args: readonly (string | number)[]): Promise<RoomRecord> {
    const record = readRoom((await this.#run(script, `room:${room}`, args)) as string);
    if (record === null) throw new DirectoryDown('the directory holds something else for this room');
    return record;
  }

  #run(script: RedisScript, key: string, args: readonly (string | number)[]): Promise<unknown> {
    const source = redisScripts[script];
    let hash = this.#hashes.get(script);
    if (hash === undefined) {
      hash = createHash('sha1').update(source).digest('hex');
      this.#hashes.set(script, hash);
    }
    const known = hash;
    return this.#ask(async () => {
      try {
        return await this.#client.evalsha(known, 1, this.#key(key), ...args);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return this.#client.eval(source, 1, this.#key(key), ...args);
      }
    });
  }

  async #ask<T>(command: () => Promise<T>): Promise<T> {
    if (!this.up) throw new DirectoryDown('the directory cannot be reached');
    try {
      return await command();
    } catch (error) {
      this.#reconnectIfSilent(error);
      throw new DirectoryDown('the directory does not answer', { cause: error });
    }
  }

  /** Where packets are lost, a connection looks whole for a quarter of an hour, and is slow to go on when they are not. */
  #reconnectIfSilent(error: unknown): void {
    if (this.#closed || !this.up || !(error instanceof Error) || error.message !== 'Command timed out') return;
    this.#becameDown(error);
    const connections = this.#client instanceof Cluster ? this.#client.nodes() : [this.#client];
    // `disconnect` would wait for the other end to take leave.
    for (const { stream } of connections) stream.destroy();
  }

  #key(name: string): string {
    return `${this.#prefix}:${name}`;
  }

  #becameDown(error: Error | null): void {
    if (this.#wasUp === false || this.#closed) return;
    this.#wasUp = false;
    this.#log.warn(
      { err: error },
      'the directory cannot be reached: calls go on, rooms that are not known here do not begin',
    );
  }
}

function writeRoom({ node, instance, epoch }: RoomRecord): string {
  return `${String(epoch)} ${node} ${instance}`;
}

function readRoom(text: string): RoomRecord | null {
  const [epoch, node, instance] = text.split(' ');
  if (node === undefined || instance === undefined || !/^\d+$/.test(epoch ?? '')) return null;
  return { node, instance, epoch: Number(epoch) };
}

function parseAll(texts: unknown): unknown[] {
  return (texts as readonly string[]).map((text) => JSON.parse(text) as unknown);
}
