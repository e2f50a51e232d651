import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { labMissing } from './lab-missing.ts';
import { edgeAddress, withNamespaces, type Lab } from './namespaces.ts';
import { forwardRules } from './profile.ts';
import { listNamespaces } from './remains.ts';

const namespaces = fileURLToPath(new URL('./namespaces.js', import.meta.url));

t.setTimeout(55_000);

function namesOf({ client, router, edge }: Lab): readonly string[] {
  return [client, router, edge].map(({ name }) => name);
}

function anyIsLeft(names: readonly string[]): boolean {
  return listNamespaces().some((name) => names.includes(name));
}

/** Starts a TCP server in the edge's namespace; resolves when it listens. */
async function listen(lab: Lab, port: number): Promise<void> {
  const script = `require('net').createServer((c)=>c.end('hello')).listen(${String(port)},()=>console.log('ready'))`;
  const { stdout } = lab.edge.spawn([process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (stdout !== null) await once(stdout, 'data');
}

/** What the server says to somebody in the client's namespace; empty when it cannot be reached. */
async function ask(lab: Lab, port: number): Promise<string> {
  const script = `require('net').connect({port:${String(port)},host:'${edgeAddress}',timeout:1500})
    .on('timeout',()=>process.exit()).on('error',()=>process.exit()).pipe(process.stdout)`;
  return lab.client.run([process.execPath, '-e', script]);
}

t.test('the firewall stands between client and edge, can be changed, and counts', { skip: labMissing }, (t) =>
  withNamespaces({ firewall: forwardRules('tcp dport 81 counter drop') }, async (lab) => {
    await Promise.all([listen(lab, 80), listen(lab, 81)]);
    t.equal(await ask(lab, 80), 'hello');
    t.equal(await ask(lab, 81), '');
    t.ok((await lab.packetsStopped()) > 0);
    await lab.setFirewall('');
    t.equal(await ask(lab, 81), 'hello');
    t.equal(await lab.endLink(), null);
  }),
);

t.test('nothing of this machine is reached from inside', { skip: labMissing }, (t) =>
  withNamespaces({}, async (lab) => {
    for (const namespace of [lab.client, lab.router, lab.edge]) {
      const routes = await namespace.run(['ip', 'route']);
      for (const line of routes.trim().split('\n')) t.match(line, /^(?:default via )?(?:10\.20\.0|198\.51\.100)\./);
      t.equal(await namespace.run(['ip', '-6', 'address']), '', 'no IPv6');
    }
  }),
);

t.test('nothing is left behind, after a throw either', { skip: labMissing }, async (t) => {
  let names: readonly string[] = [];
  let folder = '';
  const boom = new Error('boom');
  await t.rejects(
    withNamespaces({}, async (lab) => {
      names = namesOf(lab);
      folder = lab.folder;
      await listen(lab, 80);
      t.ok(anyIsLeft(names));
      throw boom;
    }),
    boom,
  );
  t.notOk(anyIsLeft(names));
  t.notOk(existsSync(folder));
  await t.rejects(
    withNamespaces({ firewall: 'nonsense' }, () => Promise.resolve()),
    /nonsense|syntax/,
  );
  t.same(
    listNamespaces().filter((name) => name.includes(`-${String(process.pid)}-`)),
    [],
  );
});

interface Holder {
  readonly child: ReturnType<typeof spawn>;
  readonly names: readonly string[];
  readonly folder: string;
}

/** A process that builds a lab, says so, and would keep it for ever. */
async function startHolder(): Promise<Holder> {
  const script = `import { withNamespaces } from ${JSON.stringify(namespaces)};
    await withNamespaces({}, async (lab) => {
      lab.client.spawn(['sleep', '1000'], { stdio: 'ignore' });
      console.log(JSON.stringify({ names: [lab.client.name, lab.router.name, lab.edge.name], folder: lab.folder }));
      await new Promise((resolve) => setTimeout(resolve, 1e6));
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, ...(JSON.parse(line.toString()) as Omit<Holder, 'child'>) };
}

t.test(
  'a signal removes everything; what a killed run leaves, the next one removes',
  { skip: labMissing },
  async (t) => {
    const [ended, killed] = await Promise.all([startHolder(), startHolder()]);
    t.ok(anyIsLeft(ended.names) && anyIsLeft(killed.names));
    ended.child.kill('SIGTERM');
    const [code] = (await once(ended.child, 'exit')) as [number];
    t.equal(code, 128 + 15);
    t.notOk(anyIsLeft(ended.names));
    t.notOk(existsSync(ended.folder));

    killed.child.kill('SIGKILL');
    await once(killed.child, 'exit');
    t.ok(anyIsLeft(killed.names) && existsSync(killed.folder), 'nobody was there to clear away');
    await withNamespaces({}, () => Promise.resolve());
    t.notOk(anyIsLeft(killed.names));
    t.notOk(existsSync(killed.folder));
  },
);
