/** This person's camera and microphone: turned on when wanted, off when not, never a reason for not taking part. */
import { Emitter } from '../emitter.ts';
import { wordsForDevice } from '../page-model/words.ts';
import type { Device, Words } from '../page-model/words.ts';

export type DeviceKind = 'camera' | 'microphone';

interface DeviceEvents {
  /** A track came, went, or was replaced. */
  change: { readonly kind: DeviceKind; readonly track: MediaStreamTrack | null };
  /** Devices were plugged in or out, or their names became known. */
  list: undefined;
}

/** A machine with few cores is spared the large picture. */
const pictureHeight = navigator.hardwareConcurrency >= 4 ? 720 : 360;

export class DeviceError extends Error {
  readonly words: Words;

  constructor(device: Device, cause: unknown) {
    const name = cause instanceof Error ? cause.name : String(cause);
    const words = wordsForDevice(device, name);
    super(words.title, { cause });
    this.words = words;
  }
}

export class LocalDevices extends Emitter<DeviceEvents> {
  readonly #tracks = new Map<DeviceKind, MediaStreamTrack>();
  #busy: Promise<unknown> = Promise.resolve();

  constructor() {
    super();
    // Absent in pages that are not secure, whatever the types say.
    if (LocalDevices.available) {
      navigator.mediaDevices.addEventListener('devicechange', () => {
        this.emit('list', undefined);
      });
    }
  }

  /** False in a page that is not secure: browsers then have no devices to give. */
  static get available(): boolean {
    return (navigator as { mediaDevices?: MediaDevices }).mediaDevices !== undefined;
  }

  track(kind: DeviceKind): MediaStreamTrack | null {
    return this.#tracks.get(kind) ?? null;
  }

  /** Of both kinds; without names before the first permission. */
  async list(): Promise<readonly MediaDeviceInfo[]> {
    return LocalDevices.available ? navigator.mediaDevices.enumerateDevices() : [];
  }

  /**
   * Turns devices on; what is on already is opened anew, so that another device can be chosen. `ids`: empty for the
   * browser's choice; a device that is gone is replaced by it. Returns what failed, for the user to read.
   */
  turnOn(kinds: readonly DeviceKind[], ids: Readonly<Record<DeviceKind, string>>): Promise<readonly DeviceError[]> {
    const run = (): Promise<readonly DeviceError[]> => this.#open(kinds, ids);
    // One after the other: a second question of the browser's on top of the first would be lost.
    const result = this.#busy.then(run, run);
    this.#busy = result;
    return result;
  }

  turnOff(kind: DeviceKind): void {
    const track = this.#tracks.get(kind);
    if (track === undefined) return;
    this.#tracks.delete(kind);
    track.onended = null;
    track.stop();
    this.emit('change', { kind, track: null });
  }

  async #open(
    kinds: readonly DeviceKind[],
    ids: Readonly<Record<DeviceKind, string>>,
  ): Promise<readonly DeviceError[]> {
    if (kinds.length === 0) return [];
    try {
      if (!LocalDevices.available) throw new DOMException('no devices', 'InsecureContext');
      const constraints = Object.assign({}, ...kinds.map((kind) => constraintsFor(kind, ids[kind]))) as object;
      const stream = await navigator.mediaDevices.getUserMedia(constraints);
      for (const track of stream.getTracks()) this.#keep(track.kind === 'audio' ? 'microphone' : 'camera', track);
      return [];
    } catch (error) {
      // Asked for both at once, so that there is one question; if one of them fails, the other may still be had.
      const [kind] = kinds;
      if (kinds.length === 1 && kind !== undefined) return [new DeviceError(kind, error)];
      const failures: DeviceError[] = [];
      for (const one of kinds) failures.push(...(await this.#open([one], ids)));
      return failures;
    }
  }

  #keep(kind: DeviceKind, track: MediaStreamTrack): void {
    const before = this.#tracks.get(kind);
    if (before !== undefined) before.onended = null;
    before?.stop();
    this.#tracks.set(kind, track);
    // Unplugged, or the permission was withdrawn.
    track.onended = () => {
      this.turnOff(kind);
    };
    this.emit('change', { kind, track });
    this.emit('list', undefined);
  }
}

function constraintsFor(kind: DeviceKind, deviceId: string): MediaStreamConstraints {
  const device = deviceId === '' ? {} : { deviceId: { ideal: deviceId } };
  if (kind === 'microphone') {
    return { audio: { ...device, echoCancellation: true, noiseSuppression: true, autoGainControl: true } };
  }
  const size = { height: { ideal: pictureHeight }, width: { ideal: (pictureHeight * 16) / 9 } };
  return { video: { ...device, ...size, frameRate: { ideal: 25, max: 30 } } };
}

/** The screen, a window or a tab, as the user chooses. Rejects with DeviceError. */
export async function chooseScreen(): Promise<MediaStreamTrack> {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15 } } });
    const [track] = stream.getVideoTracks();
    if (track === undefined) throw new DOMException('no track', 'NotFoundError');
    track.contentHint = 'detail';
    return track;
  } catch (error) {
    throw new DeviceError('screen', error);
  }
}

/** Phones cannot share their screens from a page. */
export function canShareScreen(): boolean {
  return LocalDevices.available && 'getDisplayMedia' in navigator.mediaDevices;
}
