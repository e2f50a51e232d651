/**
 * Every setting there is. A setting is an environment variable `SALLYPORT_X_Y` or the key `xY` of the JSON file.
 * `docs/operating.md` has one row for each; a test compares the two.
 */
export const settings = [
  'PORT',
  'UDP_PORT',
  'TURN_UDP_PORT',
  'HOST',
  'PUBLIC_HOST',
  'PUBLIC_ADDRESS',
  'ADMIN_PORT',
  'ADMIN_HOST',
  'PROXY_FROM',
  'TRUNK_PORT',
  'TRUNK_HOST',
  'TLS_CERT',
  'TLS_KEY',
  'SECRET',
  'AUTH',
  'ORIGINS',
  'ENGINE',
  'CLUSTER_SECRET',
  'CLUSTER_CERT',
  'CLUSTER_KEY',
  'CLUSTER_CA',
  'DRAIN_SECONDS',
  'STORAGE',
  'S3_ENDPOINT',
  'S3_REGION',
  'S3_ACCESS_KEY_ID',
  'S3_SECRET_ACCESS_KEY',
  'DATA_DIR',
  'REDIS_URL',
  'REDIS_CA',
  'EDGE_ID',
  'REGION',
  'UPSTREAM',
  'RELAY_ALLOW',
  'KAFKA_BROKERS',
  'LOG_LEVEL',
] as const;
export type Setting = (typeof settings)[number];

/** Values that ask for nothing that is missing; every other value of these settings is a fault for now. */
export const notSupportedYet: Partial<
  Record<Setting, { readonly feature: string; readonly harmless: readonly string[] }>
> = {
  KAFKA_BROKERS: { feature: 'telemetry to Kafka', harmless: [] },
};

const prefix = 'SALLYPORT_';
/** Names the JSON file; not a setting of its own. */
export const configFileVariable = 'SALLYPORT_CONFIG';

export function environmentName(setting: Setting): string {
  return prefix + setting;
}

/** `UDP_PORT` is `udpPort` in the JSON file. */
export function fileKey(setting: Setting): string {
  return setting.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

const settingByEnvironmentName = new Map(settings.map((setting) => [environmentName(setting), setting]));
const settingByFileKey = new Map(settings.map((setting) => [fileKey(setting), setting]));

/** One value as text, and where it came from, as a person would name it. */
export interface RawSetting {
  readonly text: string;
  readonly source: string;
}

/** An empty variable is an unset one, as container tools leave them behind. Unknown names become faults. */
export function settingsFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  faults: string[],
): Map<Setting, RawSetting> {
  const found = new Map<Setting, RawSetting>();
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || name === configFileVariable || text === undefined) continue;
    const setting = settingByEnvironmentName.get(name);
    if (setting === undefined) {
      faults.push(`${name}: there is no such setting${suggestion(name, [...settingByEnvironmentName.keys()])}`);
    } else if (text.trim() !== '') {
      found.set(setting, { text: text.trim(), source: name });
    }
  }
  return found;
}

/** A JSON object; values are strings, numbers, or arrays of them. */
export function settingsFromFile(file: string, content: string, faults: string[]): Map<Setting, RawSetting> {
  const found = new Map<Setting, RawSetting>();
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch (error) {
    faults.push(`${file}: is not JSON (${error instanceof Error ? error.message : String(error)})`);
    return found;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    faults.push(`${file}: must hold one JSON object`);
    return found;
  }
  for (const [key, value] of Object.entries(parsed)) {
    const setting = settingByFileKey.get(key);
    const source = `${key} in ${file}`;
    const text = fileValue(value);
    if (setting === undefined) {
      faults.push(`${source}: there is no such setting${suggestion(key, [...settingByFileKey.keys()])}`);
    } else if (text === null) {
      faults.push(`${source}: must be a string, a number, or an array of them`);
    } else if (text.trim() !== '') {
      found.set(setting, { text: text.trim(), source });
    }
  }
  return found;
}

function fileValue(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (!Array.isArray(value)) return null;
  const parts = value.map((part: unknown) => (Array.isArray(part) ? null : fileValue(part)));
  return parts.includes(null) ? null : parts.join(',');
}

function suggestion(name: string, known: readonly string[]): string {
  let best = '';
  let bestDistance = 4;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === '' ? '' : `; did you mean ${best}?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
