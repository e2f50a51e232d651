/**
 * Builds the demo page and the doctor's into dist/client/page/: a bundle and a style sheet each, source maps, and what is copied.
 * And the client for browsers, `sallyport/client/browser`, into dist/client/browser/.
 * Run after tsc, from anywhere: `node dist/client/build-page.js`.
 */
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import type { BuildOptions, Plugin } from 'esbuild';

const source = fileURLToPath(new URL('../../client/page/', import.meta.url));
const target = fileURLToPath(new URL('./page/', import.meta.url));
const published = fileURLToPath(new URL('./browser/', import.meta.url));
/** What the page imports when it needs it, as it names it. */
const parts = [
  '../control/exchange-connection.ts',
  './call-view.ts',
  './native-watch.ts',
  './strip-view.ts',
  './telemetry.ts',
  './tunnel-media.ts',
];
/** Those among them, and the worker, that a call needs without the demo page. */
const partsOfCalls = ['exchange-connection', 'native-watch', 'telemetry', 'tunnel-media', 'media-worker'];
const copied = ['index.html', 'doctor.html', 'icon.svg'];
/** What the first visit costs on a slow network; later media stacks are to be loaded when they are needed. */
const maxEntryBytes = 40 * 1024;
/** Of the media stack, page side and worker together. */
const maxMediaBytes = 200 * 1024;

/** The doors export everything; modules have no effect but their exports, so what the page does not use is left out. */
const withoutSideEffects: Plugin = {
  name: 'without-side-effects',
  setup(builder) {
    builder.onResolve({ filter: /^\./ }, async (request) => {
      if (request.pluginData === 'resolving') return undefined;
      const { path, importer, resolveDir, kind, namespace } = request;
      const resolved = await builder.resolve(path, { importer, resolveDir, kind, namespace, pluginData: 'resolving' });
      return resolved.errors.length > 0 ? resolved : { ...resolved, sideEffects: false };
    });
  },
};

/**
 * A part that is imported by `import()` is a bundle of its own. esbuild's `splitting` would put all that the doors lead to
 * into a chunk that the entry loads at once.
 */
const partsAside: Plugin = {
  name: 'parts-aside',
  setup(builder) {
    builder.onResolve({ filter: /^\./ }, ({ kind, path: name }) => {
      if (kind !== 'dynamic-import') return undefined;
      if (!parts.includes(name)) throw new Error(`${name} is not among the parts`);
      return { path: `./${path.basename(name, '.ts')}.js`, external: true };
    });
  },
};

await mkdir(target, { recursive: true });
const common = {
  outdir: target,
  bundle: true,
  minify: true,
  sourcemap: true,
  target: ['chrome110', 'firefox115', 'safari16.4'],
  logLevel: 'warning',
} satisfies BuildOptions;
for (const part of ['app.ts', 'doctor.ts', ...parts]) {
  await build({
    ...common,
    entryPoints: [path.join(source, part)],
    format: 'esm',
    plugins: [withoutSideEffects, partsAside],
  });
}
await build({
  ...common,
  outdir: published,
  entryPoints: [`${source}index.ts`],
  format: 'esm',
  plugins: [withoutSideEffects, partsAside],
});
// Classic, not a module: Firefox starts module workers from a Blob since version 114 only.
await build({
  ...common,
  entryPoints: [`${source}media-worker/worker.ts`],
  entryNames: 'media-worker',
  format: 'iife',
  plugins: [withoutSideEffects],
});
await build({ ...common, entryPoints: [`${source}style.css`, `${source}doctor.css`] });
// The capacity planner, a page of its own.
await build({ ...common, entryPoints: [`${source}capacity.ts`, `${source}capacity.css`], format: 'esm' });
await copyFile(`${source}capacity.html`, `${target}capacity.html`);
await Promise.all(copied.map((name) => copyFile(source + name, target + name)));
await Promise.all(
  partsOfCalls.flatMap((part) =>
    [`${part}.js`, `${part}.js.map`].map((name) => copyFile(target + name, published + name)),
  ),
);

const gzippedBytes = async (name: string, folder = target): Promise<number> =>
  gzipSync(await readFile(folder + name)).length;
const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;
const sizes = {
  'app.js': { bytes: await gzippedBytes('app.js'), most: maxEntryBytes },
  'sallyport/client/browser': { bytes: await gzippedBytes('index.js', published), most: maxEntryBytes },
  'media stack': {
    bytes: (await gzippedBytes('tunnel-media.js')) + (await gzippedBytes('media-worker.js')),
    most: maxMediaBytes,
  },
};
for (const [name, { bytes, most }] of Object.entries(sizes)) {
  console.log(`page: ${name} ${kib(bytes)} gzipped (at most ${kib(most)})`);
  if (bytes <= most) continue;
  console.error(`page: ${name} is too large; load what the first view does not need later, by a dynamic import`);
  process.exitCode = 1;
}
console.log(`page: style.css ${kib(await gzippedBytes('style.css'))} gzipped`);
