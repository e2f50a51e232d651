import { readFileSync } from 'node:fs';
import t from 'tap';
import { clientVersion } from './version.ts';

t.test('the version is the package’s', (t) => {
  const file = new URL('../../package.json', import.meta.url);
  t.equal(clientVersion, (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version);
  t.end();
});
