/** What the page remembers between visits, in this browser alone. Works without storage, then for this visit only. */

export interface Remembered {
  name: string;
  room: string;
  /** Device ids; empty for the browser's choice. */
  camera: string;
  microphone: string;
  cameraOn: boolean;
  microphoneOn: boolean;
  /** What carried the control channel last; empty before the first call. */
  carrier: string;
  /** How media went in the last call: `native` or `tunnel`; empty before the first. */
  route: string;
}

const storageKey = 'sallyport';
const defaults: Readonly<Remembered> = {
  name: '',
  room: '',
  camera: '',
  microphone: '',
  cameraOn: true,
  microphoneOn: true,
  carrier: '',
  route: '',
};

let current: Remembered | null = null;

export function recall(): Readonly<Remembered> {
  current ??= { ...defaults, ...read() };
  return current;
}

export function remember(changes: Partial<Remembered>): void {
  current = { ...recall(), ...changes };
  try {
    localStorage.setItem(storageKey, JSON.stringify(current));
  } catch {
    // Storage is full or switched off: what was chosen holds for this visit.
  }
}

function read(): Partial<Remembered> {
  let stored: unknown;
  try {
    stored = JSON.parse(localStorage.getItem(storageKey) ?? 'null');
  } catch {
    return {};
  }
  if (typeof stored !== 'object' || stored === null) return {};
  const expected = defaults as unknown as Record<string, unknown>;
  return Object.fromEntries(Object.entries(stored).filter(([key, value]) => typeof value === typeof expected[key]));
}
