/** RFC 8489 section 9.2: what a server's challenge and the user's password make together. */
import {
  addMessageIntegrity,
  stunAttribute,
  StunBuilder,
  stunClass,
  verifyMessageIntegrity,
} from '../../tunnel-protocol/index.ts';
import type { StunMessage } from '../../tunnel-protocol/index.ts';
import type { TurnClientOptions } from './types.ts';

/** RFC 8489 sections 14.9 and 14.10: fewer than 128 characters, of up to six bytes. */
const maxChallengeBytes = 763;
const utf8 = new TextEncoder();

export type FillRequest = (builder: StunBuilder) => void;

export class LongTermCredentials {
  readonly #options: TurnClientOptions;
  #realm: Uint8Array | null = null;
  #nonce: Uint8Array | null = null;
  /** MD5(user name ":" realm ":" password), section 9.2.2. */
  #key: Uint8Array | null = null;

  constructor(options: TurnClientOptions) {
    this.#options = options;
  }

  /** Whether the server has asked for credentials: requests carry them from then on. */
  get known(): boolean {
    return this.#key !== null;
  }

  /** Takes REALM and NONCE of a 401 or 438; false when one is missing or too long. */
  challenge(message: StunMessage): boolean {
    const realm = message.value(stunAttribute.REALM) ?? this.#realm;
    const nonce = message.value(stunAttribute.NONCE);
    if (realm === null || nonce === null) return false;
    if (realm.length > maxChallengeBytes || nonce.length > maxChallengeBytes) return false;
    const { username, credential, md5 } = this.#options;
    this.#realm = new Uint8Array(realm);
    this.#nonce = new Uint8Array(nonce);
    const user = utf8.encode(`${username}:`);
    const password = utf8.encode(`:${credential}`);
    const text = new Uint8Array(user.length + realm.length + password.length);
    text.set(user);
    text.set(realm, user.length);
    text.set(password, user.length + realm.length);
    this.#key = md5(text);
    return true;
  }

  /** A request, with credentials as soon as they are known. */
  encode(method: number, transactionId: Uint8Array, fill: FillRequest): Uint8Array {
    const builder = new StunBuilder(stunClass.request, method, transactionId);
    fill(builder);
    if (this.#key !== null && this.#realm !== null && this.#nonce !== null) {
      builder.text(stunAttribute.USERNAME, this.#options.username);
      builder.attribute(stunAttribute.REALM, this.#realm);
      builder.attribute(stunAttribute.NONCE, this.#nonce);
      addMessageIntegrity(builder, this.#key, this.#options.hmacSha1);
    }
    return builder.take();
  }

  verify(message: StunMessage): boolean {
    return this.#key !== null && verifyMessageIntegrity(message, this.#key, this.#options.hmacSha1);
  }
}
