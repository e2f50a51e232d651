/** The live strip: which rung carries the call, how long joining took, and how good the connection is. */
import { publishSections, rungs, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungChange } from '../call.ts';
import { bitrateText, lossText, millisecondsText, pictureText, scoreText, secondsText } from '../page-model/format.ts';
import { changeText, rungLine, rungNames, whyText } from '../page-model/ladder-words.ts';
import type { BrowserCall, BrowserCallStats } from './browser-call.ts';
import { byId, element, setText } from './dom.ts';

const maxHistory = 50;
/** The score is of the last seconds: one that jumps every second says nothing. */
const heardWindow = 5;
const cameraMid = publishSections.find(({ source }) => source === 'camera')?.mid;

export class StripView {
  readonly #strip = byId('call', HTMLElement).querySelector<HTMLElement>('.strip');
  readonly #detailList = byId('detail-list', HTMLDListElement);
  readonly #history = byId('history', HTMLOListElement);
  readonly #details = byId('details', HTMLDivElement);
  readonly #button = byId('details-button', HTMLButtonElement);
  readonly #rows = new Map<string, HTMLElement>();
  readonly #steps = new Map(rungs.map((rung, index) => [rung, ladderStep(rung, index)]));
  readonly #lines = new Map(rungs.map((rung) => [rung, ladderLine(rung)]));
  readonly #heard: BrowserCallStats[] = [];
  #hearing: typeof import('./telemetry.ts').hearing | null = null;
  #call: BrowserCall | null = null;
  #interruptedAt: number | null = null;

  constructor() {
    this.#button.onclick = () => {
      this.#details.hidden = !this.#details.hidden;
      this.#button.ariaExpanded = String(!this.#details.hidden);
      this.update();
    };
    byId('ladder', HTMLSpanElement).replaceChildren(...this.#steps.values());
    byId('ladder-list', HTMLUListElement).replaceChildren(...this.#lines.values());
  }

  /** A call begins. */
  begin(call: BrowserCall): void {
    this.#call = call;
    this.#interruptedAt = null;
    this.#history.replaceChildren();
    this.#heard.length = 0;
    void this.#loadHearing();
    this.rungChanged({ from: null, to: call.rung, reason: 'joined' });
  }

  rungChanged(change: RungChange): void {
    if (this.#call !== null) {
      this.#record(changeText(change, this.#call.ladder));
      setText(byId('figure-why', HTMLElement), whyText(change, this.#call.ladder));
    }
    this.update();
  }

  /** Media was interrupted or flows again. */
  mediaChanged(connected: boolean): void {
    const now = performance.now();
    if (connected && this.#interruptedAt !== null) {
      this.#record(`connected again after ${secondsText(now - this.#interruptedAt)}`);
      this.#interruptedAt = null;
    } else if (!connected && this.#interruptedAt === null) {
      this.#record('interrupted');
      this.#interruptedAt = now;
    }
    this.update();
  }

  /** Shows how the call is now. */
  update(): void {
    if (this.#call === null) return;
    const stats = this.#call.stats();
    if (this.#strip !== null) this.#strip.dataset['media'] = stats.mediaConnected ? 'up' : 'down';
    setText(byId('figure-rung', HTMLSpanElement), stats.mediaConnected ? rungNames[stats.rung] : 'reconnecting…');
    this.#showLadder(this.#call, stats.mediaConnected ? stats.rung : null);
    setText(byId('figure-join', HTMLElement), secondsText(stats.joinMs));
    setText(byId('figure-sending', HTMLElement), bitrateText(stats.sendBitsPerSecond));
    setText(byId('figure-receiving', HTMLElement), bitrateText(stats.receiveBitsPerSecond));
    setText(byId('figure-loss', HTMLElement), lossText(stats.lossFraction));
    setText(byId('figure-round-trip', HTMLElement), millisecondsText(stats.roundTripMs));
    this.#showHearing(stats);
    if (!this.#details.hidden) this.#showDetails(stats);
  }

  /** Loaded beside the call; without it the figures stay dashes. */
  async #loadHearing(): Promise<void> {
    this.#hearing ??= await import('./telemetry.ts').then(
      (part) => part.hearing,
      () => null,
    );
  }

  #showHearing(stats: BrowserCallStats): void {
    this.#heard.push(stats);
    if (this.#heard.length > heardWindow) this.#heard.shift();
    const [before] = this.#heard;
    const heard = before === undefined ? undefined : this.#hearing?.(before, stats);
    setText(byId('figure-age', HTMLElement), millisecondsText(heard?.ageMs ?? null));
    setText(byId('figure-mos', HTMLElement), scoreText(heard?.mos ?? null));
  }

  #showLadder({ ladder }: BrowserCall, used: Rung | null): void {
    for (const [rung, step] of this.#steps) {
      const { state, text } = rungLine(rung, ladder.get(rung), used);
      step.dataset['state'] = state;
      const line = this.#lines.get(rung);
      if (line === undefined) continue;
      line.dataset['state'] = state;
      if (line.lastElementChild !== null) setText(line.lastElementChild, text);
    }
  }

  #record(what: string): void {
    const time = new Date().toLocaleTimeString([], { hour12: false });
    this.#history.append(element('li', {}, element('time', { textContent: time }), what));
    // A call on a bad network may change for days.
    if (this.#history.children.length > maxHistory) this.#history.firstElementChild?.remove();
  }

  #showDetails(stats: BrowserCallStats): void {
    const { joinSplit } = stats;
    const camera = stats.tracks.find((track) => track.mid === cameraMid);
    const main = stats.tracks.find((track) => track.mid === videoSlotMids[0]);
    const rows: [string, string][] = [
      ['Main picture', main === undefined || main.framesPerSecond === 0 ? '–' : pictureText(main)],
      ['Own picture', camera === undefined || camera.framesPerSecond === 0 ? '–' : pictureText(camera)],
      ['Jitter', millisecondsText(stats.jitterMs)],
      ['Loss of what you send', lossText(stats.sendLossFraction)],
      ['Round trip of signalling', millisecondsText(stats.controlRoundTripMs)],
      [
        'Joining',
        `session ${millisecondsText(joinSplit.sessionMs)}, channel ${millisecondsText(joinSplit.controlMs)}, ` +
          `negotiation ${millisecondsText(joinSplit.negotiationMs)}, media ${millisecondsText(joinSplit.mediaMs)}`,
      ],
    ];
    for (const [name, value] of rows) {
      let row = this.#rows.get(name);
      if (row === undefined) {
        row = element('dd');
        this.#rows.set(name, row);
        this.#detailList.append(element('dt', { textContent: name }), row);
      }
      setText(row, value);
    }
  }
}

function ladderStep(rung: Rung, index: number): HTMLElement {
  const step = element('i');
  step.title = rungNames[rung];
  // Set by script, because the page's policy admits no style attributes.
  step.style.setProperty('--step', String(index));
  return step;
}

function ladderLine(rung: Rung): HTMLElement {
  const line = element('li', {}, element('span', { textContent: rungNames[rung] }), element('span'));
  line.dataset['rung'] = rung;
  return line;
}
