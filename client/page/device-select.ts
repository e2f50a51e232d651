/** A choice of cameras or of microphones. */
import { recall } from './memory.ts';
import type { DeviceKind, LocalDevices } from './devices.ts';

/** Fills the list with what is there now, and marks what is in use, or was chosen before. */
export function fillDeviceSelect(
  select: HTMLSelectElement,
  kind: DeviceKind,
  found: readonly MediaDeviceInfo[],
  devices: LocalDevices,
): void {
  const chosen = devices.track(kind)?.getSettings().deviceId ?? recall()[kind];
  const ofKind = found.filter((one) => one.kind === (kind === 'camera' ? 'videoinput' : 'audioinput'));
  // Before the first permission browsers tell neither ids nor names.
  const named = ofKind.filter(({ deviceId }) => deviceId !== '');
  const options = named.map(
    ({ deviceId, label }, index) =>
      new Option(label || `${kind} ${String(index + 1)}`, deviceId, false, deviceId === chosen),
  );
  if (options.length === 0) options.push(new Option(ofKind.length > 0 ? 'Default' : `No ${kind} found`, ''));
  select.replaceChildren(...options);
  select.disabled = named.length === 0;
}
