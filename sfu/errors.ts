/** Every error this folder makes. Codes are stable: clients, the gateway and dashboards rely on them. */

/** Thrown for misuse by the gateway; it turns them into problem documents (RFC 9457). */
export const sfuErrors = {
  closed: 'The SFU is not running.',
  'session-exists': 'A session with this id is already open.',
  'unknown-session': 'There is no session with this id.',
  'room-full': 'The room has as many participants as it may have.',
  'unknown-room': 'There is no room with this name.',
  'unknown-participant': 'There is no participant with this id in the room.',
  'unknown-source': 'The participant does not publish this source.',
  'recording-unavailable': 'There is nowhere to put recordings.',
} as const;
export type SfuErrorCode = keyof typeof sfuErrors;

export class SfuError extends Error {
  override readonly name = 'SfuError';
  readonly code: SfuErrorCode;

  constructor(code: SfuErrorCode, options?: ErrorOptions) {
    super(sfuErrors[code], options);
    this.code = code;
  }
}

/** Sent to a client as the `error` of a reply; the sentence is followed by the particular where there is one. */
export const signalErrors = {
  'bad-request': 'The message is not a request that this version knows.',
  'bad-offer': 'The offer does not have the fixed shape.',
  'already-joined': 'This session has already joined its room.',
  'not-joined': 'This session has not joined its room yet.',
  forbidden: 'The join token does not permit this.',
  'not-negotiated': 'The accepted offer has no section that could carry this source.',
  'unknown-transport': 'There is no transport with this fingerprint that media could take.',
  'unknown-source': 'This source is not published.',
  'unknown-participant': 'There is no such participant in the room.',
  'recording-unavailable': 'This server has nowhere to put recordings.',
  'not-recorded': 'The room is not being recorded.',
  'too-many-requests': 'Requests come faster than a session may make them; wait a second.',
} as const;
export type SignalErrorCode = keyof typeof signalErrors;
