/** Every way in which a connection may come to the public port, and how to talk HTTP on it. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Dial {
  /** An address of 127.0.0.0/8 to come from. */
  readonly from?: string;
  /** A PROXY header to begin with. */
  readonly header?: Uint8Array;
  /** Null: no TLS. Empty: TLS without ALPN. */
  readonly alpn: readonly string[] | null;
  /** For SNI. */
  readonly serverName?: string;
}

/** Connected, and secured where that is asked for; rejects when it ends before. Later errors are left to `close`. */
export async function dial(port: number, { from, header, alpn, serverName }: Dial): Promise<Socket> {
  const options = { port, host: '127.0.0.1', noDelay: true };
  const raw = connect(from === undefined ? options : { ...options, localAddress: from });
  raw.on('error', () => undefined);
  await once(raw, 'connect');
  if (header !== undefined) raw.write(header);
  if (alpn === null) return raw;
  const offered = alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] };
  const named = serverName === undefined ? {} : { servername: serverName };
  const socket = connectTls({ socket: raw, rejectUnauthorized: false, ...offered, ...named });
  socket.on('error', () => undefined);
  below.set(socket, raw);
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('close', () => {
      reject(new Error('the connection ended in the TLS handshake'));
    });
  });
  return socket;
}

const below = new WeakMap<Socket, Socket>();

/** The TCP connection below a secured one that was dialled; itself where there is no TLS. */
export function tcpBelow(socket: Socket): Socket {
  return below.get(socket) ?? socket;
}

export interface HttpQuestion {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** One exchange, which ends the connection. */
export async function askHttp1(socket: Socket, question: HttpQuestion): Promise<HttpAnswer> {
  const { method = 'GET', path, headers = {}, body = '' } = question;
  const all = {
    host: 'edge.example',
    connection: 'close',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
  socket.destroy();
  const [head = '', ...rest] = text.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1] ?? 0), body: rest.join('\r\n\r\n') };
}

/** The same on h2. */
export async function askHttp2(socket: Socket, question: HttpQuestion): Promise<HttpAnswer> {
  const { method = 'GET', path, headers = {}, body = '' } = question;
  const session = connectHttp2('https://edge.example', { createConnection: () => socket });
  const stream = session.request({ ...headers, ':method': method, ':path': path }, { endStream: body === '' });
  let status = 0;
  stream.on('response', (reply) => {
    status = reply[':status'] ?? 0;
  });
  if (body !== '') stream.end(body);
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  session.destroy();
  return { status, body: text };
}

/** The four ways of HTTP, by name. */
export const httpWays = [
  { name: 'plain HTTP', alpn: null, ask: askHttp1 },
  { name: 'TLS, http/1.1', alpn: ['http/1.1'], ask: askHttp1 },
  { name: 'TLS without ALPN', alpn: [], ask: askHttp1 },
  { name: 'TLS, h2', alpn: ['h2', 'http/1.1'], ask: askHttp2 },
] as const;

/** Version 1, of a client with an IPv4 address. */
export function proxyHeaderV1(address: string, port: number): Buffer {
  return Buffer.from(`PROXY TCP4 ${address} 192.0.2.200 ${String(port)} 443\r\n`);
}

/** Version 2, of the client `2001:db8::<host>`; `prefix` is the first half of its network. */
export function proxyHeaderV2(host: number, port: number, prefix = 0x20010db8): Buffer {
  const start = Buffer.from('0d0a0d0a000d0a515549540a21210024', 'hex');
  const source = Buffer.alloc(16);
  source.writeUInt32BE(prefix, 0);
  source.writeUInt16BE(host, 14);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(port, 0);
  return Buffer.concat([start, source, Buffer.alloc(16), ports]);
}
