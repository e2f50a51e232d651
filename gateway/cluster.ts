/** What makes an edge one of several: the directory, what it knows of the others, and which sessions are here. */
import { randomBytes } from 'node:crypto';
import type { Logger } from '../sfu/index.ts';
import type { Config } from './config.ts';
import { DirectoryView, RedisDirectory, SessionBook, type Directory, type EdgeRecord } from './directory/index.ts';
import type { Secret } from './secret.ts';
import { edgeProof, Strays } from './strays.ts';

export interface Cluster {
  readonly directory: Directory;
  readonly view: DirectoryView;
  readonly sessions: SessionBook;
  readonly strays: Strays;
  close(): Promise<void>;
}

export interface ClusterDeps {
  readonly log: Logger;
  /** In place of Redis. */
  readonly directory?: Directory;
  /** What this edge says of itself, but for its name. */
  readonly self: () => Omit<EdgeRecord, 'id' | 'instance' | 'region' | 'proof'>;
  /** That all edges know. */
  readonly secret: Secret;
  readonly failed: (code: string) => void;
}

/** Null where the configuration names no directory. */
export function openCluster(config: Config, { log, directory, self, secret, failed }: ClusterDeps): Cluster | null {
  const { redisUrls, edgeId, region } = config;
  if (directory === undefined && redisUrls === null) return null;
  const opened = directory ?? new RedisDirectory({ urls: redisUrls ?? [], ca: config.redisCa ?? undefined, log });
  const instance = randomBytes(8).toString('hex');
  const view = new DirectoryView({
    directory: opened,
    region,
    edgeId,
    edge: () => {
      const said = { id: edgeId, instance, region, ...self() };
      return { ...said, proof: edgeProof(secret, said) };
    },
    random: Math.random,
  });
  const strays = new Strays({ directory: opened, edgeId, edge: (id) => view.edge(id), secret, failed });
  const sessions = new SessionBook(opened, edgeId, Math.random);
  return {
    directory: opened,
    view,
    sessions,
    strays,
    close: async () => {
      strays.close();
      sessions.close();
      await view.close();
      await opened.close();
    },
  };
}
