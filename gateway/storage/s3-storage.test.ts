/** Against an object store that is not ours, and through a proxy that spoils what passes. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { freePort, motoMissing, startMoto } from '../testing/moto-server.ts';
import { S3Client } from './s3-client.ts';
import { S3Storage } from './s3-storage.ts';
import { sha256Hex, signedHeaders } from './signature-v4.ts';

const bucket = 'recordings';
const key = { accessKeyId: 'id', secretAccessKey: 'key', region: 'us-east-1' };
const ownPartBytes = 5 * 1024 * 1024;
const id = '20260101T000000Z-00000000';
const patienceMs = 60_000;

function storageAt(t: Test, endpoint: string, partBytes = ownPartBytes, told: object[] = []): S3Storage {
  const quiet = (): void => undefined;
  const storage = new S3Storage({
    client: new S3Client({ endpoint, bucket, key }),
    prefix: 'calls',
    log: { debug: quiet, info: quiet, warn: (fields: object) => told.push(fields), error: quiet },
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
  // The process that goes on has another setting.
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
  const second = storageAt(t, slow, 2 * ownPartBytes);
  second.add(folder);
  await until(() => second.stored === 1);
  t.same(
    parts,
    ['1', '2', '3', '3', '4', '5', '6'],
    'parts that were stored are not sent again, and the others are as large as they were',
  );
  t.equal(second.retries, 0, 'what the store has is what was sent');
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

t.test('the answer to the last request is lost: nothing is sent again', { skip: motoMissing }, async (t) => {
  const endpoint = await startMoto(t, bucket);
  const { folder, video } = await recorded(t, 11);
  const sent: string[] = [];
  const losing = await proxy(t, endpoint, (url, body, socket) => {
    sent.push(url.replace(/uploadId=[^&]+/, 'uploadId'));
    if (url.includes('uploadId=') && !url.includes('partNumber') && sent.length < 6) {
      // It arrives, and its answer does not.
      setImmediate(() => socket.destroy());
    }
    return body;
  });
  const storage = storageAt(t, losing);
  storage.add(folder);
  await until(() => storage.stored === 1);
  t.ok(storage.retries >= 1);
  t.equal(sent.filter((url) => url.includes('partNumber')).length, 3, 'each part once');
  t.ok(video.equals(await object(endpoint, 'a-camera-1.webm')));
});

t.test('a store that lies, or talks nonsense, gets nothing removed here', async (t) => {
  const word = 'x'.repeat(100_000);
  for (const [why, answer] of [
    ['it has less than was sent', { headers: { etag: '"e"', 'content-length': '1' } }],
    ['it never says what it has', { headers: { etag: '"e"' }, body: '<ok/>' }],
    ['no etag', {}],
    ['an etag that would be markup', { headers: { etag: '"</ETag><x>"' } }],
    ['an error of one long word', { status: 400, body: `<Error><Code>${word}</Code></Error>` }],
    ['an error without an end', { status: 500, body: `<Error><Code>${'<Code>'.repeat(200_000)}` }],
    ['somewhere else', { status: 301, headers: { location: 'http://192.0.2.1/' } }],
    ['an answer without an end', { endless: true }],
  ] as const) {
    const { folder } = await recorded(t, 1);
    const endpoint = await foolish(t, answer);
    const told: { err?: Error }[] = [];
    const storage = storageAt(t, endpoint, ownPartBytes, told);
    storage.add(folder);
    await until(() => storage.retries >= 2);
    t.equal(storage.stored, 0, why);
    t.ok(existsSync(path.join(folder, 'a-camera-1.webm')), why);
    t.match(told[0]?.err?.message, /^the object store /, 'it is told');
    t.ok((told[0]?.err?.message.length ?? 0) < 200, 'in few words');
    await storage.close();
    await rm(folder, { recursive: true });
  }
});

t.test(
  'what somebody removed is not waited for, and a spoiled note of what is stored is none',
  { skip: motoMissing },
  async (t) => {
    const endpoint = await startMoto(t, bucket);
    const { folder, video } = await recorded(t, 1);
    const storage = storageAt(t, endpoint);
    storage.add(path.join(t.testdirName, '20260101T000000Z-11111111'));
    for (const note of [
      '[1]',
      '{"a-camera-1.webm":{"uploadId":"u","partBytes":0,"parts":[],"done":false}}',
      '{"a-camera-1.webm":null}',
      'null',
      '{',
    ]) {
      await writeFile(path.join(folder, 'upload.json'), note);
      storage.add(folder);
      await until(() => storage.pending === 0);
      t.notOk(existsSync(folder), note);
      t.ok(video.equals(await object(endpoint, 'a-camera-1.webm')), note);
      await mkdir(folder);
      await writeFile(path.join(folder, 'a-camera-1.webm'), video);
    }
    t.match(storage, { stored: 5, retries: 0 });
  },
);

interface FoolishAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** More and more of it comes, until the other side has had enough. */
  readonly endless?: boolean;
}

/** Takes everything and answers so. Returns its endpoint. */
async function foolish(
  t: Test,
  { status = 200, headers = {}, body = '', endless = false }: FoolishAnswer,
): Promise<string> {
  const server = createServer((incoming, answer) => {
    incoming.resume();
    incoming.on('end', () => {
      const isHead = incoming.method === 'HEAD';
      const { 'content-length': length, ...others } = headers;
      answer.writeHead(status, isHead && length !== undefined ? headers : others);
      if (!endless || isHead) {
        answer.end(body);
        return;
      }
      const more = (): void => {
        while (!answer.destroyed && answer.write(Buffer.alloc(65_536)));
      };
      answer.on('drain', more);
      more();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

/** Passes requests on, as `pass` changes their bodies; null: never. Returns its endpoint. */
async function proxy(
  t: Test,
  endpoint: string,
  pass: (url: string, body: Buffer, client: Socket) => Buffer | null,
): Promise<string> {
  const server = createServer((incoming, answer) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = pass(incoming.url ?? '', Buffer.concat(chunks), incoming.socket);
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
