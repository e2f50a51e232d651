/** The matrix as a page that opens by itself: a card per cell, with the ladder's rungs and how each try on them ended. */
import type { RungAttempt } from '../../client/index.ts';
import { rungs, type Rung } from '../../tunnel-protocol/index.ts';
import { bestAttempts } from './best-attempts.ts';
import { Html, html } from './html.ts';
import { matrixStyle } from './matrix-style.ts';
import { clientKinds, type ClientKind } from './profile.ts';
import { formatJoin, formatLoss } from './matrix-table.ts';
import type { LabCell, LabNetwork, LabResult } from './result.ts';

const clientNames: Readonly<Record<ClientKind, string>> = { chromium: 'Chromium, the demo page', node: 'Node client' };

export function labPage(result: LabResult): string {
  const { cells, networks, machine, when, commit } = result;
  const green = cells.filter(({ ok }) => ok).length;
  const all = green === cells.length;
  const kinds = clientKinds.filter((kind) => cells.some(({ client }) => client === kind));
  return html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <title>Sallyport firewall lab: ${green} of ${cells.length}</title>
      <style>
        ${new Html(matrixStyle)}
      </style>
      <main>
        <header>
          <div>
            <h1>Firewall lab</h1>
            <p>
              Real clients join a call from networks that real firewalls restrict. Green: media flowed both ways,
              without anybody choosing anything.
            </p>
          </div>
          <p class="verdict ${all ? 'good' : 'bad'}">
            <b>${green}<small>/${cells.length}</small></b> connected
          </p>
        </header>
        ${overview(kinds, result)} ${legend}
        <h2 class="part">Every cell</h2>
        ${topology}
        <div class="matrix" style="--columns:${kinds.length}">
          <div class="corner"></div>
          ${kinds.map((kind) => html`<h2 class="column">${clientNames[kind]}</h2>`)}
          ${networks.map((network) => row(network, kinds, result))}
        </div>
        <footer>
          ${machine.cpu}, ${machine.cores} cores · Linux ${machine.kernel} · Node ${machine.node} ·
          <time datetime="${when}">${when.slice(0, 16).replace('T', ' ')} UTC</time> · commit
          <code>${commit.slice(0, 10)}</code>
        </footer>
      </main>
    </html> `.text;
}

/** One line per network. */
function overview(kinds: readonly ClientKind[], { networks, cells, notYet }: LabResult): Html {
  return html`<table class="overview">
    <thead>
      <tr>
        <th>network</th>
        ${kinds.map((kind) => html`<th colspan="2">${clientNames[kind]}</th>`)}
      </tr>
    </thead>
    ${networks.map(
      ({ profile, summary }) =>
        html`<tr>
          <th><b>${profile}</b><small>${summary}</small></th>
          ${kinds.map((kind) => {
            const isHere = (each: { readonly profile: string; readonly client: ClientKind }): boolean =>
              each.profile === profile && each.client === kind;
            const cell = cells.find(isHere);
            return cell === undefined ? blank(notYet.find(isHere)?.reason) : brief(cell);
          })}
        </tr>`,
    )}
  </table>`;
}

function blank(reason = 'not run'): Html {
  return html`<td class="none" colspan="2">– <small>${reason}</small></td>`;
}

function brief(cell: LabCell): Html {
  const { ok, rung, refusal, attempts, problem, refusal: code } = cell;
  return html`<td class="${ok ? 'good' : 'bad'}" title="${problem ?? ''}">
      <b>${rung ?? refusal ?? 'no media'}</b>${code === null ? ladder(rung, bestAttempts(attempts)) : html``}
    </td>
    <td class="figures">
      ${formatJoin(cell)}<small
        >${cell.received + cell.lost === 0 ? (ok ? 'a clear error' : '') : `lost ${formatLoss(cell)}`}</small
      >
    </td>`;
}

function row(network: LabNetwork, kinds: readonly ClientKind[], { cells, notYet }: LabResult): Html {
  const ofNetwork = cells.filter(({ profile }) => profile === network.profile);
  const ended = ofNetwork.flatMap(({ attempts }) => bestAttempts(attempts).filter(hasEnded));
  const slowest = Math.max(1, ...ended.map(({ ms }) => ms));
  return html`<section class="profile">
      <h3>${network.profile}</h3>
      <p>${network.summary}</p>
      ${facts(network)}
    </section>
    ${kinds.map((kind) => {
      const cell = ofNetwork.find(({ client }) => client === kind);
      if (cell !== undefined) return card(cell, slowest);
      const reason = notYet.find(({ profile, client }) => profile === network.profile && client === kind)?.reason;
      return reason === undefined ? html`<div></div>` : html`<p class="small">Not yet possible: ${reason}.</p>`;
    })}`;
}

/** What the network itself counted, so that one which did nothing is seen. */
function facts({ stopped, facts, link }: LabNetwork): Html {
  const items: string[] = [...facts];
  if (stopped > 0) items.push(`${stopped.toLocaleString('en-US')} packets stopped by the firewall`);
  if (link !== null) {
    const percent = (part: number, whole: number): string => `${((part / Math.max(1, whole)) * 100).toFixed(1)} %`;
    const { up, down } = link;
    items.push(`lost ${percent(up.lost, up.packets)} up, ${percent(down.lost, down.packets)} down`);
    const late = (up.lateMsTotal + down.lateMsTotal) / Math.max(1, up.delivered + down.delivered);
    items.push(`packets came out ${late.toFixed(1)} ms late on average`);
  }
  return html`<ul class="facts">
    ${items.map((item) => html`<li>${item}</li>`)}
  </ul>`;
}

function card(cell: LabCell, slowest: number): Html {
  const { ok, rung, joinMs, refusal, lost, received, problem, runs } = cell;
  const attempts = bestAttempts(cell.attempts);
  const good = runs.filter((run) => run.ok).length;
  const times = runs.flatMap((run) => (run.ok ? (run.joinMs ?? []) : []));
  const expected = received + lost;
  return html`<article class="cell ${ok ? 'good' : 'bad'}">
    <p class="client">${clientNames[cell.client]}</p>
    <div class="headline">
      <span class="rung">${rung ?? refusal ?? 'no media'}</span>
      ${joinMs === null ? html`` : html`<span class="time"><b>${joinMs.toLocaleString('en-US')}</b> ms to ${refusal === null ? 'first media' : 'this answer'}</span>`}
    </div>
    ${ladder(rung, attempts)} ${problem === null ? html`` : html`<p class="problem">${problem}</p>`}
    ${
      attempts.length === 0
        ? html``
        : html`<table>
            ${attempts.map((attempt) => attemptRow(attempt, attempt.rung === rung, slowest))}
          </table>`
    }
    <p class="small">
      ${[
        expected === 0 ? 'nothing received' : `${String(lost)} of ${expected.toLocaleString('en-US')} packets lost`,
        ...(runs.length > 1 ? [`${String(good)} of ${String(runs.length)} runs green`] : []),
        ...(times.length > 1 ? [`${String(Math.min(...times))}–${String(Math.max(...times))} ms`] : []),
      ].join(' · ')}
    </p>
  </article>`;
}

/** All rungs, best on top left; what became of each is its colour. */
function ladder(chosen: Rung | null, attempts: readonly RungAttempt[]): Html {
  return html`<ol class="ladder">
    ${rungs.map((rung) => {
      const outcome =
        rung === chosen ? 'chosen' : (attempts.find((attempt) => attempt.rung === rung)?.outcome ?? 'untried');
      return html`<li class="${outcome}" title="${rung}: ${outcome}"></li>`;
    })}
  </ol>`;
}

function attemptRow(attempt: RungAttempt, isChosen: boolean, slowest: number): Html {
  const { rung, outcome, ms, reason } = attempt;
  const width = hasEnded(attempt) ? Math.max(1.5, (ms / slowest) * 100) : 100;
  const time = `${ms.toLocaleString('en-US')} ms`;
  return html`<tr class="${isChosen ? 'chosen' : outcome}" ${reason === undefined ? html`` : html` title="${reason}"`}>
    <th>${rung}</th>
    <td class="bar"><i style="width:${width.toFixed(1)}%"></i></td>
    <td class="ms">${hasEnded(attempt) ? time : outcome === 'pending' ? `> ${time}` : '–'}</td>
    <td class="outcome">${outcome}</td>
  </tr>`;
}

/** Of the others, the time says only how long the call was watched. */
function hasEnded({ outcome }: RungAttempt): boolean {
  return outcome === 'connected' || outcome === 'failed';
}

const legend = html`<ul class="legend">
  ${[
    ['chosen', 'carries the media'],
    ['connected', 'works, not needed'],
    ['failed', 'failed'],
    ['superseded', 'called off, for a better one worked'],
    ['pending', 'no answer so far'],
    ['untried', 'not tried'],
  ].map(([outcome = '', words = '']) => html`<li><i class="${outcome}"></i>${words}</li>`)}
  <li class="order">Ladder, left to right: ${rungs.join(', ')}.</li>
</ul>`;

const topology = html`<svg
  class="topology"
  viewBox="0 0 900 96"
  role="img"
  aria-label="client, firewall, link, edge and peer"
>
  <path d="M150 48H330M450 48H501M579 48H630" class="wire" />
  <path d="M501 48q6.5-22 13 0t13 0t13 0t13 0t13 0t13 0" class="wave" />
  <rect x="20" y="18" width="130" height="60" rx="10" class="box" />
  <rect x="330" y="18" width="120" height="60" rx="10" class="box wall" />
  <path
    d="M330 38h120M330 58h120M370 18v20M410 18v20M350 38v20M390 38v20M430 38v20M370 58v20M410 58v20"
    class="bricks"
  />
  <rect x="630" y="18" width="110" height="60" rx="10" class="box" />
  <circle cx="830" cy="48" r="30" class="box" />
  <path d="M740 48H800" class="wire" />
  <text x="85" y="45">client</text>
  <text x="85" y="63" class="address">10.20.0.2</text>
  <text x="390" y="94" class="address">nftables</text>
  <text x="540" y="80" class="address">delay, loss, rate</text>
  <text x="685" y="45">edge</text>
  <text x="685" y="63" class="address">198.51.100.10</text>
  <text x="830" y="53">peer</text>
</svg>`;
