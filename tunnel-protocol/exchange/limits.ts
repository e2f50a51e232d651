/** Every limit and interval of the HTTP carriers. The README's table is compared with these by a test. */
import { maxMessageBytes } from '../frames.ts';

export const exchangeLimits = {
  /** A request's body and a whole answer, as binary; as text they are a third longer. */
  maxBodyBytes: maxMessageBytes,
  /** What a sender puts into one body at first, and at least, however narrow the path. */
  firstBodyBytes: 16_384,
  leastBodyBytes: 4096,
  /** A write to a stream: with what goes around it, no more than a TLS record, or its head would wait for its tail. */
  maxWriteBytes: 16_000,
  /** How long an answer is held back while there is nothing to send. */
  maxHoldMs: 15_000,
  /** Between two answers, or two posts, of a busy connection. An idle one sends at once. */
  minGatherMs: 20,
  maxGatherMs: 50,
  /** Requests held at once on a connection; the oldest of more is answered at once. */
  maxPolls: 2,
  /** Streamed uploads at once on a connection: the present one, and those that it takes over from. */
  maxUploads: 16,
  /** Control frames that overtook others and wait for them. */
  maxHeldFrames: 1024,
  maxHeldBytes: 262_144,
  /** Control frames sent and not acknowledged. */
  maxUnackedFrames: 1024,
  maxUnackedBytes: 262_144,
  /** Exchange and control frame numbers do not wrap. */
  maxNumber: 0xffff_ffff,
  /** On a stream, control frames received are acknowledged after this at the latest. */
  ackDelayMs: 100,
  /** A client without a stream up acknowledges a stream down by a post of its own after this. */
  postAckDelayMs: 1000,
  /** Nothing came for so long: the server gives the connection up. */
  idleAfterMs: 20_000,
  /** Without an answer (beyond the hold) for so long, the client gives the exchange up. */
  answerAfterMs: 10_000,
  /** Without a good answer for so long, the client gives the connection up. */
  giveUpAfterMs: 10_000,
  /** A stream is replaced by another one before a proxy cuts it. */
  rotateAfterMs: 60_000,
  rotateAfterBytes: 16_777_216,
  /** What the server is known to have sent must be here after this, or four round trips if that is more. */
  missingAfterMs: 1000,
  /** The first byte of a streamed download. */
  firstByteAfterMs: 3000,
  /** What was written to a streamed upload must be acknowledged after this, or four round trips if that is more. */
  uploadStalledAfterMs: 2000,
  /** Pause before the second attempt after a failure; it doubles up to the other. */
  retryMs: 100,
  maxRetryMs: 2000,
} as const;
