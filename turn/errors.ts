/** Every error this folder throws, all of them for bad configuration or misuse; peers' bytes never make one. */
export const turnErrors = {
  'realm-too-long': 'The realm may have at most 48 bytes, so that a 401 stays within 100.',
  'secret-missing': 'The secret of the TURN credentials is empty.',
  'bad-address': 'Not an IP address.',
  'bad-relay-allow':
    'Not a CIDR, address or address:port with optional ports (10.0.0.0/8, 192.0.2.1:3478, [2001:db8::]/32:1-9).',
  'bad-relay-ports': 'The relay port range is not within 1 to 65535, or is empty.',
  'no-relay-address': 'At least one relay address, IPv4 or IPv6, is needed.',
  'bad-limit': 'A limit is not a positive number.',
} as const;
export type TurnErrorCode = keyof typeof turnErrors;

export class TurnConfigError extends Error {
  override readonly name = 'TurnConfigError';
  readonly code: TurnErrorCode;

  constructor(code: TurnErrorCode, detail = '') {
    super(detail === '' ? turnErrors[code] : `${turnErrors[code]} (${detail})`);
    this.code = code;
  }
}
