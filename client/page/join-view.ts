/** The first view: who you are, which room, which devices, and what you look like. */
import { Emitter } from '../emitter.ts';
import type { Words } from '../page-model/words.ts';
import { fillDeviceSelect } from './device-select.ts';
import type { DeviceKind, LocalDevices } from './devices.ts';
import { byId, element, icon, setText } from './dom.ts';
import { LevelMeter } from './level-meter.ts';
import { recall, remember } from './memory.ts';
import { notify } from './notices.ts';

interface JoinViewEvents {
  join: { readonly name: string; readonly room: string };
}

const levelIntervalMs = 80;

export class JoinView extends Emitter<JoinViewEvents> {
  readonly #devices: LocalDevices;
  readonly #form = byId('join-form', HTMLFormElement);
  readonly #name = byId('name', HTMLInputElement);
  readonly #room = byId('room', HTMLInputElement);
  readonly #button = byId('join-button', HTMLButtonElement);
  readonly #preview = byId('preview', HTMLVideoElement);
  readonly #problem = byId('join-problem', HTMLDivElement);
  readonly #selects: Readonly<Record<DeviceKind, HTMLSelectElement>> = {
    camera: byId('camera', HTMLSelectElement),
    microphone: byId('microphone', HTMLSelectElement),
  };
  readonly #toggles: Readonly<Record<DeviceKind, HTMLButtonElement>> = {
    camera: byId('preview-camera', HTMLButtonElement),
    microphone: byId('preview-microphone', HTMLButtonElement),
  };
  readonly #cleanUp: (() => void)[] = [];
  #meter: LevelMeter | null = null;
  #levelTimer: number | undefined;

  constructor(devices: LocalDevices) {
    super();
    this.#devices = devices;
    this.#form.onsubmit = (event) => {
      event.preventDefault();
      this.emit('join', { name: this.#name.value.trim(), room: this.#room.value.trim() });
    };
    for (const kind of ['camera', 'microphone'] as const) {
      this.#selects[kind].onchange = () => {
        remember({ [kind]: this.#selects[kind].value });
        if (devices.track(kind) !== null) void this.turnOn([kind]);
      };
      this.#toggles[kind].onclick = () => {
        const on = devices.track(kind) === null;
        remember({ [`${kind}On`]: on });
        if (on) void this.turnOn([kind]);
        else devices.turnOff(kind);
      };
    }
  }

  open(room: string, name: string): void {
    document.body.dataset['view'] = 'join';
    document.title = 'Sallyport';
    if (this.#room.value === '') this.#room.value = room;
    if (this.#name.value === '') this.#name.value = name;
    this.#cleanUp.push(
      this.#devices.on('change', () => {
        this.#showDevices();
      }),
      this.#devices.on('list', () => void this.#listDevices()),
    );
    this.#showDevices();
    void this.#listDevices();
    void this.#previewIfAllowed();
    (this.#name.value === '' ? this.#name : this.#room.value === '' ? this.#room : this.#button).focus();
  }

  /** Devices stay as they are: the call goes on with them. */
  close(): void {
    for (const clean of this.#cleanUp.splice(0)) clean();
    this.#preview.srcObject = null;
    this.#watchLevel(null);
    this.busy(null);
  }

  /** What is going on while joining; null when nothing is. */
  busy(progress: string | null): void {
    setText(byId('join-progress', HTMLParagraphElement), progress ?? '');
    this.#button.disabled = progress !== null;
    setText(this.#button, progress === null ? 'Join' : 'Joining…');
  }

  problem(words: Words | null, link?: { readonly label: string; readonly href: string }): void {
    this.#problem.replaceChildren();
    this.#problem.hidden = words === null;
    if (words === null) return;
    this.#problem.append(element('strong', { textContent: words.title }), words.advice);
    if (link === undefined) return;
    const anchor = element('a', { textContent: link.label });
    anchor.href = link.href;
    this.#problem.append(element('br'), anchor);
  }

  /** Turns on what is wanted; what fails is said, and joining stays possible. */
  async turnOn(kinds: readonly DeviceKind[]): Promise<void> {
    const { camera, microphone } = recall();
    const failures = await this.#devices.turnOn(kinds, { camera, microphone });
    for (const { words } of failures) notify(words, { tone: 'warning' });
  }

  /** A question of the browser's out of the blue is refused by many: it comes with the first click, unless answered before. */
  async #previewIfAllowed(): Promise<void> {
    const { cameraOn, microphoneOn } = recall();
    const granted = async (kind: DeviceKind): Promise<boolean> => {
      try {
        return (await navigator.permissions.query({ name: kind })).state === 'granted';
      } catch {
        // Firefox does not tell.
        return false;
      }
    };
    const [camera, microphone] = await Promise.all([granted('camera'), granted('microphone')]);
    const kinds: DeviceKind[] = [];
    if (camera && cameraOn && this.#devices.track('camera') === null) kinds.push('camera');
    if (microphone && microphoneOn && this.#devices.track('microphone') === null) kinds.push('microphone');
    if (kinds.length > 0 && document.body.dataset['view'] === 'join') await this.turnOn(kinds);
  }

  #showDevices(): void {
    const camera = this.#devices.track('camera');
    const microphone = this.#devices.track('microphone');
    showToggle(this.#toggles.camera, 'camera', camera !== null);
    showToggle(this.#toggles.microphone, 'microphone', microphone !== null);
    setText(byId('preview-text', HTMLParagraphElement), camera === null ? 'Your camera is off.' : '');
    const shown = this.#preview.srcObject instanceof MediaStream ? this.#preview.srcObject.getTracks()[0] : undefined;
    if (shown !== camera) {
      this.#preview.srcObject = camera === null ? null : new MediaStream([camera]);
      if (camera !== null) this.#preview.play().catch(() => undefined);
    }
    this.#watchLevel(microphone);
  }

  #watchLevel(track: MediaStreamTrack | null): void {
    clearInterval(this.#levelTimer);
    this.#meter?.close();
    this.#meter = track === null ? null : new LevelMeter(track);
    const bars = [...byId('level', HTMLSpanElement).children];
    const light = (level: number): void => {
      bars.forEach((bar, index) => bar.classList.toggle('lit', level * bars.length > index + 0.5));
    };
    light(0);
    const meter = this.#meter;
    if (meter === null) return;
    this.#levelTimer = setInterval(() => {
      light(meter.read());
    }, levelIntervalMs);
  }

  async #listDevices(): Promise<void> {
    const devices = await this.#devices.list();
    for (const kind of ['camera', 'microphone'] as const) {
      fillDeviceSelect(this.#selects[kind], kind, devices, this.#devices);
    }
  }
}

function showToggle(button: HTMLButtonElement, kind: DeviceKind, on: boolean): void {
  button.dataset['on'] = String(on);
  button.ariaLabel = `Turn the ${kind} ${on ? 'off' : 'on'}`;
  button.title = button.ariaLabel;
  button.replaceChildren(icon(on ? kind : `${kind}-off`));
}
