/**
 * What a lab leaves in the system, and how it goes away again: namespaces, named after the process that made them, the
 * processes in them, and a folder. All of it is removed synchronously, so that it also works at the very end of a process.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';

const prefix = 'sallyport-lab';
/** Of namespaces and folders: the process, when it began, which of its labs, and what it is. */
const namePattern = /^sallyport-lab-(\d+)-(\d+)-\d+-[A-Za-z0-9]+$/;

let labs = 0;
const open = new Set<Remains>();

export class Remains {
  readonly folder: string;
  readonly #number: number;
  readonly #namespaces: string[] = [];

  constructor() {
    watchForTheEnd();
    this.#number = labs++;
    this.folder = mkdtempSync(path.join(tmpdir(), this.#name('')));
    open.add(this);
  }

  /** The name for a new namespace, which is removed with the rest from now on. */
  nameNamespace(role: string): string {
    const name = this.#name(role);
    this.#namespaces.push(name);
    return name;
  }

  /** Ends the processes and removes everything. Idempotent. */
  remove(): void {
    const present = new Set(listNamespaces());
    for (const name of this.#namespaces) if (present.has(name)) removeNamespace(name);
    rmSync(this.folder, { recursive: true, force: true });
    open.delete(this);
  }

  #name(what: string): string {
    return [prefix, process.pid, startTime(process.pid) ?? 0, this.#number, what].join('-');
  }
}

/** Removes what labs left whose process was killed. */
export function removeStale(): void {
  for (const name of listNamespaces().filter(isStale)) removeNamespace(name);
  for (const name of readdirSync(tmpdir()).filter(isStale)) {
    rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isStale(name: string): boolean {
  const [, pid, started] = namePattern.exec(name) ?? [];
  // A process of the same number that began at another time is another one.
  return pid !== undefined && startTime(Number(pid)) !== Number(started);
}

export function listNamespaces(): readonly string[] {
  const lines = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => line.split(' ')[0] ?? []).filter((name) => namePattern.test(name));
}

function removeNamespace(name: string): void {
  try {
    const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
    for (const pid of pids.split('\n')) if (pid !== '') kill(Number(pid));
    execFileSync('ip', ['netns', 'delete', name], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    // Two processes may clear away the same stale lab.
    if (listNamespaces().includes(name)) throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** In clock ticks since boot, proc_pid_stat(5) field 22; null when there is no such process. */
function startTime(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold anything.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return null;
  }
}

let watching = false;

function watchForTheEnd(): void {
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    for (const remains of open) remains.remove();
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }
}
