import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { RotatedFile } from './rotated-file.ts';
import type { RotatedFileOptions } from './rotated-file.ts';

async function fixture(t: Test, options: Partial<RotatedFileOptions> = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-rotated-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const errors: { readonly code: unknown; readonly lines: number }[] = [];
  const name = path.join(folder, 'below', 'file.ndjson');
  const file = new RotatedFile({
    path: name,
    maxBytes: 1000,
    keep: 2,
    maxQueuedBytes: 100_000,
    onError: (error, lines) => {
      errors.push({ code: (error as NodeJS.ErrnoException).code, lines });
    },
    ...options,
  });
  t.teardown(() => file.close());
  return { folder: path.dirname(name), name, file, errors };
}
t.test('lines are appended in order, to what is there already', async (t) => {
  const { name, file } = await fixture(t);
  for (let i = 0; i < 5; i++) t.ok(file.append(`line ${String(i)}`));
  await file.close();
  t.equal((await stat(name)).mode & 0o777, 0o600);
  t.ok(file.append('once more'));
  await file.flush();
  t.equal(await readFile(name, 'utf8'), 'line 0\nline 1\nline 2\nline 3\nline 4\nonce more\n');
});

t.test('disk use is bounded, and no line is cut', async (t) => {
  const { folder, name, file, errors } = await fixture(t);
  for (let i = 0; i < 200; i++) {
    t.ok(file.append(JSON.stringify({ i, text: 'x'.repeat(50) })));
    if (i % 7 === 0) await file.flush();
  }
  await file.flush();
  t.strictSame((await readdir(folder)).sort(), ['file.ndjson', 'file.ndjson.1', 'file.ndjson.2']);
  const numbers: number[] = [];
  for (const part of [`${name}.2`, `${name}.1`, name]) {
    const text = await readFile(part, 'utf8');
    t.ok(text.length <= 1000, part);
    for (const line of text.trimEnd().split('\n')) numbers.push((JSON.parse(line) as { i: number }).i);
  }
  t.equal(numbers.at(-1), 199);
  t.strictSame(
    numbers,
    Array.from({ length: numbers.length }, (_, i) => 200 - numbers.length + i),
    'the latest, none missing',
  );
  t.strictSame(errors, []);
});

t.test('what waits is bounded', async (t) => {
  const { file } = await fixture(t, { maxQueuedBytes: 100 });
  t.ok(file.append('x'.repeat(90)));
  t.notOk(file.append('x'.repeat(90)), 'nothing was written yet');
  await file.flush();
  t.ok(file.append('x'.repeat(90)));
});

t.test('a full disk costs lines, which are counted; afterwards it goes on', { skip: noFullDisk() }, async (t) => {
  const { folder, name, file, errors } = await fixture(t);
  file.append('before');
  await file.close();
  await rm(name);
  // Every write to this device fails with ENOSPC.
  await symlink('/dev/full', name);
  file.append('lost');
  file.append('lost, too');
  await file.flush();
  t.strictSame(errors, [{ code: 'ENOSPC', lines: 2 }]);
  await rm(name);
  file.append('after');
  await file.flush();
  t.equal(await readFile(name, 'utf8'), 'after\n');
  t.strictSame(await readdir(folder), ['file.ndjson']);
});

function noFullDisk(): string | false {
  return existsSync('/dev/full') ? false : 'there is no /dev/full here';
}
