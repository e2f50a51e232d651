/** Another commit of this repository, built in a folder of its own. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
/** What the servers under test are made of. */
const sources = ['gateway', 'sfu', 'turn', 'tunnel-protocol', 'bench/tunnel', 'bench/turn', 'package-lock.json'];

export interface EarlierBuild {
  readonly dist: URL;
  remove(): Promise<void>;
}

/** The commit's full name; null where this is no repository, or has no such commit (as in a shallow clone). */
export async function findCommit(revision: string): Promise<string | null> {
  try {
    return (await git('rev-parse', '--verify', '--quiet', `${revision}^{commit}`)).trim();
  } catch {
    return null;
  }
}

/** Whether anything that the servers are made of differs from the commit, also if it is not committed. */
export async function differsFrom(commit: string): Promise<boolean> {
  return (await git('diff', '--name-only', commit, '--', ...sources)).trim() !== '';
}

export async function buildCommit(commit: string): Promise<EarlierBuild> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-before-'));
  const tree = path.join(folder, 'tree');
  const remove = async (): Promise<void> => {
    await git('worktree', 'remove', '--force', tree).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
    await git('worktree', 'prune');
  };
  try {
    await git('worktree', 'add', '--detach', tree, commit);
    const isSameTree = (await git('diff', '--name-only', commit, '--', 'package-lock.json')).trim() === '';
    if (isSameTree) await symlink(path.join(root, 'node_modules'), path.join(tree, 'node_modules'));
    else await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: tree });
    await run('npx', ['tsc'], { cwd: tree });
    await run('npm', ['run', '-s', 'build:wasm'], { cwd: tree });
    return { dist: pathToFileURL(`${path.join(tree, 'dist')}/`), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function git(...words: string[]): Promise<string> {
  return (await run('git', words, { cwd: root })).stdout;
}
