import { rename, rm, writeFile } from 'node:fs/promises';
import t from 'tap';
import { watchCertificate } from './certificate-watch.ts';

t.test('tells of changes once each, not of the first look, and not of files that are away', async (t) => {
  const folder = t.testdir({ cert: 'a', key: 'a', cert2: 'a', key2: 'a' });
  const files = { certFile: `${folder}/cert`, keyFile: `${folder}/key` };
  let changes = 0;
  let wake: () => void = () => undefined;
  const stop = watchCertificate([{ certFile: `${folder}/cert2`, keyFile: `${folder}/key2` }, files], 5, () => {
    changes++;
    wake();
    return Promise.resolve();
  });
  t.teardown(stop);
  // The watch itself keeps no process alive.
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => {
    clearInterval(alive);
  });
  const changed = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const looks = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 40));

  await looks();
  t.equal(changes, 0);
  let next = changed();
  await writeFile(`${folder}/new`, 'a longer one');
  await rename(`${folder}/new`, files.certFile);
  await next;
  await looks();
  t.equal(changes, 1);
  await rm(files.keyFile);
  await looks();
  t.equal(changes, 1);
  next = changed();
  await writeFile(files.keyFile, 'another');
  await next;
  t.equal(changes, 2);
  stop();
  await writeFile(files.keyFile, 'and another one');
  await looks();
  t.equal(changes, 2);
});
