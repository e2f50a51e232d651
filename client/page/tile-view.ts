/** One tile: a picture or a stand-in, the name, and whether the microphone is muted. */
import { colourIndex, initials } from '../page-model/format.ts';
import { element, icon, setText } from './dom.ts';

export interface TileContent {
  /** Decides the stand-in's initials and colour. */
  readonly name: string;
  /** What the name plate says. */
  readonly label: string;
  /** Null shows the stand-in. */
  readonly track: MediaStreamTrack | null;
  readonly microphone: 'on' | 'muted' | 'none';
  readonly mirrored?: boolean;
  /** A track that goes on with another scene shows the stand-in until the first picture of it. */
  readonly scene?: string;
}

const colours = 6;

export class TileView {
  readonly element: HTMLElement;
  readonly #video = element('video');
  readonly #portrait = element('div', { className: 'portrait' });
  readonly #initials = element('span');
  readonly #name = element('span');
  readonly #muted = icon('microphone-off');
  #track: MediaStreamTrack | null = null;
  #scene = '';
  /** True once the present track has shown a picture. */
  #pictured = false;

  constructor(target: HTMLElement) {
    this.element = target;
    this.#video.muted = true;
    this.#video.autoplay = true;
    this.#video.playsInline = true;
    this.#portrait.ariaHidden = 'true';
    this.#portrait.append(this.#initials);
    const plate = element('span', { className: 'nameplate' }, this.#muted, this.#name);
    target.replaceChildren(this.#video, this.#portrait, plate);
  }

  show({ name, label, track, microphone, mirrored = false, scene = '' }: TileContent): void {
    setText(this.#name, label);
    setText(this.#initials, initials(name));
    this.#initials.dataset['colour'] = String(colourIndex(name, colours));
    this.#muted.classList.toggle('absent', microphone === 'on');
    this.element.dataset['microphone'] = microphone;
    this.#video.classList.toggle('mirrored', mirrored);
    if (track !== this.#track || scene !== this.#scene) this.#attach(track, scene === this.#scene);
    this.#scene = scene;
    this.#reveal();
  }

  speaking(speaks: boolean): void {
    this.element.classList.toggle('speaking', speaks);
  }

  close(): void {
    this.#attach(null);
  }

  /** `goesOn`: the same scene by another track, for which nothing is shown in between. */
  #attach(track: MediaStreamTrack | null, goesOn = false): void {
    this.#pictured &&= goesOn && track !== null && this.#track !== null;
    this.#track = track;
    this.#video.srcObject = track === null ? null : new MediaStream([track]);
    if (track === null) return;
    this.#video.requestVideoFrameCallback(() => {
      if (this.#track !== track) return;
      this.#pictured = true;
      this.#reveal();
    });
    // Refused while the page is in the background; autoplay then starts it later.
    this.#video.play().catch(() => undefined);
  }

  #reveal(): void {
    const visible = this.#track !== null && this.#pictured;
    this.#portrait.hidden = visible;
    this.#video.classList.toggle('absent', !visible);
    this.element.dataset['picture'] = visible ? 'video' : 'portrait';
  }
}
