/** One source that this participant publishes. */
import type { MediaStreamTrack } from 'werift';
import type { Source } from '../../tunnel-protocol/index.ts';
import type { PublishedTrack } from '../call.ts';
import type { ControlClient } from '../control/index.ts';
import type { MediaSession } from './media-session.ts';

export class NodePublishedTrack implements PublishedTrack<MediaStreamTrack> {
  readonly track: MediaStreamTrack;
  readonly source: Source;
  #control: ControlClient;
  #media: MediaSession;
  readonly #onEnd: () => void;
  #muted: boolean;

  constructor(
    track: MediaStreamTrack,
    source: Source,
    muted: boolean,
    parts: { readonly control: ControlClient; readonly media: MediaSession },
    onEnd: () => void,
  ) {
    this.track = track;
    this.source = source;
    this.#muted = muted;
    this.#control = parts.control;
    this.#media = parts.media;
    this.#onEnd = onEnd;
  }

  get muted(): boolean {
    return this.#muted;
  }

  /** The call has another session. */
  moveTo(parts: { readonly control: ControlClient; readonly media: MediaSession }): Promise<void> {
    this.#control = parts.control;
    this.#media = parts.media;
    return this.begin();
  }

  async begin(): Promise<void> {
    // Announced first: the server drops packets of sources that it was not told of.
    await this.#control.request({ type: 'publish', source: this.source, muted: this.#muted });
    this.#media.feed(this.source, this.track, this.#muted);
  }

  /** Nothing leaves this machine while muted, whatever the server answers. */
  async mute(muted = true): Promise<void> {
    this.#muted = muted;
    this.#media.muteFeed(this.source, muted);
    await this.#control.request({ type: 'mute', source: this.source, muted });
  }

  mutedByServer(): void {
    this.#muted = true;
    this.#media.muteFeed(this.source, true);
  }

  async unpublish(): Promise<void> {
    this.#onEnd();
    this.#media.stopFeed(this.source);
    await this.#control.request({ type: 'unpublish', source: this.source });
  }
}
