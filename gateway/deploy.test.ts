/** The files of deploy/ name settings and metrics that there are. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { environmentName, settings } from './config-variables.ts';

const root = new URL('../../', import.meta.url).pathname;
const files = [
  'Dockerfile',
  ...readdirSync(path.join(root, 'deploy'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[a-z]+$/.test(name))
    .map((name) => path.join('deploy', name)),
];

t.test('settings', (t) => {
  const known = new Set(settings.map(environmentName));
  for (const file of files) {
    const named = new Set(readFileSync(path.join(root, file), 'utf8').match(/SALLYPORT_[A-Z_]+[A-Z]/g));
    t.same(
      [...named].filter((name) => !known.has(name)),
      [],
      file,
    );
  }
  t.end();
});

t.test('metrics', (t) => {
  const sources = ['metrics.ts', 'node-metrics.ts'].map((name) =>
    readFileSync(path.join(root, 'gateway', name), 'utf8'),
  );
  const known = new Set(sources.join('\n').match(/sallyport_[a-z_]+/g));
  for (const file of ['deploy/prometheus/alerts.yml', 'deploy/grafana/sallyport.json']) {
    const named = new Set(readFileSync(path.join(root, file), 'utf8').match(/sallyport_[a-z_]+/g));
    t.same(
      [...named].filter((name) => !known.has(name.replace(/_(bucket|sum|count)$/, ''))),
      [],
      file,
    );
  }
  t.end();
});
