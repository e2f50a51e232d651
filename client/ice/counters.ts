/** Monotonic counts of what came in. */
export interface IceClientCounters {
  /** Authenticated success responses that answered one of our requests. */
  answers: number;
  /** Authenticated error responses, 487 included. */
  errors: number;
  /** Authenticated 487 responses. A lite peer is always controlled, so we stay controlling. */
  roleConflicts: number;
  /** Not decodable as STUN, a wrong FINGERPRINT, or a success with attributes that must be understood and are not. */
  malformed: number;
  /** Requests, indications and other methods: a lite peer sends none. */
  ignored: number;
  /** Responses to nothing that is under way on that path. */
  unknownTransaction: number;
  /** Responses whose MESSAGE-INTEGRITY is missing or not made with the peer's password. */
  badIntegrity: number;
}

export function createIceClientCounters(): IceClientCounters {
  return {
    answers: 0,
    errors: 0,
    roleConflicts: 0,
    malformed: 0,
    ignored: 0,
    unknownTransaction: 0,
    badIntegrity: 0,
  };
}
