/** ICE user fragments and passwords, RFC 8445 section 5.3. */

/** One ICE generation of one side, as it stands in the SDP (`a=ice-ufrag`, `a=ice-pwd`). */
export interface IceCredentials {
  readonly ufrag: string;
  readonly pwd: string;
}

/** `ice-char` of RFC 8839 section 5.4: 64 characters, so six bits of a random byte choose one without bias. */
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const ufragLength = 12;
const pwdLength = 24;

/**
 * 72 bits name the agent on a port that everyone shares; 144 bits (RFC 8445 asks for 128) authenticate it. A `prefix` of at most
 * four characters takes the place of as many random ones.
 */
export function createIceCredentials(random: (length: number) => Uint8Array, prefix = ''): IceCredentials {
  let characters = '';
  for (const byte of random(ufragLength + pwdLength)) characters += alphabet.charAt(byte & 63);
  return { ufrag: prefix + characters.slice(prefix.length, ufragLength), pwd: characters.slice(ufragLength) };
}
