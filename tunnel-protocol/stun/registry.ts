/**
 * Numbers of the IANA "Session Traversal Utilities for NAT (STUN) Parameters" registry that Sallyport uses or may
 * meet, under IANA's names with `_` for `-`. STUN: RFC 8489; ICE: RFC 8445; TURN: RFC 8656, RFC 6062, RFC 8016.
 */

/** Message classes, RFC 8489 section 5: the two class bits as a number. */
export const stunClass = { request: 0, indication: 1, success: 2, error: 3 } as const;
export type StunClass = (typeof stunClass)[keyof typeof stunClass];

export const stunMethod = {
  Binding: 0x001,
  Allocate: 0x003,
  Refresh: 0x004,
  Send: 0x006,
  Data: 0x007,
  CreatePermission: 0x008,
  ChannelBind: 0x009,
  Connect: 0x00a,
  ConnectionBind: 0x00b,
  ConnectionAttempt: 0x00c,
} as const;

/** Attribute types. Those below 0x8000 are comprehension-required. */
export const stunAttribute = {
  MAPPED_ADDRESS: 0x0001,
  USERNAME: 0x0006,
  MESSAGE_INTEGRITY: 0x0008,
  ERROR_CODE: 0x0009,
  UNKNOWN_ATTRIBUTES: 0x000a,
  CHANNEL_NUMBER: 0x000c,
  LIFETIME: 0x000d,
  XOR_PEER_ADDRESS: 0x0012,
  DATA: 0x0013,
  REALM: 0x0014,
  NONCE: 0x0015,
  XOR_RELAYED_ADDRESS: 0x0016,
  REQUESTED_ADDRESS_FAMILY: 0x0017,
  EVEN_PORT: 0x0018,
  REQUESTED_TRANSPORT: 0x0019,
  DONT_FRAGMENT: 0x001a,
  ACCESS_TOKEN: 0x001b,
  MESSAGE_INTEGRITY_SHA256: 0x001c,
  PASSWORD_ALGORITHM: 0x001d,
  USERHASH: 0x001e,
  XOR_MAPPED_ADDRESS: 0x0020,
  RESERVATION_TOKEN: 0x0022,
  PRIORITY: 0x0024,
  USE_CANDIDATE: 0x0025,
  PADDING: 0x0026,
  RESPONSE_PORT: 0x0027,
  CONNECTION_ID: 0x002a,
  ADDITIONAL_ADDRESS_FAMILY: 0x8000,
  ADDRESS_ERROR_CODE: 0x8001,
  PASSWORD_ALGORITHMS: 0x8002,
  ALTERNATE_DOMAIN: 0x8003,
  ICMP: 0x8004,
  SOFTWARE: 0x8022,
  ALTERNATE_SERVER: 0x8023,
  FINGERPRINT: 0x8028,
  ICE_CONTROLLED: 0x8029,
  ICE_CONTROLLING: 0x802a,
  RESPONSE_ORIGIN: 0x802b,
  OTHER_ADDRESS: 0x802c,
  THIRD_PARTY_AUTHORIZATION: 0x802e,
  MOBILITY_TICKET: 0x8030,
} as const;

/**
 * The 32-bit counter of ICE renomination (draft-thatcher-ice-renomination) under the number that libwebrtc gave it.
 * IANA has since assigned 0xC001 to ENF-FLOW-DESCRIPTION, which ICE peers do not send.
 */
export const NOMINATION = 0xc001;

export interface StunErrorCode {
  readonly code: number;
  readonly reason: string;
}

/** Error codes with IANA's names as reason phrases. */
export const stunError = {
  tryAlternate: { code: 300, reason: 'Try Alternate' },
  badRequest: { code: 400, reason: 'Bad Request' },
  unauthenticated: { code: 401, reason: 'Unauthenticated' },
  forbidden: { code: 403, reason: 'Forbidden' },
  mobilityForbidden: { code: 405, reason: 'Mobility Forbidden' },
  unknownAttribute: { code: 420, reason: 'Unknown Attribute' },
  allocationMismatch: { code: 437, reason: 'Allocation Mismatch' },
  staleNonce: { code: 438, reason: 'Stale Nonce' },
  addressFamilyNotSupported: { code: 440, reason: 'Address Family not Supported' },
  wrongCredentials: { code: 441, reason: 'Wrong Credentials' },
  unsupportedTransportProtocol: { code: 442, reason: 'Unsupported Transport Protocol' },
  peerAddressFamilyMismatch: { code: 443, reason: 'Peer Address Family Mismatch' },
  connectionAlreadyExists: { code: 446, reason: 'Connection Already Exists' },
  connectionTimeoutOrFailure: { code: 447, reason: 'Connection Timeout or Failure' },
  allocationQuotaReached: { code: 486, reason: 'Allocation Quota Reached' },
  roleConflict: { code: 487, reason: 'Role Conflict' },
  serverError: { code: 500, reason: 'Server Error' },
  insufficientCapacity: { code: 508, reason: 'Insufficient Capacity' },
} as const satisfies Record<string, StunErrorCode>;
