/** Turns what a server refuses with, a problem document (RFC 9457) or a signalling error, into a {@link ClientError}. */
import { ClientError } from '../errors.ts';
import type { ClientErrorCode } from '../errors.ts';

const codes: ReadonlyMap<string, ClientErrorCode> = new Map<string, ClientErrorCode>([
  ['token-missing', 'token-missing'],
  ['token-invalid', 'token-invalid'],
  ['token-expired', 'token-expired'],
  ['room-mismatch', 'token-wrong-room'],
  ['not-permitted', 'forbidden'],
  ['forbidden', 'forbidden'],
  ['room-full', 'room-full'],
  ['draining', 'edge-draining'],
  ['session-unknown', 'session-lost'],
  ['unknown-session', 'session-lost'],
]);
const maxDetailLength = 300;

/** `body` is whatever came with the status; a body that is no problem document is not shown to the user. */
export function errorOfResponse(status: number, body: unknown): ClientError {
  const { code, detail } = isRecord(body) ? body : {};
  const serverCode = typeof code === 'string' ? code : undefined;
  if (serverCode === undefined) {
    return new ClientError(status >= 500 || status === 429 ? 'edge-refused' : 'edge-not-sallyport', {
      detail: `HTTP ${String(status)}`,
    });
  }
  return new ClientError(codes.get(serverCode) ?? 'edge-refused', {
    serverCode,
    detail: typeof detail === 'string' ? printable(detail) : `HTTP ${String(status)}, ${printable(serverCode)}`,
  });
}

/** Of a signalling reply that is not ok. */
export function errorOfReply(error: { readonly code: string; readonly message: string }): ClientError {
  return new ClientError(codes.get(error.code) ?? 'refused', {
    serverCode: error.code,
    detail: printable(error.message),
  });
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A peer's text that may stand on a terminal: no control characters, bounded. */
export function printable(text: string): string {
  return text.slice(0, maxDetailLength).replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
