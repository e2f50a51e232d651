/** The live strip: which rung carries the call, how long joining took, and how good the connection is. */
import { publishSections, rungs, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungChange, RungReason } from '../call.ts';
import { bitrateText, lossText, millisecondsText, pictureText, secondsText } from '../page-model/format.ts';
import type { BrowserCall, BrowserCallStats } from './browser-call.ts';
import { byId, element, setText } from './dom.ts';

const rungNames: Readonly<Record<Rung, string>> = {
  udp: 'UDP, direct',
  'turn-udp': 'TURN over UDP',
  'ice-tcp': 'ICE over TCP',
  'turn-tcp': 'TURN over TCP',
  'turn-tls': 'TURN over TLS',
  websocket: 'WebSocket tunnel',
  'http-stream': 'HTTP stream tunnel',
  'long-poll': 'Long-poll tunnel',
};

const maxHistory = 50;
const cameraMid = publishSections.find(({ source }) => source === 'camera')?.mid;

const reasonTexts: Readonly<Record<RungReason, string>> = {
  joined: 'joined',
  'better-rung-proven': 'a better way was found',
  'rung-failed': 'the way before failed',
  requested: 'asked for',
};

export class StripView {
  readonly #strip = byId('call', HTMLElement).querySelector<HTMLElement>('.strip');
  readonly #detailList = byId('detail-list', HTMLDListElement);
  readonly #history = byId('history', HTMLOListElement);
  readonly #details = byId('details', HTMLDivElement);
  readonly #button = byId('details-button', HTMLButtonElement);
  readonly #rows = new Map<string, HTMLElement>();
  #latest: BrowserCallStats | null = null;

  constructor() {
    this.#button.onclick = () => {
      this.#details.hidden = !this.#details.hidden;
      this.#button.ariaExpanded = String(!this.#details.hidden);
      if (this.#latest !== null) this.show(this.#latest);
    };
    byId('ladder', HTMLSpanElement).replaceChildren(...rungs.map(ladderStep));
  }

  /** A call begins. */
  begin(call: BrowserCall): void {
    this.#history.replaceChildren();
    this.rungChanged({ from: null, to: call.rung, reason: 'joined' });
    this.show(call.stats());
  }

  rungChanged({ to, reason }: RungChange): void {
    this.#record(`${rungNames[to]} (${reasonTexts[reason]})`);
  }

  /** Media was interrupted or flows again. */
  mediaChanged(connected: boolean): void {
    this.#record(connected ? 'connected again' : 'interrupted');
  }

  show(stats: BrowserCallStats): void {
    this.#latest = stats;
    if (this.#strip !== null) this.#strip.dataset['media'] = stats.mediaConnected ? 'up' : 'down';
    setText(byId('figure-rung', HTMLSpanElement), stats.mediaConnected ? rungNames[stats.rung] : 'reconnecting…');
    for (const step of byId('ladder', HTMLSpanElement).children) {
      step.classList.toggle(
        'used',
        stats.mediaConnected && step instanceof HTMLElement && step.dataset['rung'] === stats.rung,
      );
    }
    setText(byId('figure-join', HTMLElement), secondsText(stats.joinMs));
    setText(byId('figure-sending', HTMLElement), bitrateText(stats.sendBitsPerSecond));
    setText(byId('figure-receiving', HTMLElement), bitrateText(stats.receiveBitsPerSecond));
    setText(byId('figure-loss', HTMLElement), lossText(stats.lossFraction));
    setText(byId('figure-round-trip', HTMLElement), millisecondsText(stats.roundTripMs));
    if (!this.#details.hidden) this.#showDetails(stats);
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
  step.dataset['rung'] = rung;
  step.title = rungNames[rung];
  // Set by script, because the page's policy admits no style attributes.
  step.style.setProperty('--step', String(index));
  return step;
}
