/** What a peer can do wrong on the control channel. Returned, never thrown; each closes the connection. */
import type { CloseCode } from './close-codes.ts';

interface ControlErrorEntry {
  /** The code to close the connection with. */
  readonly close: CloseCode;
  readonly sentence: string;
}

export const controlErrors = {
  'not-control': { close: 'protocol-error', sentence: 'The first byte is none of a control frame.' },
  'unknown-type': { close: 'protocol-error', sentence: 'The type is unknown and not ignorable.' },
  malformed: {
    close: 'protocol-error',
    sentence: 'A control frame is too short, too long, or a field is out of range.',
  },
  unexpected: { close: 'protocol-error', sentence: 'This frame may not come from this end or at this time.' },
  'not-open': { close: 'not-open', sentence: 'A frame came before open or welcome.' },
  'version-unsupported': { close: 'version-unsupported', sentence: 'No common revision of the control protocol.' },
  'sequence-gap': { close: 'protocol-error', sentence: 'A fragment is missing on an ordered connection.' },
  'bad-fragment': { close: 'protocol-error', sentence: 'The first and last flags do not cut messages.' },
  'bad-text': { close: 'protocol-error', sentence: 'A message is not UTF-8.' },
  'ack-ahead': { close: 'protocol-error', sentence: 'The peer acknowledged what was never sent.' },
  'state-lost': { close: 'unknown-session', sentence: 'One of the two ends forgot what was sent or acknowledged.' },
  'message-too-large': { close: 'message-too-large', sentence: 'A message has more bytes than allowed.' },
  'queue-full': { close: 'queue-full', sentence: 'The peer did not wait for acknowledgements.' },
} as const satisfies Record<string, ControlErrorEntry>;

export type ControlErrorReason = keyof typeof controlErrors;

export interface ControlError {
  readonly reason: ControlErrorReason;
  readonly close: CloseCode;
  readonly sentence: string;
}

export function controlError(reason: ControlErrorReason): ControlError {
  return { reason, ...controlErrors[reason] };
}
