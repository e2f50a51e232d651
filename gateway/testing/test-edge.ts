/** A whole edge on loopback for tests, with ephemeral ports and a data folder of its own. */
import type { Test } from 'tap';
import { loadConfig } from '../config.ts';
import { createEdge, type Edge, type EdgeInfo, type EdgeLimits } from '../edge.ts';
import { https, type TestReply } from './https-client.ts';

export const testSecret = 'a secret of tests, with more than thirty-two bytes';

export interface TestEdge extends EdgeInfo {
  readonly edge: Edge;
  /** Level and message of every line that was logged. */
  readonly logged: string[];
}

export interface TestEdgeOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly limits?: Partial<EdgeLimits>;
  readonly pageFolder?: string;
  /** Null: without what koffi offers. */
  readonly libc?: null;
}

/** The edge is closed when the test ends. */
export async function startTestEdge(t: Test, options: TestEdgeOptions = {}): Promise<TestEdge> {
  const logged: string[] = [];
  const line =
    (level: string) =>
    (fields: object, message: string): void => {
      logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
  const config = loadConfig({
    environment: {
      SALLYPORT_HOST: '127.0.0.1',
      SALLYPORT_PORT: '0',
      SALLYPORT_ADMIN_PORT: '0',
      // A fixed port would be taken by the edge of another test.
      SALLYPORT_TURN_UDP_PORT: '0',
      SALLYPORT_AUTH: 'token',
      SALLYPORT_SECRET: testSecret,
      SALLYPORT_EDGE_ID: 'pop1',
      SALLYPORT_DATA_DIR: options.environment?.['SALLYPORT_DATA_DIR'] ?? t.testdir(),
      ...options.environment,
    },
    readFile: () => '',
    machine: { hostName: 'pop1', addresses: ['127.0.0.1'] },
  });
  const edge = createEdge(config, {
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.pageFolder === undefined ? {} : { pageFolder: options.pageFolder }),
    ...(options.libc === undefined ? {} : { libc: options.libc }),
  });
  t.teardown(() => edge.close());
  return { ...(await edge.start()), edge, logged };
}

export interface OpenedSession {
  readonly sessionId: string;
  readonly resumeToken: string;
  readonly tunnel: { readonly websocket: string };
  readonly iceServers: readonly {
    readonly urls: readonly string[];
    readonly username: string;
    readonly credential: string;
  }[];
}

/** Asks for a session in a room, with a token that permits everything but administration. */
export async function openSession(edge: EdgeInfo, room = 'standup'): Promise<OpenedSession> {
  const can = ['publish', 'subscribe', 'data'] as const;
  const token = await edge.tokens.issueJoinToken({ identity: null, room, name: null, can, hidden: false }, 60);
  const reply = await postSession(edge, { room, token });
  if (reply.status !== 201) throw new Error(`${String(reply.status)} ${reply.body}`);
  return JSON.parse(reply.body) as OpenedSession;
}

export function postSession(
  edge: EdgeInfo,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<TestReply> {
  const client = { kind: 'test', version: '1' };
  return https(edge.port, {
    method: 'POST',
    path: '/v1/sessions',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ client, ...body }),
  });
}

export function tunnelProtocols(resumeToken: string): readonly string[] {
  return ['sallyport.v1', `bearer.${Buffer.from(resumeToken).toString('base64url')}`];
}
