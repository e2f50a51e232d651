/** `turn:` and `turns:` URIs, RFC 7065. */

export interface TurnUri {
  /** A name or an IP address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
  /** TLS over TCP, DTLS over UDP. */
  readonly secure: boolean;
}

const maxUriLength = 512;
const form = /^(turns?):(\[[0-9a-f:.]+\]|[^[\]:?@/\s]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/i;

/** Null for anything else, `stun:` URIs among it. Ports and transports have the RFC's defaults. */
export function parseTurnUri(text: string): TurnUri | null {
  const match = text.length > maxUriLength ? null : form.exec(text);
  if (match === null) return null;
  const secure = (match[1] as string).toLowerCase() === 'turns';
  const host = (match[2] as string).replace(/^\[|\]$/g, '');
  const port = match[3] === undefined ? (secure ? 5349 : 3478) : Number(match[3]);
  if (port < 1 || port > 65_535) return null;
  const transport = match[4] === undefined ? (secure ? 'tcp' : 'udp') : (match[4].toLowerCase() as 'udp' | 'tcp');
  return { host, port, transport, secure };
}
