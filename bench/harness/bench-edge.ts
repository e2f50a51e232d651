/** An edge for a bench: loopback, free ports, its data in a temporary folder. Runs in a process of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEdge, loadConfig, type EdgeDeps, type EdgeInfo } from '../../gateway/index.ts';

const silent = (): void => undefined;
const unlimited = { burst: 1e9, perSecond: 1e9 };

export interface BenchEdge extends EdgeInfo {
  readonly url: string;
  close(): Promise<void>;
}

export async function startBenchEdge(deps: Partial<EdgeDeps> = {}): Promise<BenchEdge> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  const removeFolder = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  // The parent ends this process by SIGKILL only when it hangs; every other end removes the folder.
  process.once('exit', removeFolder);
  const config = loadConfig({
    environment: {
      SALLYPORT_HOST: '127.0.0.1',
      SALLYPORT_PORT: '0',
      SALLYPORT_ADMIN_PORT: '0',
      SALLYPORT_AUTH: 'open',
      SALLYPORT_DATA_DIR: folder,
    },
    readFile: (file) => readFileSync(file, 'utf8'),
    machine: { hostName: 'bench', addresses: ['127.0.0.1'] },
  });
  const edge = createEdge(config, {
    log: {
      debug: silent,
      info: silent,
      warn: silent,
      error: (fields, message) => {
        console.error(message, fields);
      },
    },
    limits: { sessions: unlimited, strangers: unlimited },
    ...deps,
  });
  const info = await edge.start();
  return {
    ...info,
    url: `https://127.0.0.1:${String(info.port)}`,
    close: async () => {
      await edge.close();
      removeFolder();
    },
  };
}
