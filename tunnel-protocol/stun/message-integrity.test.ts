import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { addFingerprint, verifyFingerprint } from './fingerprint.ts';
import { addMessageIntegrity, verifyMessageIntegrity } from './message-integrity.ts';
import { stunAttribute, stunClass, stunMethod } from './registry.ts';
import { StunBuilder } from './stun-builder.ts';
import { decodeStun } from './stun-message.ts';
import type { StunMessage } from './stun-message.ts';

const file = new URL('../../../tunnel-protocol/testdata/stun-rfc5769.json', import.meta.url);
const rfc5769 = JSON.parse(readFileSync(file, 'utf8')) as Record<
  'request' | 'responseIpv4' | 'responseIpv6' | 'longTermRequest',
  { hex: string; username: string; realm: string; password: string }
>;
const hmacSha1 = (key: Uint8Array, data: Uint8Array): Uint8Array => createHmac('sha1', key).update(data).digest();
const utf8 = new TextEncoder();

function decoded(bytes: Uint8Array): StunMessage {
  const message = decodeStun(bytes);
  if (typeof message === 'string') throw new Error(message);
  return message;
}

t.test('RFC 5769, short-term credentials', (t) => {
  for (const name of ['request', 'responseIpv4', 'responseIpv6'] as const) {
    const { hex, password } = rfc5769[name];
    // A Buffer, because its `slice` shares memory where a Uint8Array's copies.
    const bytes = Buffer.from(hex, 'hex');
    t.ok(verifyMessageIntegrity(decoded(bytes), utf8.encode(password), hmacSha1), name);
    t.notOk(verifyMessageIntegrity(decoded(bytes), utf8.encode(`${password}x`), hmacSha1), name);
    t.equal(bytes.toString('hex'), hex, 'the input is left alone');
  }
  t.end();
});

t.test('captures of browsers', (t) => {
  const captures = new URL('../../../tunnel-protocol/testdata/stun-captures.json', import.meta.url);
  for (const capture of JSON.parse(readFileSync(captures, 'utf8')) as {
    peer: string;
    what: string;
    hex: string;
    username: string;
    password: string;
    useCandidate: boolean;
  }[]) {
    const message = decoded(Buffer.from(capture.hex, 'hex'));
    const name = `${capture.peer}, ${capture.what}`;
    t.equal(message.text(stunAttribute.USERNAME), capture.username, name);
    t.equal(message.has(stunAttribute.USE_CANDIDATE), capture.useCandidate, name);
    t.ok(verifyMessageIntegrity(message, utf8.encode(capture.password), hmacSha1), name);
    t.ok(verifyFingerprint(message), name);
  }
  t.end();
});

t.test('RFC 5769, long-term credentials: the key is MD5 of user, realm and password', (t) => {
  const { hex, username, realm, password } = rfc5769.longTermRequest;
  const key = createHash('md5').update(`${username}:${realm}:${password}`).digest();
  t.ok(verifyMessageIntegrity(decoded(Buffer.from(hex, 'hex')), key, hmacSha1));
  t.end();
});

t.test('one flipped bit anywhere before the code, or in it, is found', (t) => {
  const key = utf8.encode('VOkJxbRl1RmTxUk/WvJxBt');
  const builder = new StunBuilder(stunClass.request, stunMethod.Binding, new Uint8Array(12));
  builder.text(stunAttribute.USERNAME, 'evtj:h6vY');
  addMessageIntegrity(builder, key, hmacSha1);
  addFingerprint(builder);
  const bytes = builder.take();
  t.ok(verifyMessageIntegrity(decoded(bytes), key, hmacSha1));
  for (let at = 0; at < bytes.length - 8; at++) {
    const forged = bytes.slice();
    forged[at] = (forged[at] as number) ^ 1;
    const message = decodeStun(forged);
    if (typeof message === 'string') continue;
    t.notOk(verifyMessageIntegrity(message, key, hmacSha1), `byte ${String(at)}`);
  }
  t.end();
});

t.test('a message without the attribute is not authentic', (t) => {
  const builder = new StunBuilder(stunClass.request, stunMethod.Binding, new Uint8Array(12));
  t.notOk(verifyMessageIntegrity(decoded(builder.take()), new Uint8Array(16), hmacSha1));
  t.end();
});
