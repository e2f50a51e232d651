/** The buttons of a call, and what they do: microphone, camera, screen, leave. */
import type { PublishedTrack } from '../call.ts';
import { ClientError } from '../errors.ts';
import { microphoneOf } from '../page-model/tiles.ts';
import { wordsForError } from '../page-model/words.ts';
import type { Words } from '../page-model/words.ts';
import type { BrowserCall } from './browser-call.ts';
import type { CallView } from './call-view.ts';
import { fillDeviceSelect } from './device-select.ts';
import { DeviceError, canShareScreen, chooseScreen } from './devices.ts';
import type { DeviceKind, LocalDevices } from './devices.ts';
import { byId, element, icon, setText } from './dom.ts';
import type { IconName } from './dom.ts';
import { recall, remember } from './memory.ts';
import { notify } from './notices.ts';

type Published = PublishedTrack<MediaStreamTrack>;

export class Controls {
  readonly #call: BrowserCall;
  readonly #devices: LocalDevices;
  readonly #view: CallView;
  readonly #buttons = {
    microphone: byId('toggle-microphone', HTMLButtonElement),
    camera: byId('toggle-camera', HTMLButtonElement),
    screen: byId('toggle-screen', HTMLButtonElement),
  };
  readonly #dialog = byId('devices-dialog', HTMLDialogElement);
  readonly #selects: Readonly<Record<DeviceKind, HTMLSelectElement>> = {
    camera: byId('call-camera', HTMLSelectElement),
    microphone: byId('call-microphone', HTMLSelectElement),
  };
  readonly #cleanUp: (() => void)[] = [];
  #microphone: Published | null = null;
  #camera: Published | null = null;
  #screen: Published | null = null;

  constructor(call: BrowserCall, devices: LocalDevices, view: CallView) {
    this.#call = call;
    this.#devices = devices;
    this.#view = view;
    this.#buttons.microphone.onclick = () => void this.#guard(this.#buttons.microphone, () => this.#toggleMicrophone());
    this.#buttons.camera.onclick = () => void this.#guard(this.#buttons.camera, () => this.#toggleCamera());
    this.#buttons.screen.onclick = () => void this.#guard(this.#buttons.screen, () => this.#toggleScreen());
    this.#buttons.screen.hidden = !canShareScreen();
    byId('leave', HTMLButtonElement).onclick = () => void call.leave();
    const open = byId('open-devices', HTMLButtonElement);
    open.onclick = () => {
      void this.#listDevices();
      this.#dialog.showModal();
    };
    for (const kind of ['camera', 'microphone'] as const) {
      this.#selects[kind].onchange = () => {
        remember({ [kind]: this.#selects[kind].value });
        void this.#guard(null, () => this.#changeDevice(kind));
      };
    }
    this.#cleanUp.push(
      devices.on('list', () => void this.#listDevices()),
      // Unplugged, or its permission was withdrawn: the publication goes with the device.
      devices.on('change', ({ kind, track }) => {
        if (track !== null) return;
        const published = kind === 'camera' ? this.#camera : this.#microphone;
        if (published?.track.readyState === 'ended') void this.#withdraw(published);
      }),
      call.on('self-updated', (self) => {
        if (this.#microphone === null || this.#microphone.muted || microphoneOf(self) !== 'muted') return;
        void this.#mutedByModerator(this.#microphone);
      }),
    );
    this.#show();
  }

  get microphoneMuted(): boolean {
    return this.#microphone?.muted === true;
  }

  /** Publishes what is turned on. */
  async begin(microphoneMuted = false): Promise<void> {
    const camera = this.#devices.track('camera');
    const microphone = this.#devices.track('microphone');
    await this.#guard(null, async () => {
      const published = await Promise.all([
        microphone === null ? null : this.#call.publish(microphone, { muted: microphoneMuted }),
        camera === null ? null : this.#call.publish(camera),
      ]);
      [this.#microphone, this.#camera] = published;
    });
  }

  close(): void {
    for (const clean of this.#cleanUp.splice(0)) clean();
    this.#dialog.close();
    this.#screen?.track.stop();
  }

  async #toggleMicrophone(): Promise<void> {
    if (this.#microphone !== null) {
      const muted = !this.#microphone.muted;
      remember({ microphoneOn: !muted });
      await this.#microphone.mute(muted);
      return;
    }
    const track = await this.#turnOn('microphone');
    if (track === null) return;
    this.#microphone = await this.#call.publish(track);
    remember({ microphoneOn: true });
  }

  /** Off means off: the device is let go, and its light goes out. */
  async #toggleCamera(): Promise<void> {
    const published = this.#camera;
    if (published !== null) {
      remember({ cameraOn: false });
      this.#camera = null;
      this.#devices.turnOff('camera');
      this.#show();
      await published.unpublish();
      return;
    }
    const track = await this.#turnOn('camera');
    if (track === null) return;
    this.#camera = await this.#call.publish(track);
    remember({ cameraOn: true });
  }

  /** Of a device that is on; another one is taken when it is turned on the next time. */
  async #changeDevice(kind: DeviceKind): Promise<void> {
    const published = kind === 'camera' ? this.#camera : this.#microphone;
    if (published === null) return;
    const { muted } = published;
    const track = await this.#turnOn(kind);
    if (track === null) return;
    await published.unpublish();
    const again = await this.#call.publish(track, { muted });
    if (kind === 'camera') this.#camera = again;
    else this.#microphone = again;
  }

  async #listDevices(): Promise<void> {
    const found = await this.#devices.list();
    for (const kind of ['camera', 'microphone'] as const) {
      fillDeviceSelect(this.#selects[kind], kind, found, this.#devices);
    }
  }

  async #toggleScreen(): Promise<void> {
    const published = this.#screen;
    if (published !== null) {
      await this.#withdraw(published);
      return;
    }
    const track = await chooseScreen();
    // The browser has a button of its own that ends the sharing.
    track.onended = () => {
      if (this.#screen?.track === track) void this.#withdraw(this.#screen);
    };
    try {
      this.#screen = await this.#call.publish(track, { source: 'screen' });
    } catch (error) {
      track.stop();
      throw error;
    }
  }

  async #withdraw(published: Published): Promise<void> {
    if (published === this.#screen) this.#screen = null;
    if (published === this.#camera) this.#camera = null;
    if (published === this.#microphone) this.#microphone = null;
    published.track.stop();
    await this.#guard(null, () => published.unpublish());
  }

  async #mutedByModerator(microphone: Published): Promise<void> {
    await this.#guard(null, () => microphone.mute(true));
    notify({ title: 'A moderator muted you.', advice: 'Unmute when it is your turn.' }, { key: 'moderator' });
  }

  async #turnOn(kind: 'camera' | 'microphone'): Promise<MediaStreamTrack | null> {
    const { camera, microphone } = recall();
    const [failure] = await this.#devices.turnOn([kind], { camera, microphone });
    if (failure !== undefined) throw failure;
    return this.#devices.track(kind);
  }

  /** Runs an action with its button out of reach, and says what went wrong. */
  async #guard(button: HTMLButtonElement | null, action: () => Promise<void>): Promise<void> {
    if (button !== null) button.disabled = true;
    try {
      await action();
    } catch (error) {
      if (!this.#call.closed) notify(wordsOf(error), { tone: 'warning' });
    } finally {
      if (button !== null) {
        button.disabled = false;
        // The browser takes the focus from a button that is disabled; keyboards would start over at the top.
        if (document.activeElement === document.body) button.focus({ preventScroll: true });
      }
      if (!this.#call.closed) this.#show();
    }
  }

  #show(): void {
    const speaks = this.#microphone !== null && !this.#microphone.muted;
    label(
      this.#buttons.microphone,
      speaks ? 'microphone' : 'microphone-off',
      speaks ? 'Mute' : 'Unmute',
      speaks ? '' : 'off',
    );
    const seen = this.#camera !== null;
    label(this.#buttons.camera, seen ? 'camera' : 'camera-off', seen ? 'Camera off' : 'Camera on', seen ? '' : 'off');
    const shares = this.#screen !== null;
    label(this.#buttons.screen, 'screen', shares ? 'Stop sharing' : 'Share screen', shares ? 'active' : '');
    this.#view.showSelf({
      track: this.#camera?.track ?? null,
      mirrored: true,
      microphone: this.#microphone === null ? 'none' : this.#microphone.muted ? 'muted' : 'on',
    });
  }
}

function label(button: HTMLButtonElement, iconName: IconName, text: string, state: '' | 'off' | 'active'): void {
  button.dataset['state'] = state;
  if (button.textContent === text) return;
  const span = element('span');
  setText(span, text);
  button.replaceChildren(icon(iconName), span);
}

function wordsOf(error: unknown): Words {
  if (error instanceof DeviceError) return error.words;
  if (error instanceof ClientError) return wordsForError(error.code, error.message);
  return { title: 'That did not work.', advice: error instanceof Error ? error.message : String(error) };
}
