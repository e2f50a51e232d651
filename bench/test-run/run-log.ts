/**
 * What a run of all test files comes to: one line per file as it ends, and at the end where the time went and, last, every
 * failed assertion by file, because the end of a long log is what people are shown.
 */
import { Parser, type Result } from 'tap-parser';

export interface RunLogOptions {
  /** Takes finished text, with its line ends. */
  readonly print: (text: string) => void;
}

interface TestFile {
  readonly name: string;
  readonly ok: boolean;
  /** Null when it never said so: it was ended. */
  readonly ms: number | null;
}

interface FailedAssertion {
  readonly path: readonly string[];
  readonly where: string;
  readonly detail: string;
}

const slowFilesShown = 20;
const detailLinesShown = 12;
/** Of a suite that fails as a whole, the first ones tell enough. */
const failuresShownPerFile = 12;

export class RunLog {
  /** Takes the runner's TAP (version 14). */
  readonly input = new Parser();
  readonly #print: (text: string) => void;
  readonly #files: TestFile[] = [];
  readonly #failures: FailedAssertion[] = [];
  #skipped: string[] = [];
  #assertions = 0;

  constructor({ print }: RunLogOptions) {
    this.#print = print;
    this.input.on('assert', (result: Result) => {
      this.#endFile(result);
    });
    this.input.on('pass', () => {
      this.#assertions++;
    });
    this.input.on('fail', (result: Result) => {
      this.#assertions++;
      this.#failures.push(failureOf(result));
    });
    this.input.on('skip', (result: Result) => {
      this.#skipped.push(`${result.fullname}: ${reasonOf(result.skip)}`);
    });
  }

  get failed(): boolean {
    return this.#failures.length > 0 || this.#files.some(({ ok }) => !ok);
  }

  /** To be printed when the input has ended. Failures come last. */
  summary(): string {
    const sections = [this.#times()];
    if (this.#skipped.length > 0) sections.push(['skipped:', ...indent(this.#skipped)].join('\n'));
    sections.push(this.#verdict());
    return `\n${sections.join('\n\n')}\n`;
  }

  #endFile({ name, ok, time, diag }: Result): void {
    const file = { name: fileOf(name, diag), ok, ms: time };
    this.#files.push(file);
    this.#print(`${ok ? 'ok    ' : 'FAILED'} ${seconds(file.ms)}  ${file.name}\n`);
  }

  #times(): string {
    const byTime = [...this.#files].sort((a, b) => (b.ms ?? 0) - (a.ms ?? 0));
    const folders = new Map<string, number>();
    for (const { name, ms } of this.#files) {
      const folder = name.replace(/^dist\//, '').split('/')[0] ?? name;
      folders.set(folder, (folders.get(folder) ?? 0) + (ms ?? 0));
    }
    const slow = byTime.slice(0, slowFilesShown).map(({ name, ms }) => `${seconds(ms)}  ${name}`);
    const each = [...folders].sort((a, b) => b[1] - a[1]).map(([name, ms]) => `${seconds(ms)}  ${name}`);
    return ['the files that took longest:', ...indent(slow), 'by folder:', ...indent(each)].join('\n');
  }

  #verdict(): string {
    const count = `${String(this.#files.length)} files, ${String(this.#assertions)} assertions`;
    if (!this.failed) return `${count}: all passed`;
    const byFile = new Map<string, FailedAssertion[]>();
    for (const { name, ok } of this.#files) if (!ok) byFile.set(name, []);
    for (const failure of this.#failures) {
      const file = failure.path[0] ?? '';
      byFile.set(file, [...(byFile.get(file) ?? []), failure]);
    }
    const lines = [`${count}: ${String(this.#failures.length)} FAILED in`];
    for (const [file, failures] of byFile) {
      lines.push(`  ${file}`);
      for (const failure of failures.slice(0, failuresShownPerFile)) lines.push(...describe(failure));
      if (failures.length > failuresShownPerFile) {
        lines.push(`    and ${String(failures.length - failuresShownPerFile)} more`);
      }
    }
    return lines.join('\n');
  }
}

interface Diagnostics {
  readonly expired?: string;
  readonly exitCode?: number | null;
  readonly signal?: string | null;
  readonly diff?: string;
  readonly at?: { readonly fileName?: string; readonly lineNumber?: number };
}

/** A file that the runner ended goes by the name `timeout!`. */
function fileOf(name: string, diag: unknown): string {
  const { expired } = (diag ?? {}) as Diagnostics;
  return name === 'timeout!' && expired !== undefined ? `${expired}, or the file after it (timeout)` : name;
}

function failureOf({ fullname, name, diag }: Result): FailedAssertion {
  const { at, ...rest } = (diag ?? {}) as Diagnostics;
  const where = at?.fileName === undefined ? '' : `${at.fileName}:${String(at.lineNumber ?? 0)}`;
  const path = fullname === name ? [fileOf(name, diag)] : fullname.split(' > ');
  return { path, where, detail: detailOf(rest) };
}

/** The difference alone where there is one; otherwise all that is not about the test's own source. */
function detailOf({ diff, ...rest }: Diagnostics): string {
  if (diff !== undefined) return diff.trimEnd();
  const told = Object.entries(rest).filter(([key]) => !hiddenDetails.has(key));
  return told.map(([key, value]) => `${key}: ${textOf(value)}`).join('\n');
}

const hiddenDetails = new Set(['source', 'compare', 'cwd', 'command', 'args', 'stdio', 'externalID', 'tapCaught']);

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.trimEnd() : JSON.stringify(value);
}

function describe({ path, where, detail }: FailedAssertion): readonly string[] {
  const lines = detail === '' ? [] : detail.split('\n');
  const shown = lines.slice(0, detailLinesShown).map((line) => `        ${line}`);
  if (lines.length > detailLinesShown) shown.push('        …');
  const title = path.slice(1).join(' > ') || path.join('');
  return [`    ${title}${where === '' ? '' : ` (${where})`}`, ...shown];
}

function reasonOf(skip: string | boolean): string {
  return typeof skip === 'string' ? skip : 'no reason given';
}

function seconds(ms: number | null): string {
  return ms === null ? '     –  ' : `${(ms / 1_000).toFixed(1).padStart(6)} s`;
}

function indent(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}
