/** Reads single settings, and notes what is wrong with each: a sentence that names the setting and where it came from. */
import { parseAddress } from './addresses.ts';
import { environmentName, type RawSetting, type Setting } from './config-variables.ts';
import { keyPairFault } from './tls-files.ts';

export class SettingReader {
  protected readonly values: ReadonlyMap<Setting, RawSetting>;
  readonly #faults: string[];

  constructor(values: ReadonlyMap<Setting, RawSetting>, faults: string[]) {
    this.values = values;
    this.#faults = faults;
  }

  text(setting: Setting): string | null {
    return this.values.get(setting)?.text ?? null;
  }

  port(setting: Setting, fallback: number): number {
    const text = this.text(setting);
    if (text === null) return fallback;
    if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
    this.bad(setting, 'must be a port number from 0 to 65535');
    return fallback;
  }

  seconds(setting: Setting, fallback: number): number {
    const text = this.text(setting);
    if (text === null) return fallback;
    if (/^[0-9]{1,5}$/.test(text)) return Number(text);
    this.bad(setting, 'must be a number of seconds, up to 99999');
    return fallback;
  }

  /** One address of this machine, or `localhost`. */
  host(setting: Setting, fallback: string): string {
    const text = this.text(setting) ?? fallback;
    const address = text === 'localhost' ? '127.0.0.1' : parseAddress(text);
    if (address === null) this.bad(setting, 'must be one IP address of this machine');
    return address ?? fallback;
  }

  choice<T extends string>(setting: Setting, choices: readonly T[], fallback: T): T {
    const text = this.text(setting);
    if (text === null) return fallback;
    const choice = choices.find((candidate) => candidate === text);
    if (choice === undefined) this.bad(setting, `must be one of ${choices.join(', ')}`);
    return choice ?? fallback;
  }

  /** A name that may stand in a directory key or a log line. */
  label(setting: Setting, fallback: string): string {
    const text = this.text(setting);
    if (text === null || /^[A-Za-z0-9._-]{1,64}$/.test(text)) return text ?? fallback;
    this.bad(setting, 'must be 1 to 64 letters, digits, dots, underscores or hyphens');
    return fallback;
  }

  protected list(setting: Setting): string[] {
    const text = this.text(setting);
    return text === null ? [] : text.split(',').flatMap((part) => part.trim() || []);
  }

  protected checkPair(
    certFile: string,
    keyFile: string,
    readFile: (file: string) => string,
    [ofCert, ofKey]: readonly [Setting, Setting] = ['TLS_CERT', 'TLS_KEY'],
  ): void {
    const cert = this.file(ofCert, certFile, readFile);
    const key = this.file(ofKey, keyFile, readFile);
    if (cert === null || key === null) return;
    const fault = keyPairFault(cert, key);
    if (fault === null) return;
    const [setting, file]: [Setting, string] = fault.of === 'cert' ? [ofCert, certFile] : [ofKey, keyFile];
    this.fault(setting, `${file}: ${fault.sentence}`);
  }

  /** The text of the file that a setting names; null where it names none, or one that cannot be read. */
  fileOf(setting: Setting, readFile: (file: string) => string): string | null {
    const file = this.text(setting);
    return file === null ? null : this.file(setting, file, readFile);
  }

  protected file(setting: Setting, file: string, readFile: (file: string) => string): string | null {
    try {
      return readFile(file);
    } catch (error) {
      this.fault(setting, `${file} cannot be read (${error instanceof Error ? error.message : String(error)})`);
      return null;
    }
  }

  protected bad(setting: Setting, rule: string): void {
    this.fault(setting, `${rule}; it is ${JSON.stringify(this.text(setting))}`);
  }

  /** One entry of a list is wrong. */
  protected faultOf(setting: Setting, entry: string, sentence: string): void {
    this.fault(setting, `${JSON.stringify(entry)} ${sentence}`);
  }

  protected fault(setting: Setting, sentence: string): void {
    const fault = `${this.values.get(setting)?.source ?? environmentName(setting)}: ${sentence}`;
    if (!this.#faults.includes(fault)) this.#faults.push(fault);
  }
}
