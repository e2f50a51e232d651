/** Every limit and interval of the control channel. The README's table of limits is compared with these by a test. */
import { maxDatagramBytes } from '../frames.ts';

/** Revision of the control protocol within `sallyport.v1`; `open` and `welcome` agree on one. */
export const controlVersion = 1;
/** Oldest revision this code still speaks. */
export const oldestControlVersion = 1;

export const controlLimits = {
  /** A control frame travels as one datagram. */
  maxFrameBytes: maxDatagramBytes,
  /** Payload of one `signal` fragment: what its 6-byte header leaves of a frame. */
  maxFragmentBytes: maxDatagramBytes - 6,
  /** A signalling message as UTF-8. */
  maxMessageBytes: 65_536,
  /** Payload sent or queued and not acknowledged; the receiver holds its peer to the same. */
  maxUnackedBytes: 1_048_576,
  /** The same in fragments, because a short one costs more memory than its bytes. */
  maxUnackedFragments: 4096,
  /** Unacknowledged payload on one connection, after which a sender waits: so that media never queues behind more. */
  inFlightBytes: 65_536,
  /** UTF-8 reason of `close`: what a WebSocket close frame takes (RFC 6455 section 5.5). */
  maxReasonBytes: 123,
  /** Events that wait for the application, of all types. */
  maxPendingEvents: 8192,
  /** Sequence numbers start at 1 and do not wrap. */
  maxSequence: 0xffff_ffff,
  /** What was taken is acknowledged with the next frame that leaves, or by itself after this, … */
  ackDelayMs: 200,
  /** … or at once when this is unacknowledged: a sender never waits for less than its window. */
  ackAtBytes: 16_384,
  ackAtFragments: 64,
  pingIntervalMs: 5000,
  silentAfterMs: 15_000,
  /** How long `close` waits for messages that were sent before it. */
  closeGraceMs: 1000,
} as const;
