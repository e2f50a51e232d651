/** What the control channel needs of a WebSocket; each environment wraps its own. */
import type { ClientError } from '../errors.ts';

export interface TunnelClose {
  /** The close code of RFC 6455 section 7.4; 1006 when the connection was lost or never came up. */
  readonly wire: number;
  readonly reason: string;
  /** Why it never came up, where the environment tells; `final` means that trying again is useless. */
  readonly error?: ClientError;
  readonly final?: boolean;
  /** The HTTP status that came in place of the upgrade, where the environment tells. */
  readonly status?: number;
}

/**
 * The handlers are set before the factory's caller returns to the event loop, and none is called earlier.
 * `onclose` is called exactly once, whatever happened.
 */
export interface TunnelSocket {
  onopen: (() => void) | null;
  /** One binary message, borrowed until the handler returns. Text messages are not delivered. */
  onmessage: ((message: Uint8Array) => void) | null;
  onclose: ((close: TunnelClose) => void) | null;
  /** Bytes that were accepted but have not left yet. */
  readonly bufferedAmount: number;
  /** The bytes are given away. Without effect unless open. */
  send(message: Uint8Array): void;
  close(code: number, reason: string): void;
}

export type OpenTunnelSocket = (url: string, subprotocols: readonly string[]) => TunnelSocket;

/** The subprotocol that names the tunnel's version; the only one a server selects. */
export const tunnelSubprotocol = 'sallyport.v1';

/** A browser can set no header on a WebSocket, so the session is proved by a second, never selected subprotocol. */
export function tunnelSubprotocols(resumeToken: string): readonly string[] {
  return [tunnelSubprotocol, `bearer.${base64url(resumeToken)}`];
}

function base64url(text: string): string {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
