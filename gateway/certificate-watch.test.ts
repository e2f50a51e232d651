import { rename, rm, writeFile } from 'node:fs/promises';
import t from 'tap';
import { watchCertificate } from './certificate-watch.ts';

t.test('tells of changes once each, not of the first look, and not of files that are away', async (t) => {
  const folder = t.testdir({ cert: 'a', key: 'a', cert2: 'a', key2: 'a' });
  const files = { certFile: `${folder}/cert`, keyFile: `${folder}/key` };
  let changes = 0;
  let look: () => Promise<void> = () => Promise.resolve();
  const change = (): Promise<void> => {
    changes++;
    return Promise.resolve();
  };
  watchCertificate([{ certFile: `${folder}/cert2`, keyFile: `${folder}/key2` }, files], 5, change, (repeated) => {
    look = repeated;
    return () => undefined;
  });
  await look();
  t.equal(changes, 0);
  await writeFile(`${folder}/new`, 'a longer one');
  await rename(`${folder}/new`, files.certFile);
  await look();
  await look();
  t.equal(changes, 1);
  await rm(files.keyFile);
  await look();
  t.equal(changes, 1);
  await writeFile(files.keyFile, 'another');
  await look();
  await look();
  t.equal(changes, 2);
});

t.test('looks by itself, until it is told to end', async (t) => {
  const folder = t.testdir({ cert: 'a', key: 'a' });
  const files = { certFile: `${folder}/cert`, keyFile: `${folder}/key` };
  let changes = 0;
  const changed = new Promise<void>((resolve) => {
    const stop = watchCertificate([files], 5, () => {
      changes++;
      stop();
      resolve();
      return Promise.resolve();
    });
  });
  // Whenever the first look was, one of these writes comes after it. The watch itself keeps no process alive.
  let length = 1;
  const writing = setInterval(() => {
    length++;
    void writeFile(files.certFile, 'a'.repeat(length));
  }, 20);
  t.teardown(() => {
    clearInterval(writing);
  });
  await changed;
  t.equal(changes, 1);
});
