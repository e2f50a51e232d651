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
  ['upgrade-required', 'upgrade-stripped'],
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

export interface AnswerHead {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

/** An answer that no edge gives, because something in the network answered instead; null for all others. */
export function checkAnswer(url: URL, { status, headers }: AnswerHead): ClientError | null {
  const answer = `HTTP ${String(status)}`;
  const location = status >= 300 && status < 400 ? headers.get('location') : null;
  if (location !== null) {
    const to = URL.canParse(location, url.href) ? new URL(location, url) : null;
    const detail = `${answer}, redirected to ${printable(location)}`;
    // As of http:// to https:// by a proxy in front of the edge.
    if (to?.hostname === url.hostname) return new ClientError('edge-not-sallyport', { detail });
    return new ClientError('captive-portal', { detail });
  }
  if (status === 511) return new ClientError('captive-portal', { detail: answer });
  const isPage = /^\s*(text\/html|application\/xhtml\+xml)\b/i.test(headers.get('content-type') ?? '');
  if (!isPage || status >= 300) return null;
  return new ClientError('captive-portal', { detail: `${answer} with a page` });
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
