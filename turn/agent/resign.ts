/** Messages between a client of the agent and the edge: the same in everything but who signs them. */
import {
  addFingerprint,
  addMessageIntegrity,
  stunAttribute,
  StunBuilder,
  type StunMessage,
} from '../../tunnel-protocol/index.ts';
import { hmacSha1 } from '../credentials.ts';

/** Whoever signs says these anew. */
const ofTheSigner: ReadonlySet<number> = new Set([
  stunAttribute.USERNAME,
  stunAttribute.REALM,
  stunAttribute.NONCE,
  stunAttribute.MESSAGE_INTEGRITY,
  stunAttribute.FINGERPRINT,
]);

export interface Attribute {
  readonly type: number;
  readonly value: Uint8Array;
}

/** Copies. */
export function attributesOf(message: StunMessage): readonly Attribute[] {
  const attributes: Attribute[] = [];
  for (let at = message.first(); at !== -1; at = message.after(at)) {
    const type = message.typeAt(at);
    // A copy by the constructor: `slice` of a Node Buffer would be a view.
    if (!ofTheSigner.has(type)) attributes.push({ type, value: new Uint8Array(message.valueAt(at)) });
  }
  return attributes;
}

export interface MessageHead {
  readonly messageClass: StunMessage['messageClass'];
  readonly method: number;
  readonly transactionId: Uint8Array;
}

export interface Signature {
  readonly key: Uint8Array;
  /** Of a request; an answer has none of these. */
  readonly as?: { readonly username: string; readonly realm: string; readonly nonce: string };
  readonly fingerprint?: boolean;
}

/** Null `signature`: unsigned, as the first request to a server is. */
export function writeMessage(
  { messageClass, method, transactionId }: MessageHead,
  attributes: readonly Attribute[],
  signature: Signature | null,
): Uint8Array {
  const builder = new StunBuilder(messageClass, method, transactionId);
  for (const { type, value } of attributes) builder.attribute(type, value);
  if (signature === null) return builder.take();
  const { key, as, fingerprint } = signature;
  if (as !== undefined) {
    builder.text(stunAttribute.USERNAME, as.username);
    builder.text(stunAttribute.REALM, as.realm);
    builder.text(stunAttribute.NONCE, as.nonce);
  }
  addMessageIntegrity(builder, key, hmacSha1);
  if (fingerprint === true) addFingerprint(builder);
  return builder.take();
}
