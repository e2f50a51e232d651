/** The numbers of flow control. The README's table of its limits is compared with these by a test. */

export const flowLimits = {
  /** The least window, so that a burst leaves at once and a path shows what it can. */
  minWindowBytes: 16_384,
  /** On a path that proved narrow, 16 KiB may be a queue of seconds: the least window is then what it delivers in so long. */
  narrowWindowMs: 100,
  maxWindowBytes: 4_194_304,
  /**
   * What is not video may pass the window by this: so little does not lengthen the queue, but it leaves with the stalled
   * connection's first breath, and keeps acknowledgements coming by which TCP finds what it has lost.
   */
  reserveBytes: 8192,
  /** The least of all, and the window while the round trip is measured with little of ours in its way. */
  probeWindowBytes: 4096,
  /** The smallest round trip is taken of the last so many ms, and then measured anew. */
  minRoundTripWindowMs: 10_000,
  /** How long a probe for it lasts once little is in flight, at least. */
  probeMs: 100,
  /** The highest rate is taken of the last so many ms, or of ten round trips if they take longer. */
  rateWindowMs: 1000,
  /** A shorter round trip counts as this much in the window: credits come no faster than the peer's event loop turns. */
  creditTurnMs: 20,
  /** A receiver that was not asked credits with what it sends after this time, … */
  creditRideMs: 20,
  /** … or in a message of its own after this. */
  creditDelayMs: 100,
  /** Unless less than this is to be credited: it then waits for something to ride with. */
  creditLeastBytes: 512,
  /** The same on a connection for audio, of which every packet counts: what is not credited there is stuck. */
  audioCreditLeastBytes: 64,
  /** Control, STUN, DTLS and RTCP that wait. Past it, the connection is closed with `slow-reader`. */
  maxReliableBytes: 524_288,
  /** Audio and video that wait. Past it, the oldest video is dropped, then the oldest audio. */
  maxMediaBytes: 524_288,
  /** Age at which audio is dropped, unless its sender said otherwise. */
  audioDeadlineMs: 200,
  videoDeadlineMs: 300,
} as const;

export type FlowLimits = { readonly [K in keyof typeof flowLimits]: number };
