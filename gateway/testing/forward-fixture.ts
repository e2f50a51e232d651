/** A Forwarder between real clients and a real upstream. */
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { connect, type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Test } from 'tap';
import type { HttpApplication } from '../engine/index.ts';
import { Forwarder, type ForwarderOptions, type ForwardTarget } from '../forward/index.ts';
import { problem, problemReply } from '../problem.ts';
import { startTestPort, type TestPortOptions } from './port-fixture.ts';

export interface Forwarding {
  readonly forwarder: Forwarder;
  readonly port: number;
  /** An h2 connection to it. */
  readonly session: ClientHttp2Session;
  readonly failures: readonly string[];
}

/** A public port whose application passes everything on. */
export async function startForwarding(
  t: Test,
  port: Omit<TestPortOptions, 'application'>,
  target: ForwardTarget,
  options: Partial<ForwarderOptions> = {},
): Promise<Forwarding> {
  const failures: string[] = [];
  const forwarder = new Forwarder({ onFailure: (code) => failures.push(code), ...options });
  const application: HttpApplication = {
    route: (head) => ({ stream: (exchange) => forwarder.forward(head, exchange, target) }),
    webSockets: [],
    refuse: (code) => problemReply(problem(code, 'refused')),
    failed: (error) => problemReply(problem('internal', error instanceof Error ? error.message : '')),
  };
  const started = await startTestPort(t, { ...port, application });
  t.teardown(() => {
    forwarder.close();
  });
  return { forwarder, port: started.port, session: openHttp2(t, started.port), failures };
}

export function openHttp2(t: Test, port: number): ClientHttp2Session {
  const session = connect(`https://localhost:${String(port)}`, {
    createConnection: () => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] }),
  });
  session.on('error', () => undefined);
  t.teardown(() => {
    session.destroy();
  });
  return session;
}

export interface Http2Answer {
  /** 0: there was none. */
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly rstCode: number;
  /** Of a problem document. */
  readonly code: string;
}

export async function askOver(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Buffer | string,
): Promise<Http2Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  let got: Record<string, unknown> = {};
  let text = '';
  stream.on('response', (response) => {
    got = response;
  });
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  stream.on('error', () => undefined);
  if (body !== undefined) stream.end(body);
  await new Promise((resolve) => stream.once('close', resolve));
  const isProblem = text !== '' && got['content-type'] === 'application/problem+json';
  const code = isProblem ? (JSON.parse(text) as { code: string }).code : '';
  return { status: Number(got[':status'] ?? 0), headers: got, body: text, rstCode: stream.rstCode, code };
}

export interface Upstream {
  readonly target: ForwardTarget;
  readonly server: Server;
  /** How many connections it has had. */
  readonly accepted: () => number;
  readonly sockets: ReadonlySet<Socket>;
}

export async function httpUpstream(t: Test, listener: RequestListener): Promise<Upstream> {
  return listening(t, createHttpServer(listener));
}

/** One that sees and says bytes. `said` is all that came on the connection so far. */
export async function rawUpstream(t: Test, heard: (socket: Socket, said: string) => void): Promise<Upstream> {
  return listening(
    t,
    createServer((socket) => {
      let said = '';
      socket.on('data', (bytes: Buffer) => {
        said += bytes.toString('latin1');
        heard(socket, said);
      });
    }),
  );
}

export async function listening(t: Test, server: Server): Promise<Upstream> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return {
    target: { at: { host: '127.0.0.1', port }, tls: null, clientScheme: 'https' },
    server,
    accepted: () => accepted,
    sockets,
  };
}

/** Resolves once it is so; looked at after each turn of the event loop. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}
