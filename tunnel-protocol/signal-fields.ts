/** Reads fields of untrusted JSON. The first fault is kept and every read goes on, so that decoders stay flat. */

interface Fault {
  path: string | null;
}

/** Control characters and lone surrogates. */
const unprintable = /[\p{Cc}\p{Cs}]/u;
const printableAscii = /^[\x21-\x7e]+$/;
/** Own keys that would reach a prototype when someone copies an object key by key. */
const dangerousKeys: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** One JSON object. Only its own keys are looked at; unknown ones are ignored. */
export class FieldReader {
  readonly #object: object;
  readonly #path: string;
  readonly #fault: Fault;

  constructor(object: object, path = '', fault: Fault = { path: null }) {
    this.#object = object;
    this.#path = path;
    this.#fault = fault;
  }

  /** Path of the first field that was missing or wrong; null when all were good. */
  get fault(): string | null {
    return this.#fault.path;
  }

  fail(key: string): void {
    this.#fault.path ??= this.#path + key;
  }

  /** Undefined when absent. */
  value(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? (this.#object as Record<string, unknown>)[key] : undefined;
  }

  boolean(key: string): boolean {
    const value = this.value(key);
    if (typeof value === 'boolean') return value;
    this.fail(key);
    return false;
  }

  /** An integer from 0 to 2^32 − 1. */
  u32(key: string): number {
    const value = this.value(key);
    if (isU32(value)) return value;
    this.fail(key);
    return 0;
  }

  /** A finite number from `least` to `most`. */
  number(key: string, least: number, most: number): number {
    const value = this.value(key);
    if (typeof value === 'number' && value >= least && value <= most) return value;
    this.fail(key);
    return least;
  }

  numberOrNull(key: string, least: number, most: number): number | null {
    return this.value(key) === null ? null : this.number(key, least, most);
  }

  /** 1 to `maxChars` printable ASCII characters without spaces. */
  token(key: string, maxChars: number): string {
    const value = this.value(key);
    if (typeof value === 'string' && value.length <= maxChars && printableAscii.test(value)) return value;
    this.fail(key);
    return '';
  }

  tokenOrNull(key: string, maxChars: number): string | null {
    return this.value(key) === null ? null : this.token(key, maxChars);
  }

  /** At most `maxChars` UTF-16 units of any script, without control characters; may be empty. */
  text(key: string, maxChars: number): string {
    const value = this.value(key);
    if (typeof value === 'string' && isPrintable(value, maxChars)) return value;
    this.fail(key);
    return '';
  }

  /** 1 to `maxBytes` bytes of UTF-8, of any content. */
  document(key: string, maxBytes: number): string {
    const value = this.value(key);
    if (typeof value === 'string' && value.length > 0 && utf8Length(value, maxBytes) <= maxBytes) return value;
    this.fail(key);
    return '';
  }

  oneOf<T extends string>(key: string, allowed: readonly [T, ...T[]]): T {
    const value = this.value(key);
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    this.fail(key);
    return allowed[0];
  }

  /** Null when the field is null or faulty. */
  oneOfOrNull<T extends string>(key: string, allowed: readonly [T, ...T[]]): T | null {
    return this.value(key) === null ? null : this.oneOf(key, allowed);
  }

  /** The object of a field; a faulty one reads as empty. */
  object(key: string): FieldReader {
    const value = this.value(key);
    const path = `${this.#path}${key}.`;
    if (isJsonObject(value)) return new FieldReader(value, path, this.#fault);
    this.fail(key);
    return new FieldReader({}, path, this.#fault);
  }

  /** An array of at most `max` objects. */
  list<T>(key: string, max: number, read: (item: FieldReader) => T): T[] {
    const value = this.value(key);
    if (!Array.isArray(value) || value.length > max) {
      this.fail(key);
      return [];
    }
    return value.map((item: unknown, index) => {
      const path = `${this.#path}${key}[${String(index)}]`;
      if (isJsonObject(item)) return read(new FieldReader(item, `${path}.`, this.#fault));
      this.#fault.path ??= path;
      return read(new FieldReader({}, `${path}.`, this.#fault));
    });
  }

  /** An array of at most `max` strings as {@link token} takes them. */
  tokens(key: string, max: number, maxChars: number): string[] {
    const value = this.value(key);
    const good = (item: unknown): item is string =>
      typeof item === 'string' && item.length <= maxChars && printableAscii.test(item);
    if (Array.isArray(value) && value.length <= max && value.every(good)) return [...value];
    this.fail(key);
    return [];
  }

  /** A flat object of strings, finite numbers and booleans, at most `maxBytes` as JSON. */
  scalars(
    key: string,
    limits: { maxBytes: number; maxKeys: number; maxKeyChars: number },
  ): Record<string, string | number | boolean> {
    const fresh: Record<string, string | number | boolean> = {};
    const value = this.value(key);
    const names = isJsonObject(value) ? Object.keys(value) : null;
    if (names === null || names.length > limits.maxKeys) {
      this.fail(key);
      return fresh;
    }
    for (const name of names) {
      const scalar = (value as Record<string, unknown>)[name];
      const good = name.length > 0 && isPrintable(name, limits.maxKeyChars) && !dangerousKeys.includes(name);
      if (good && (typeof scalar === 'string' || typeof scalar === 'boolean' || Number.isFinite(scalar))) {
        fresh[name] = scalar as string | number | boolean;
      } else {
        this.fail(key);
        return {};
      }
    }
    if (utf8Length(JSON.stringify(fresh), limits.maxBytes) > limits.maxBytes) this.fail(key);
    return fresh;
  }
}

export function isJsonObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isU32(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function isPrintable(value: string, maxChars: number): boolean {
  return value.length <= maxChars && !unprintable.test(value);
}

/** Skips the encoding when the characters alone are more than `enough`. */
function utf8Length(value: string, enough: number): number {
  return value.length > enough ? value.length : new TextEncoder().encode(value).length;
}
