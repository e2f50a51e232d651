/** What makes an edge one of several: the directory, what it knows of the others, and which sessions are here. */
import { randomBytes } from 'node:crypto';
import type { Logger } from '../sfu/index.ts';
import type { Config } from './config.ts';
import { DirectoryView, RedisDirectory, SessionBook, type Directory, type EdgeRecord } from './directory/index.ts';

export interface Cluster {
  readonly directory: Directory;
  readonly view: DirectoryView;
  readonly sessions: SessionBook;
  close(): Promise<void>;
}

export interface ClusterDeps {
  readonly log: Logger;
  /** In place of Redis. */
  readonly directory?: Directory;
  /** What this edge says of itself, but for its name. */
  readonly self: () => Omit<EdgeRecord, 'id' | 'instance' | 'region'>;
}

/** Null where the configuration names no directory. */
export function openCluster(config: Config, { log, directory, self }: ClusterDeps): Cluster | null {
  const { redisUrls, edgeId, region } = config;
  if (directory === undefined && redisUrls === null) return null;
  const opened = directory ?? new RedisDirectory({ urls: redisUrls ?? [], log });
  const instance = randomBytes(8).toString('hex');
  const view = new DirectoryView({
    directory: opened,
    region,
    edge: () => ({ id: edgeId, instance, region, ...self() }),
    random: Math.random,
  });
  const sessions = new SessionBook(opened, edgeId, Math.random);
  return {
    directory: opened,
    view,
    sessions,
    close: async () => {
      sessions.close();
      await view.close();
      await opened.close();
    },
  };
}
