/** Keeps media alive: restarts ICE over the control channel when the connection fails or the network changes. */
import type { ControlClient } from '../control/index.ts';
import { RestartPolicy } from '../page-model/restart-policy.ts';
import type { MediaConnection } from './media-connection.ts';

export class MediaKeeper {
  readonly #media: MediaConnection;
  readonly #control: ControlClient;
  readonly #policy = new RestartPolicy();
  readonly #cleanUp: (() => void)[] = [];
  #timer: number | null = null;
  #restarting: Promise<void> | null = null;
  #stopped = false;

  constructor(media: MediaConnection, control: ControlClient) {
    this.#media = media;
    this.#control = control;
    this.#cleanUp.push(
      media.on('state', () => {
        this.#consider();
      }),
      // What broke the control channel may have broken media as well: no need to wait for the next attempt.
      control.on('connected', () => {
        this.#hurry();
      }),
    );
    const online = (): void => {
      control.retry();
      void this.restart().catch(() => undefined);
    };
    window.addEventListener('online', online);
    this.#cleanUp.push(() => {
      window.removeEventListener('online', online);
    });
  }

  /** Restarts ICE now. Rejects with a ClientError; the keeper then tries again by itself. */
  restart(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#restarting ??= this.#restart().finally(() => {
      this.#restarting = null;
      this.#consider();
    });
    return this.#restarting;
  }

  stop(): void {
    this.#stopped = true;
    this.#clear();
    for (const clean of this.#cleanUp.splice(0)) clean();
  }

  async #restart(): Promise<void> {
    this.#clear();
    this.#policy.attempted();
    await this.#media.negotiate(true, async (sdp) => (await this.#control.request({ type: 'offer', sdp })).sdp);
  }

  /** The state changed, or an attempt is over: sees whether and when the next one is due. */
  #consider(): void {
    const { state } = this.#media;
    if (state === 'connected') {
      this.#clear();
      this.#policy.reset();
    } else if (state === 'interrupted' || state === 'failed') {
      this.#clear();
      if (this.#restarting !== null || this.#stopped) return;
      const delay = this.#policy.delay(state === 'failed' ? 'failed' : 'disconnected');
      this.#timer = setTimeout(() => void this.restart().catch(() => undefined), delay);
    }
  }

  #hurry(): void {
    if (this.#media.state === 'connected' || this.#media.state === 'connecting') return;
    this.#policy.reset();
    void this.restart().catch(() => undefined);
  }

  #clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
