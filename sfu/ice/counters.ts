/** What happened to STUN messages and paths, as monotonic counts over all agents of one IceLite. */
export interface IceCounters {
  /** Authenticated requests answered with success. */
  answered: number;
  /** Not decodable as STUN. */
  malformed: number;
  /** Responses, indications and methods other than Binding: not for a lite agent. */
  ignored: number;
  badFingerprint: number;
  missingUsername: number;
  missingIntegrity: number;
  unknownUfrag: number;
  wrongRemoteUfrag: number;
  badIntegrity: number;
  /** Authenticated, but answered 487: the peer claimed the controlled role. */
  roleConflicts: number;
  /** Authenticated, but answered 420: comprehension-required attributes that are not understood. */
  unknownAttributes: number;
  /** Authenticated, but on a path that belongs to another agent. */
  foreignPath: number;
  nominations: number;
  /** USE-CANDIDATE that came too late to count: answered, but not followed. */
  staleNominations: number;
  pathsValidated: number;
  /** Paths let go because consent expired. */
  pathsExpired: number;
  /** Paths let go because an agent had too many. */
  pathsEvicted: number;
  consentLost: number;
}

export function createIceCounters(): IceCounters {
  return {
    answered: 0,
    malformed: 0,
    ignored: 0,
    badFingerprint: 0,
    missingUsername: 0,
    missingIntegrity: 0,
    unknownUfrag: 0,
    wrongRemoteUfrag: 0,
    badIntegrity: 0,
    roleConflicts: 0,
    unknownAttributes: 0,
    foreignPath: 0,
    nominations: 0,
    staleNominations: 0,
    pathsValidated: 0,
    pathsExpired: 0,
    pathsEvicted: 0,
    consentLost: 0,
  };
}
