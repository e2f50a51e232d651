/**
 * Every error this folder makes. Codes are stable: applications decide by them. Each sentence says what happened and
 * what to do; what is particular to the case stands behind it.
 */

export const clientErrors = {
  aborted: 'The join was called off by its AbortSignal.',
  'bad-option': 'An option of join() is not valid.',
  'bad-url': 'The address of the edge must be an https:// or http:// URL, such as https://edge.example.',
  'certificate-untrusted':
    'The certificate of the edge is not signed by an authority that this machine trusts. If the issuer is not the one of ' +
    'the edge, this network reads TLS traffic. Pass the certificate of the authority (option ca, or --ca file.pem); on a ' +
    'test machine only, accept any certificate (option insecure, or --insecure).',
  'certificate-expired':
    'The certificate of the edge has expired or is not valid yet. Renew it there, and check the clock of this machine.',
  'certificate-wrong-host':
    'The certificate of the edge is for another host name. Use a name that stands in the certificate, or correct it there.',
  'edge-unreachable':
    'The edge cannot be reached. Check its address and port, that it is running, and that this network lets you connect to it.',
  'edge-refused': 'The edge refused the request. Its answer says why; the log of the edge may say more.',
  'edge-not-sallyport': 'The server at this address does not answer like a Sallyport edge. Check the address and port.',
  'proxy-auth-required':
    'The proxy of this network wants a user name and a password, or refuses those given. Pass them (option proxy, or --proxy-user).',
  'proxy-refused':
    'The proxy of this network does not let this client connect to the edge. Ask the network team to allow CONNECT to its host and port.',
  'proxy-unreachable':
    'The proxy cannot be reached or does not answer like one. Check its address (option proxy, --proxy, HTTPS_PROXY), ' +
    'or do without it (proxy false, or NO_PROXY).',
  'captive-portal':
    'This network answered in place of the edge, with a page or a redirect: a sign-in page, or a filter. Open any page in a ' +
    'browser, sign in, and join again; if there is no such page, ask the network team to allow the edge.',
  'upgrade-stripped':
    'Something between here and the edge takes the Upgrade to WebSocket out of requests. The HTTP rungs (http-stream, ' +
    'long-poll) do without; for WebSocket, ask the network team to let the Upgrade header pass to the edge.',
  buffered:
    'Something between here and the edge holds answers back until they are complete. The long-poll rung does with that; ' +
    'for streaming, ask the network team not to buffer answers of the edge.',
  'token-missing':
    'This edge wants a join token. Ask its operator for one (sallyport token --room …) and pass it (option token, or --token).',
  'token-invalid': 'The join token is not valid at this edge. Ask for a new one, made with the secret of this edge.',
  'token-expired': 'The join token has expired. Ask for a new one.',
  'token-wrong-room': 'The join token is for another room. Join that room, or ask for a token for this one.',
  'room-full': 'The room has as many participants as it may have. Try again when somebody has left.',
  'edge-draining': 'The edge is shutting down and takes no new sessions. Try again in a moment, or at another edge.',
  forbidden: 'The join token does not permit this. Ask for a token with the permission.',
  refused: 'The server refused the request.',
  'no-reply':
    'The server did not answer a request in time. Join again; if that does not help, the server is overloaded or broken.',
  'bad-answer':
    'The answer of the server is not one this client understands. Client and server may be of different versions.',
  'fingerprint-mismatch':
    'The media server could not prove that it is the one named in signalling: its certificate has another fingerprint. ' +
    'Somebody may be intercepting the media; do not go on.',
  'handshake-failed': 'The DTLS handshake with the media server failed. Join again; the reason may help its operator.',
  'media-unreachable':
    'None of the allowed rungs carries media to the server from here. Allow more of them (option rungs), or ask the network team to open one.',
  'rung-unavailable': 'This rung does not carry media to the server from here, or is not among the allowed ones.',
  'connection-lost':
    'The connection to the edge was lost and could not be made again before the session ended. Join again when the network is back.',
  'session-lost': 'The server no longer knows this session. Join again.',
  'session-ended': 'The session was ended by the server.',
  kicked: 'A moderator removed you from the room.',
  replaced: 'Another connection of the same session took over.',
  'version-unsupported': 'Client and server share no version of the protocol. Update the older one.',
  left: 'The call is over: leave() was called.',
  'not-publishing': 'This track is not published in this call.',
  'already-publishing': 'This source is already published; unpublish it first.',
  'data-unavailable':
    'This call has no data channels: the join token does not permit them, or the server ended them. The reason says which.',
  'data-too-large': 'A message of a data channel may have 65,536 bytes at most. Send it in parts.',
  'bad-file': 'The file is not one this program can read.',
  'file-unreadable': 'The file cannot be opened. Check its name and its permissions.',
} as const;

export type ClientErrorCode = keyof typeof clientErrors;

export interface ClientErrorOptions {
  /** What is particular to this case; follows the sentence. */
  readonly detail?: string | undefined;
  readonly cause?: unknown;
  /** The server's own stable code (`code` of its problem document, or of a refused signalling request). */
  readonly serverCode?: string | undefined;
}

export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;
  readonly serverCode: string | undefined;

  constructor(code: ClientErrorCode, options: ClientErrorOptions = {}) {
    const detail = options.detail === undefined || options.detail === '' ? '' : ` (${options.detail})`;
    super(clientErrors[code] + detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.serverCode = options.serverCode;
  }
}

/** The error itself if it is one of ours, otherwise one with this code that has it as its cause. */
export function asClientError(error: unknown, code: ClientErrorCode): ClientError {
  // Of the page's parts, each is bundled by itself and has a class of its own.
  if (error instanceof ClientError || (error instanceof Error && error.name === 'ClientError'))
    return error as ClientError;
  return new ClientError(code, { cause: error, detail: error instanceof Error ? error.message : String(error) });
}
