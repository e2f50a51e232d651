/** The files of the demo page, read once. Only what was there at the start is served: no path reaches the disk. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Reaction, RequestHead } from './engine/index.ts';
import type { HttpReply } from './problem.ts';

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};
/** Compressed already. */
const incompressible = new Set(['.png', '.woff2', '.ico']);
/** Content-addressed names, such as `chunk-5UQGKCBV.js`: what they hold never changes. */
const hashedName = /[.-][A-Z0-9]{8,}\.[a-z0-9]+$/;

interface PageFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly etag: string;
  readonly plain: Buffer;
  readonly gzipped: Buffer | null;
}

export class Page {
  readonly #files: ReadonlyMap<string, PageFile>;

  private constructor(files: ReadonlyMap<string, PageFile>) {
    this.#files = files;
  }

  /** Files below the folder, by their URL path; `index.html` is its folder too, and `a.html` is `a`. Empty if there is none. */
  static async load(folder: string): Promise<Page> {
    const files = new Map<string, PageFile>();
    for (const name of await fileNames(folder)) {
      const urlPath = `/${name.split(path.sep).join('/')}`;
      const file = readPageFile(name, await readFile(path.join(folder, name)));
      files.set(urlPath, file);
      if (path.basename(name) === 'index.html') files.set(urlPath.slice(0, -'index.html'.length), file);
      else if (urlPath.endsWith('.html')) files.set(urlPath.slice(0, -'.html'.length), file);
    }
    return new Page(files);
  }

  get isEmpty(): boolean {
    return this.#files.size === 0;
  }

  /** Null for a path that is none of its own. */
  find(head: RequestHead): Reaction | null {
    const file = this.#files.get(head.path);
    if (file === undefined) return null;
    return { maxBodyBytes: 0, handle: () => reply(file, head) };
  }
}

function reply(file: PageFile, head: RequestHead): HttpReply {
  const headers = { ...file.headers, etag: file.etag, vary: 'accept-encoding' };
  if (head.header('if-none-match').split(/,\s*/).includes(file.etag)) return { status: 304, headers, body: '' };
  if (file.gzipped === null || !/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(head.header('accept-encoding'))) {
    return { status: 200, headers, body: file.plain };
  }
  return { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: file.gzipped };
}

function readPageFile(name: string, content: Buffer): PageFile {
  const extension = path.extname(name);
  const gzipped = incompressible.has(extension) ? null : gzipSync(content);
  const isDocument = extension === '.html';
  return {
    etag: `W/"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`,
    headers: {
      'content-type': contentTypes[extension] ?? 'application/octet-stream',
      'cache-control': hashedName.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      ...(isDocument ? documentHeaders : {}),
    },
    plain: content,
    gzipped: gzipped !== null && gzipped.length < content.length ? gzipped : null,
  };
}

const documentHeaders = {
  // Older Safari does not take a WebSocket for 'self', and with SALLYPORT_PUBLIC_HOST it may be another host.
  'content-security-policy':
    "default-src 'self'; connect-src 'self' https: wss:; img-src 'self' data: blob:; media-src 'self' blob:; " +
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
  'permissions-policy': 'camera=(self), microphone=(self), display-capture=(self)',
  'cross-origin-opener-policy': 'same-origin',
};

async function fileNames(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
