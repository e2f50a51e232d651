/** Monotonic counts of what came in. */
export interface TurnClientCounters {
  /** Responses that answered a request of ours and were authentic where they have to be. */
  answers: number;
  /** Requests that were made again for a nonce that had expired (438). */
  staleNonces: number;
  /** Neither ChannelData nor a well-formed STUN message, or with attributes that must be understood and are not. */
  malformed: number;
  /** Requests, and indications other than Data. */
  ignored: number;
  /** Responses to nothing that is under way. */
  unknownTransaction: number;
  /** Responses whose MESSAGE-INTEGRITY is missing or wrong. */
  badIntegrity: number;
  /** Datagrams of a channel or a peer that is not ours. */
  strangers: number;
}

export function createTurnClientCounters(): TurnClientCounters {
  return {
    answers: 0,
    staleNonces: 0,
    malformed: 0,
    ignored: 0,
    unknownTransaction: 0,
    badIntegrity: 0,
    strangers: 0,
  };
}
