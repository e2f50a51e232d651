/** An object store that is not ours: moto, the server that the users of AWS' libraries test with. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import type { Test } from 'tap';

const executable = process.env['MOTO_SERVER'] ?? '/opt/moto/bin/moto_server';

/** Why tests with it cannot run here; false when they can. Never a reason where CI is to run them. */
export const motoMissing: string | false =
  existsSync(executable) || process.env['CI'] === 'true' ? false : `${executable} is not installed`;

const patienceMs = 60_000;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Ends with the test. Makes the bucket. Returns the endpoint. */
export async function startMoto(t: Test, bucket: string, port?: number): Promise<string> {
  const own = port ?? (await freePort());
  const child = spawn(executable, ['-H', '127.0.0.1', '-p', String(own)], { stdio: 'ignore' });
  t.teardown(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const endpoint = `http://127.0.0.1:${String(own)}`;
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const answer = await fetch(`${endpoint}/${bucket}`, { method: 'PUT', signal: AbortSignal.timeout(5000) }).catch(
      () => null,
    );
    if (answer?.ok === true) return endpoint;
    if (performance.now() > deadline) throw new Error('moto did not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
