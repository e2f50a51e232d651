/** The doctor's page: tests as soon as it is opened, and shows verdicts as they come. */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { DoctorReport, RungVerdict } from '../doctor/types.ts';
import { headline, networkLines, outcomeWords, reasonOf, rungLeads } from '../page-model/doctor-words.ts';
import { bitrateText, lossText, millisecondsText } from '../page-model/format.ts';
import { rungNames } from '../page-model/ladder-words.ts';
import { byId, element, setText } from './dom.ts';
import { diagnosePage } from './doctor/page-doctor.ts';

declare global {
  interface Window {
    /** The latest report, for tests and for support in the browser's console; null while one is made. */
    sallyportReport: DoctorReport | null;
  }
}

interface Row {
  readonly row: HTMLTableRowElement;
  readonly verdict: HTMLTableCellElement;
  readonly figures: readonly HTMLTableCellElement[];
}

const figureNames = ['To connect', 'Round trip', 'Throughput', 'Loss'];
const copiedForMs = 2_500;

const verdictCard = byId('verdict', HTMLElement);
const again = byId('again', HTMLButtonElement);
const progress = byId('progress', HTMLProgressElement);
const copy = byId('copy', HTMLButtonElement);
const save = byId('save', HTMLAnchorElement);
const rows = new Map(rungs.map((rung) => [rung, makeRow(rung)]));

window.sallyportReport = null;
byId('ways', HTMLTableSectionElement).append(...[...rows.values()].map(({ row }) => row));
again.onclick = () => void test();
copy.onclick = () => void copyAdvice();
void test();

async function test(): Promise<void> {
  window.sallyportReport = null;
  again.disabled = true;
  for (const row of rows.values()) show(row, 'waiting', 'Waiting', '', []);
  byId('network-card', HTMLElement).hidden = byId('advice-card', HTMLElement).hidden = true;
  say(
    'unknown',
    'Testing your connection',
    'Every way that a call could take is tried by itself. This takes half a minute at most.',
  );
  progress.value = 0;
  setText(byId('progress-text', HTMLElement), 'Asking the server…');
  const report = await diagnosePage(location.origin, {
    onTrying: (rung) => {
      showProgress();
      show(rowOf(rung), 'trying', 'Trying', '', []);
    },
    onVerdict: (verdict) => {
      progress.value += 1;
      showProgress();
      showVerdict(verdict);
    },
  });
  window.sallyportReport = report;
  showReport(report);
}

function showReport(report: DoctorReport): void {
  report.rungs.forEach(showVerdict);
  const { tone, title, advice } = headline(report);
  say(tone, title, advice);
  progress.value = rungs.length;
  setText(byId('progress-text', HTMLElement), `Done in ${(report.ms / 1_000).toFixed(0)} s`);
  byId('network', HTMLDListElement).replaceChildren(
    ...networkLines(report).map(({ name, tone, text }) => {
      const line = element('div', {}, element('dt', { textContent: name }), element('dd', { textContent: text }));
      line.dataset['tone'] = tone;
      return line;
    }),
  );
  setText(byId('advice', HTMLElement), report.advice);
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([`${JSON.stringify(report, null, 2)}\n`], { type: 'application/json' }));
  byId('network-card', HTMLElement).hidden = byId('advice-card', HTMLElement).hidden = false;
  again.disabled = false;
}

function showProgress(): void {
  setText(byId('progress-text', HTMLElement), `${String(progress.value)} of ${String(rungs.length)} ways tested`);
}

function say(tone: string, title: string, advice: string): void {
  verdictCard.dataset['tone'] = tone;
  setText(byId('verdict-title', HTMLElement), title);
  setText(byId('verdict-advice', HTMLElement), advice);
}

function showVerdict(verdict: RungVerdict): void {
  const { rung, outcome, joinMs, latencyMs, bitsPerSecond, lossFraction } = verdict;
  const figures =
    outcome === 'works'
      ? [millisecondsText(joinMs), millisecondsText(latencyMs), bitrateText(bitsPerSecond), lossText(lossFraction)]
      : [];
  show(rowOf(rung), outcome, outcomeWords[outcome], reasonOf(verdict), figures);
}

function rowOf(rung: Rung): Row {
  const row = rows.get(rung);
  if (row === undefined) throw new Error(`no row for ${rung}`);
  return row;
}

function makeRow(rung: Rung): Row {
  const name = element('th', {}, rungNames[rung], element('small', { textContent: rungLeads[rung] }));
  name.scope = 'row';
  const verdict = element('td', { className: 'verdict-cell' });
  const figures = figureNames.map((label) => {
    const cell = element('td', { className: 'figure' });
    cell.dataset['label'] = label;
    return cell;
  });
  const row = element('tr', {}, name, verdict, ...figures);
  row.dataset['rung'] = rung;
  return { row, verdict, figures };
}

function show(
  { row, verdict, figures }: Row,
  outcome: string,
  word: string,
  reason: string,
  texts: readonly string[],
): void {
  row.dataset['outcome'] = outcome;
  verdict.replaceChildren(element('span', { className: 'mark', textContent: word }));
  if (reason !== '') verdict.append(element('span', { className: 'reason', textContent: reason }));
  figures.forEach((cell, index) => {
    setText(cell, texts[index] ?? '');
  });
}

async function copyAdvice(): Promise<void> {
  const text = byId('advice', HTMLElement);
  const status = byId('copied', HTMLElement);
  try {
    await navigator.clipboard.writeText(text.textContent);
    setText(copy, 'Copied');
    setText(status, 'The text is in the clipboard.');
  } catch {
    // Without a clipboard (an insecure page, or a refusal) the text is selected, to be copied by hand.
    getSelection()?.selectAllChildren(text);
    setText(copy, 'Selected');
    setText(status, 'The text is selected; copy it with the keyboard.');
  }
  setTimeout(() => {
    setText(copy, 'Copy text');
  }, copiedForMs);
}
