/** Peers of TURN clients that are not of this project, and what they say. */
import type { ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

const programs = ['/usr/bin/turnutils_uclient', '/usr/bin/turnutils_peer'];
const missing = programs.filter((program) => !existsSync(program));
/** Why tests with coturn's programs cannot run here, or false. Under CI, what is missing is a failure. */
export const coturnMissing: string | false =
  missing.length > 0 && process.env['CI'] !== 'true' ? `not installed: ${missing.join(', ')}` : false;

/** Sends every datagram back. */
export async function echoPeer(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (datagram, { port, address }) => {
    socket.send(datagram, port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** A free UDP port with a free one after it: coturn's client uses both. */
export async function portPair(): Promise<number> {
  for (;;) {
    const one = createSocket('udp4').bind(0, '127.0.0.1');
    await once(one, 'listening');
    const { port } = one.address();
    const two = createSocket('udp4');
    const bound = await new Promise<boolean>((resolve) => {
      two.once('error', () => {
        resolve(false);
      });
      two.bind(port === 65_535 ? port : port + 1, '127.0.0.1', () => {
        resolve(true);
      });
    });
    one.close();
    if (bound) two.close();
    if (bound) return port;
  }
}

/** What a program has printed when it has ended. */
export async function output(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(child, 'close');
  return text;
}
