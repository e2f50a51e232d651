/** UNKNOWN-ATTRIBUTES, RFC 8489 section 14.13, and what belongs into it (section 6.3.1). */
import { putU16, u16 } from '../bytes.ts';
import { stunAttribute } from './registry.ts';
import type { StunBuilder } from './stun-builder.ts';
import type { StunMessage } from './stun-message.ts';

const none: readonly number[] = [];

/** Types of comprehension-required attributes (below 0x8000) that are not in `understood`, each once, in order. */
export function notUnderstood(message: StunMessage, understood: ReadonlySet<number>): readonly number[] {
  let unknown: Set<number> | null = null;
  for (let at = message.first(); at !== -1; at = message.after(at)) {
    const type = message.typeAt(at);
    if (type >= 0x8000 || understood.has(type)) continue;
    unknown ??= new Set();
    unknown.add(type);
  }
  return unknown === null ? none : [...unknown];
}

/** The types an error response lists; null when there is no such attribute or its length is odd. */
export function unknownAttributes(message: StunMessage): readonly number[] | null {
  const value = message.value(stunAttribute.UNKNOWN_ATTRIBUTES);
  if (value === null || value.length % 2 !== 0) return null;
  const types: number[] = [];
  for (let at = 0; at < value.length; at += 2) types.push(u16(value, at));
  return types;
}

export function addUnknownAttributes(builder: StunBuilder, types: readonly number[]): void {
  const value = builder.reserve(stunAttribute.UNKNOWN_ATTRIBUTES, types.length * 2);
  for (const [index, type] of types.entries()) putU16(value, index * 2, type);
}
