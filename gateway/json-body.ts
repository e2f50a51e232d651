import { Problem, problem } from './problem.ts';

/** Largest JSON body that any route takes. */
export const maxJsonBytes = 16_384;

/** A request's body that must be one JSON object. */
export function readJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | Problem {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Answered below.
  }
  return problem('bad-request', 'The body must be one JSON object in UTF-8.');
}
