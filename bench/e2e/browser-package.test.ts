/**
 * The package as an application gets it: packed, installed, type-checked against the example of client/README.md, and run
 * in a page of another origin than the edge, on the tunnel's rungs alone.
 */
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { testTimeoutMs } from './page-tools.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const compilerOptions = {
  // The strictest of the ways in which the package's types may be found.
  ...{
    target: 'es2022',
    lib: ['es2022', 'dom', 'dom.iterable'],
    types: [],
    module: 'nodenext',
    strict: true,
    noEmit: true,
  },
  // What the package declares is checked, too; what TypeScript brings is not.
  ...{ skipLibCheck: false, skipDefaultLibCheck: true },
};

/** Two calls in one page: one publishes, the other shows it. Resolves with what was seen once pictures and sound came. */
const script = `
import { join } from '/sallyport/index.js';
window.run = async (edge, rung) => {
  const devices = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  const speaker = await join(edge, { room: rung, name: 'Ada', rungs: [rung] });
  for (const track of devices.getTracks()) await speaker.publish(track);
  const listener = await join(edge, { room: rung, name: 'Grace', rungs: [rung] });
  const video = document.querySelector('video');
  const audio = document.querySelector('audio');
  const show = ({ kind, mid, track }) => {
    if (mid === listener.tracks.find((other) => other.kind === kind)?.mid) {
      (kind === 'video' ? video : audio).srcObject = new MediaStream([track]);
    }
  };
  listener.tracks.forEach(show);
  listener.on('track', show);
  const pictures = () => new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  for (let shown = 0; shown < 10; shown++) await pictures();
  const heard = ({ tracks }) => tracks.some(({ kind, direction, packets }) => kind === 'audio' && direction === 'receive' && packets > 0);
  while (!heard(listener.stats())) await new Promise((resolve) => listener.once('stats', resolve));
  const seen = { rung: listener.rung, control: listener.controlRung, width: video.videoWidth, others: listener.participants.length };
  await Promise.all([speaker.leave(), listener.leave()]);
  for (const track of devices.getTracks()) track.stop();
  return seen;
};
window.ready = true;
`;

t.test(
  'the packed client, in a page of another origin',
  { skip: chromiumMissing, timeout: testTimeoutMs },
  async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-package-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const installed = path.join(folder, 'node_modules/sallyport');
    const files = await install(folder, installed);
    t.ok(files.includes('dist/client/browser/index.js'));
    t.ok(files.includes('dist/client/browser/media-worker.js'));
    t.same(
      files.filter((file) => /\.test\.|^dist\/bench\/|\.tsbuildinfo/.test(file)),
      [],
      'what only we need stays here',
    );

    await t.test('types', async (t) => {
      const readme = await readFile(path.join(root, 'client/README.md'), 'utf8');
      const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? '';
      t.match(example, 'sallyport/client/browser');
      await writeFile(path.join(folder, 'example.ts'), example);
      await writeFile(
        path.join(folder, 'wrong.ts'),
        `import { join } from 'sallyport/client/browser';\n// @ts-expect-error: a room is needed\nvoid join('https://edge.example', {});\n`,
      );
      await writeFile(
        path.join(folder, 'tsconfig.json'),
        JSON.stringify({ compilerOptions, files: ['example.ts', 'wrong.ts'] }),
      );
      t.equal(await compile(folder), '');
    });

    await t.test('another origin', async (t) => {
      const served = await serve(path.join(installed, 'dist/client/browser'));
      t.teardown(served.close);
      const edge = await startEdge({ environment: { SALLYPORT_ORIGINS: served.origin } });
      t.teardown(() => edge.close());
      const chromium = await launchChromium();
      t.teardown(() => chromium.close());
      const page = await (await chromium.context()).newPage();
      const errors = collectErrors(page);
      const asked: string[] = [];
      const network = await page.context().newCDPSession(page);
      network.on('Network.requestWillBeSent', ({ request }) => {
        if (request.method === 'OPTIONS') asked.push(new URL(request.url).pathname);
      });
      await network.send('Network.enable');
      await page.goto(served.origin);
      await page.waitForFunction('window.ready');
      for (const rung of ['websocket', 'long-poll']) {
        const seen = await page.evaluate(`window.run('${edge.url}', '${rung}')`);
        t.match(seen, { rung, control: rung, others: 1 }, rung);
        t.ok((seen as { width: number }).width > 0, 'pictures have a size');
      }
      t.ok(asked.includes('/v1/sessions'), 'the browser asks leave where it has to');
      t.same(
        asked.filter((asking) => asking === '/tunnel/v1/poll'),
        [],
        'and not for polls',
      );
      t.same(errors, [], 'the page reports no errors');
      t.same(edge.errors, [], 'the edge logs no errors');
    });
  },
);

/** The names of the files in the package. */
async function install(folder: string, target: string): Promise<string[]> {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
    maxBuffer: 16 * 1024 * 1024,
  });
  const answer = JSON.parse(stdout) as Packed[] | Record<string, Packed>;
  const [packed] = Object.values(answer);
  if (packed === undefined) throw new Error('npm packed nothing');
  await mkdir(target, { recursive: true });
  await run('tar', ['-xzf', path.join(folder, packed.filename), '-C', target, '--strip-components=1']);
  return packed.files.map((file) => file.path);
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** What the compiler says; empty if all is well. */
async function compile(project: string): Promise<string> {
  try {
    await run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', project]);
    return '';
  } catch (error) {
    return (error as { stdout?: string }).stdout ?? String(error);
  }
}

/** The application's own server. */
async function serve(folder: string): Promise<{ readonly origin: string; readonly close: () => void }> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const name = /^\/sallyport\/([\w-]+\.js)$/.exec(request.url ?? '')?.[1];
      if (name !== undefined) {
        response.setHeader('content-type', 'text/javascript');
        response.end(await readFile(path.join(folder, name)));
      } else if (request.url === '/') {
        response.setHeader('content-type', 'text/html');
        response.end(
          `<!doctype html><link rel="icon" href="data:,"><video muted autoplay></video><audio autoplay></audio><script type="module">${script}</script>`,
        );
      } else response.writeHead(404).end();
    };
    answer().catch(() => response.writeHead(404).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${String(port)}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
