/** One source that this participant publishes. */
import type { Source } from '../../tunnel-protocol/index.ts';
import type { PublishedTrack } from '../call.ts';
import type { ControlClient } from '../control/index.ts';
import { asClientError } from '../errors.ts';
import type { MediaRoutes } from './media-routes.ts';

export class Published implements PublishedTrack<MediaStreamTrack> {
  readonly track: MediaStreamTrack;
  readonly source: Source;
  readonly #media: MediaRoutes;
  readonly #control: ControlClient;
  readonly #onEnd: () => void;
  #muted: boolean;

  constructor(
    track: MediaStreamTrack,
    source: Source,
    muted: boolean,
    media: MediaRoutes,
    control: ControlClient,
    onEnd: () => void,
  ) {
    this.track = track;
    this.source = source;
    this.#muted = muted;
    this.#media = media;
    this.#control = control;
    this.#onEnd = onEnd;
  }

  get muted(): boolean {
    return this.#muted;
  }

  async begin(): Promise<void> {
    await this.#send();
    try {
      await this.#control.request({ type: 'publish', source: this.source, muted: this.#muted });
    } catch (error) {
      await this.#media.send(this.source, null);
      throw asClientError(error, 'refused');
    }
  }

  /** Nothing leaves this machine while muted, whatever the server answers. */
  async mute(muted = true): Promise<void> {
    this.#muted = muted;
    await this.#send();
    await this.#control.request({ type: 'mute', source: this.source, muted });
  }

  async unpublish(): Promise<void> {
    this.#onEnd();
    await this.#media.send(this.source, null);
    await this.#control.request({ type: 'unpublish', source: this.source });
  }

  async #send(): Promise<void> {
    // A muted video section sends nothing; muted audio sends silence, which keeps the stream's clock going.
    this.track.enabled = !this.#muted;
    await this.#media.send(this.source, this.#muted && this.track.kind === 'video' ? null : this.track);
  }
}
