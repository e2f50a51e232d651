/** Figures as people read them. A dash stands for what is not known yet. */

const unknown = '–';
/** A unit stays on the line of its number. */
const nbsp = '\u00a0';

export function bitrateText(bitsPerSecond: number | null): string {
  if (bitsPerSecond === null) return unknown;
  if (bitsPerSecond < 1_000) return `0${nbsp}kbit/s`;
  if (bitsPerSecond < 999_500) return `${String(Math.round(bitsPerSecond / 1_000))}${nbsp}kbit/s`;
  return `${(bitsPerSecond / 1_000_000).toFixed(1)}${nbsp}Mbit/s`;
}

/** `fraction`: 0–1. Any loss at all shows as at least 0.1 %. */
export function lossText(fraction: number | null): string {
  if (fraction === null) return unknown;
  if (fraction <= 0) return `0${nbsp}%`;
  const percent = Math.max(0.1, Math.min(100, fraction * 100));
  return `${percent < 10 ? percent.toFixed(1) : String(Math.round(percent))}${nbsp}%`;
}

export function millisecondsText(ms: number | null): string {
  if (ms === null) return unknown;
  if (ms < 9.95) return `${ms.toFixed(1)}${nbsp}ms`;
  return `${String(Math.round(ms))}${nbsp}ms`;
}

/** A mean opinion score, 1–5. */
export function scoreText(mos: number | null): string {
  return mos === null ? unknown : mos.toFixed(1);
}

export function secondsText(ms: number | null): string {
  return ms === null ? unknown : `${(ms / 1_000).toFixed(2)}${nbsp}s`;
}

export function pictureText(picture: { width: number; height: number; framesPerSecond: number } | null): string {
  if (picture === null || picture.width === 0) return unknown;
  const { width, height, framesPerSecond } = picture;
  return `${String(width)}${nbsp}×${nbsp}${String(height)}, ${String(Math.round(framesPerSecond))}${nbsp}fps`;
}

/** Up to two letters that stand for a person without a picture. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return chosen.map((word) => firstLetter(word ?? '')).join('') || '?';
}

/** A whole code point, so that a letter outside the basic plane is not cut in half. */
function firstLetter(word: string): string {
  return String.fromCodePoint(word.codePointAt(0) ?? 0x3f).toUpperCase();
}

/** One of `count` colours, always the same for the same name. */
export function colourIndex(name: string, count: number): number {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return hash % count;
}
