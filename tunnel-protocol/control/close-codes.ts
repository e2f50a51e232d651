/**
 * Why a connection was closed. The wire number stands in the `close` control frame and in the WebSocket close frame
 * (RFC 6455 section 7.4.2: 4000–4999 are private). The hundred tells what to do, so that a peer of an older revision
 * understands numbers it does not know.
 */

/**
 * What a client does next. `stop`: the call is over. `resume`: connect again, here or elsewhere, with the same session.
 * `rejoin`: this session cannot go on; ask for a new one.
 */
export type AfterClose = 'stop' | 'resume' | 'rejoin';

export interface CloseDescription {
  readonly wire: number;
  readonly then: AfterClose;
  /** Says what happened and what to do. */
  readonly sentence: string;
}

export const closeCodes = {
  normal: { wire: 4000, then: 'stop', sentence: 'The peer left on purpose; nothing is to be done.' },
  'session-ended': {
    wire: 4001,
    then: 'stop',
    sentence: 'The session was ended; ask the application for a new one to come back.',
  },
  kicked: {
    wire: 4002,
    then: 'stop',
    sentence: 'A moderator removed you from the room; do not join again by yourself.',
  },
  'room-ended': {
    wire: 4003,
    then: 'stop',
    sentence: 'The room was closed for everyone; do not join again by yourself.',
  },
  replaced: {
    wire: 4004,
    then: 'stop',
    sentence: 'A newer connection of the same session took over; leave the session to it.',
  },
  'version-unsupported': {
    wire: 4005,
    then: 'stop',
    sentence: 'The two ends share no protocol version; update the client or the server.',
  },
  draining: { wire: 4100, then: 'resume', sentence: 'This edge is going away; connect again with the same session.' },
  idle: {
    wire: 4101,
    then: 'resume',
    sentence: 'Nothing was heard for too long; connect again with the same session.',
  },
  'slow-reader': {
    wire: 4102,
    then: 'resume',
    sentence: 'The connection did not keep up with what was sent; connect again with the same session.',
  },
  'internal-error': {
    wire: 4103,
    then: 'resume',
    sentence: 'The server failed; wait a moment, then connect again with the same session.',
  },
  'unknown-session': { wire: 4200, then: 'rejoin', sentence: 'This session is not known here; ask for a new one.' },
  unauthenticated: {
    wire: 4201,
    then: 'rejoin',
    sentence: 'The session was not proved by a valid resume token; ask for a new session.',
  },
  'protocol-error': {
    wire: 4202,
    then: 'rejoin',
    sentence: 'The peer sent what the protocol does not allow; report it, and ask for a new session.',
  },
  'not-open': {
    wire: 4203,
    then: 'rejoin',
    sentence: 'A control frame came before open or welcome; send open first, in a new session.',
  },
  'message-too-large': {
    wire: 4204,
    then: 'rejoin',
    sentence: 'A message passed its size limit; send smaller ones, in a new session.',
  },
  'queue-full': {
    wire: 4205,
    then: 'rejoin',
    sentence: 'More than the allowed amount waited to be applied; wait for acknowledgements, in a new session.',
  },
} as const satisfies Record<string, CloseDescription>;

export type CloseCode = keyof typeof closeCodes;

const codeByWire = new Map<number, CloseCode>(
  (Object.keys(closeCodes) as CloseCode[]).map((code) => [closeCodes[code].wire, code]),
);

/** The catalogue's code of a wire number, null when it has none. */
export function closeCodeOf(wire: number): CloseCode | null {
  return codeByWire.get(wire) ?? null;
}

/**
 * What to do after a close with this number, known or not. 1000 is what a peer sends that knows nothing of Sallyport
 * and left on purpose; any other number below 4000, such as a browser's 1006, means that the connection was lost.
 */
export function afterClose(wire: number): AfterClose {
  if (wire === 1000) return 'stop';
  if (wire < 4000) return 'resume';
  if (wire < 4100) return 'stop';
  if (wire < 4200) return 'resume';
  return 'rejoin';
}
