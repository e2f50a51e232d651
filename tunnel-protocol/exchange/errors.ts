/** What a peer can do wrong below the frames. Returned, never thrown. */

export const exchangeFaults = {
  'bad-header': 'The header of an exchange is missing, too short, or a field is out of range.',
  'bad-text': 'A text body is not base64.',
  'bad-framing': 'A body is not a sequence of frames.',
  'body-too-large': 'A body is longer than allowed.',
  'too-many-uploads': 'Too many streamed uploads at once.',
  'ack-ahead': 'The peer acknowledged a control frame that was never sent.',
} as const;

export type ExchangeFault = keyof typeof exchangeFaults;
