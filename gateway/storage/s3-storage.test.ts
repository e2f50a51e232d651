/** Against an object store that is not ours, and through a proxy that spoils what passes. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { freePort, motoMissing, startMoto } from '../testing/moto-server.ts';
import { S3Client } from './s3-client.ts';
import { S3Storage } from './s3-storage.ts';
import { sha256Hex, signedHeaders } from './signature-v4.ts';

const bucket = 'recordings';
const key = { accessKeyId: 'id', secretAccessKey: 'key', region: 'us-east-1' };
const partBytes = 5 * 1024 * 1024;
const id = '20260101T000000Z-00000000';
const patienceMs = 60_000;

function storageAt(t: Test, endpoint: string): S3Storage {
  const quiet = (): void => undefined;
  const storage = new S3Storage({
    client: new S3Client({ endpoint, bucket, key }),
    prefix: 'calls',
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    random: () => 0.5,
    partBytes,
    retryMs: { first: 50, most: 200 },
  });
  t.teardown(() => storage.close());
  return storage;
}

/** A folder as a recording leaves it; `megabytes` of video. */
async function recorded(t: Test, megabytes: number): Promise<{ folder: string; video: Buffer }> {
  const folder = path.join(t.testdir(), id);
  await mkdir(folder);
  const whole = Buffer.alloc(megabytes * 1024 * 1024);
  for (let at = 0; at < whole.length; at += 4) whole.writeUInt32BE(at, at);
  await writeFile(path.join(folder, 'a-camera-1.webm'), whole);
  await writeFile(path.join(folder, 'recording.json'), '{"id":"x"}');
  return { folder, video: whole };
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('it did not become so');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function object(endpoint: string, name: string): Promise<Buffer> {
  const url = new URL(`${endpoint}/${bucket}/calls/${id}/${name}`);
  const headers = signedHeaders({ method: 'GET', url, headers: {}, bodySha256: sha256Hex('') }, key, Date.now());
  const answer = await fetch(url, { headers });
  if (!answer.ok) throw new Error(`${String(answer.status)} for ${name}`);
  return Buffer.from(await answer.arrayBuffer());
}

t.test('a recording is stored in parts, then removed here', { skip: motoMissing }, async (t) => {
  const endpoint = await startMoto(t, bucket);
  const { folder, video } = await recorded(t, 11);
  const storage = storageAt(t, endpoint);
  storage.add(folder);
  await until(() => storage.stored === 1);
  t.ok(video.equals(await object(endpoint, 'a-camera-1.webm')));
  t.equal((await object(endpoint, 'recording.json')).toString(), '{"id":"x"}');
  t.notOk(existsSync(folder));
  t.match(storage, { pending: 0, retries: 0 });
});

t.test('a store that is away is tried until it is there; nothing is lost', { skip: motoMissing }, async (t) => {
  const port = await freePort();
  const { folder, video } = await recorded(t, 1);
  const storage = storageAt(t, `http://127.0.0.1:${String(port)}`);
  storage.add(folder);
  await until(() => storage.retries >= 3);
  t.ok(existsSync(path.join(folder, 'a-camera-1.webm')));
  t.equal(storage.pending, 1);
  const endpoint = await startMoto(t, bucket, port);
  await until(() => storage.stored === 1);
  t.ok(video.equals(await object(endpoint, 'a-camera-1.webm')));
  t.notOk(existsSync(folder));
});

t.test('another process goes on in the middle of an upload', { skip: motoMissing }, async (t) => {
  const endpoint = await startMoto(t, bucket);
  const { folder, video } = await recorded(t, 26);
  const parts: string[] = [];
  const slow = await proxy(t, endpoint, (url, body) => {
    const part = /partNumber=([0-9]+)/.exec(url)?.[1];
    if (part !== undefined) parts.push(part);
    return part === '3' && parts.length === 3 ? null : body;
  });
  const first = storageAt(t, slow);
  first.add(folder);
  await until(() => parts.length === 3);
  await first.close();
  t.equal(first.stored, 0);
  const state = JSON.parse(await readFile(path.join(folder, 'upload.json'), 'utf8')) as Record<
    string,
    { parts: unknown[] }
  >;
  t.equal(state['a-camera-1.webm']?.parts.length, 2);
  const second = storageAt(t, slow);
  second.add(folder);
  await until(() => second.stored === 1);
  t.same(parts, ['1', '2', '3', '3', '4', '5', '6'], 'parts that were stored are not sent again');
  t.ok(video.equals(await object(endpoint, 'a-camera-1.webm')));
  t.notOk(existsSync(folder));
});

t.test('what was spoiled on the way is noticed, and stored again', { skip: motoMissing }, async (t) => {
  const endpoint = await startMoto(t, bucket);
  const { folder, video } = await recorded(t, 11);
  let spoiled = 0;
  const spoiling = await proxy(t, endpoint, (url, body) => {
    if (!url.includes('partNumber=2') || spoiled > 0) return body;
    spoiled++;
    body[1000] = (body[1000] as number) ^ 0xff;
    return body;
  });
  const storage = storageAt(t, spoiling);
  storage.add(folder);
  await until(() => storage.stored === 1);
  t.equal(spoiled, 1);
  t.ok(storage.retries >= 1);
  t.ok(video.equals(await object(endpoint, 'a-camera-1.webm')));
});

/** Passes requests on, as `pass` changes their bodies; null: never. Returns its endpoint. */
async function proxy(t: Test, endpoint: string, pass: (url: string, body: Buffer) => Buffer | null): Promise<string> {
  const server = createServer((incoming, answer) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = pass(incoming.url ?? '', Buffer.concat(chunks));
      if (body === null) return;
      const { method, headers, url } = incoming;
      const onward = request(`${endpoint}${url ?? ''}`, { method, headers }, (reply) => {
        answer.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(answer);
      });
      onward.end(body);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}
