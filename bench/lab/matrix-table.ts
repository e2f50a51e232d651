/** The matrix on a terminal. */
import type { RungAttempt } from '../../client/index.ts';
import { bestAttempts } from './best-attempts.ts';
import type { CellRun } from './cell.ts';
import type { CellNotYet, LabCell } from './result.ts';

export function formatMatrix(cells: readonly LabCell[], notYet: readonly CellNotYet[] = []): string {
  const header = ['profile', 'client', '', 'rung', 'joined in', 'lost', 'attempts'];
  const rows = cells.map((cell) => [
    cell.profile,
    cell.client,
    cell.confirmed ? 'ok, at last' : cell.ok ? 'ok' : 'RED',
    cell.rung ?? cell.refusal ?? '–',
    formatJoin(cell),
    formatLoss(cell),
    cell.ok ? formatAttempts(cell.attempts) : (cell.problem ?? ''),
  ]);
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (parts: readonly string[]): string =>
    parts
      .map((part, column) => part.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const green = cells.filter(({ ok }) => ok).length;
  return [
    line(header),
    line(widths.map((width) => '─'.repeat(width))),
    ...rows.map(line),
    '',
    `${String(green)} of ${String(cells.length)} green: connected with media both ways, or told at once why not.`,
    ...notYet.map(({ profile, client, reason }) => `Not yet possible: ${client} in ${profile}: ${reason}.`),
  ].join('\n');
}

export function formatRun({ ok, rung, refusal, joinMs, problem }: CellRun): string {
  return ok ? `${rung ?? refusal ?? ''} in ${formatMs(joinMs)}` : `RED: ${problem ?? ''}`;
}

/** Of one green run its time, of several p50 and p95. */
export function formatJoin({ joinP50Ms, joinP95Ms, runs }: LabCell): string {
  if (runs.filter(({ ok }) => ok).length < 2) return formatMs(joinP50Ms);
  return `${formatMs(joinP50Ms)} (p95 ${formatMs(joinP95Ms)})`;
}

export function formatLoss({ lost, received }: Pick<LabCell, 'lost' | 'received'>): string {
  if (received + lost === 0) return '–';
  return `${String(lost)} of ${String(received + lost)}`;
}

/** Those that say something of the network; the file has all of them. */
function formatAttempts(attempts: readonly RungAttempt[]): string {
  return bestAttempts(attempts)
    .filter(({ outcome }) => outcome !== 'superseded' && outcome !== 'skipped')
    .map(({ rung, outcome, ms }) => `${rung} ${outcome === 'connected' ? formatMs(ms) : outcome}`)
    .join(', ');
}

export function formatMs(ms: number | null): string {
  return ms === null ? '–' : `${ms.toLocaleString('en-US')} ms`;
}
