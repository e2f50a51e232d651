import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { errorCode } from './error-code.ts';
import { verifyFingerprint } from './fingerprint.ts';
import { verifyMessageIntegrity } from './message-integrity.ts';
import { stunAttribute, stunClass, stunMethod } from './registry.ts';
import { StunBuilder } from './stun-builder.ts';
import { decodeStun, stunDecodeErrors, StunMessage } from './stun-message.ts';
import { notUnderstood, unknownAttributes } from './unknown-attributes.ts';
import { xorAddress } from './xor-address.ts';

const testdata = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../tunnel-protocol/testdata/${name}`, import.meta.url), 'utf8'));
const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const toHex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString('hex'));

function decoded(bytes: Uint8Array): StunMessage {
  const message = decodeStun(bytes);
  if (typeof message === 'string') throw new Error(message);
  return message;
}

interface Vector {
  readonly hex: string;
  readonly transactionId: string;
  readonly username: string;
  readonly software: string;
  readonly priority: number;
  readonly iceControlled: string;
  readonly address: string;
  readonly port: number;
  readonly nonce: string;
  readonly realm: string;
}
const rfc5769 = testdata('stun-rfc5769.json') as Record<string, Vector>;
const vector = (name: string): Vector => rfc5769[name] as Vector;

t.test('RFC 5769 2.1, request', (t) => {
  const wanted = vector('request');
  const message = decoded(fromHex(wanted.hex));
  t.equal(message.messageClass, stunClass.request);
  t.equal(message.method, stunMethod.Binding);
  t.equal(toHex(message.transactionId), wanted.transactionId);
  t.equal(message.text(stunAttribute.SOFTWARE), wanted.software);
  t.equal(message.text(stunAttribute.USERNAME), wanted.username);
  t.equal(message.u32(stunAttribute.PRIORITY), wanted.priority);
  t.equal(toHex(message.value(stunAttribute.ICE_CONTROLLED)), wanted.iceControlled);
  t.notOk(message.has(stunAttribute.USE_CANDIDATE));
  t.end();
});

for (const name of ['responseIpv4', 'responseIpv6']) {
  t.test(`RFC 5769 2.2 and 2.3, ${name}`, (t) => {
    const wanted = vector(name);
    const message = decoded(fromHex(wanted.hex));
    t.equal(message.messageClass, stunClass.success);
    t.equal(message.method, stunMethod.Binding);
    t.equal(message.text(stunAttribute.SOFTWARE), wanted.software);
    t.same(xorAddress(message, stunAttribute.XOR_MAPPED_ADDRESS), { address: wanted.address, port: wanted.port });
    t.end();
  });
}

t.test('RFC 5769 2.4, long-term credentials', (t) => {
  const wanted = vector('longTermRequest');
  const message = decoded(fromHex(wanted.hex));
  t.equal(message.text(stunAttribute.USERNAME), wanted.username);
  t.equal(message.text(stunAttribute.NONCE), wanted.nonce);
  t.equal(message.text(stunAttribute.REALM), wanted.realm);
  t.end();
});

t.test('every malformed message has its reason, and every reason a message', (t) => {
  const table = testdata('stun-malformed.json') as { name: string; hex: string; error: string }[];
  for (const { name, hex, error } of table) t.equal(decodeStun(fromHex(hex)), error, name);
  t.same(new Set(table.map(({ error }) => error)), new Set(stunDecodeErrors));
  t.end();
});

const id = new Uint8Array(12).fill(7);
const request = (): StunBuilder => new StunBuilder(stunClass.request, stunMethod.Binding, id);

t.test('attributes behind MESSAGE-INTEGRITY do not exist', (t) => {
  const builder = request().text(stunAttribute.USERNAME, 'a:b');
  builder.attribute(stunAttribute.MESSAGE_INTEGRITY, new Uint8Array(20));
  builder.flag(stunAttribute.USE_CANDIDATE).attribute(stunAttribute.MESSAGE_INTEGRITY, new Uint8Array(20));
  builder.u32(stunAttribute.FINGERPRINT, 0);
  const message = decoded(builder.take());
  t.ok(message.has(stunAttribute.USERNAME));
  t.notOk(message.has(stunAttribute.USE_CANDIDATE));
  t.equal(message.integrityAt, 28, 'the first one counts');
  t.equal(message.fingerprintAt, message.bytes.length - 8);
  t.end();
});

t.test('MESSAGE-INTEGRITY-SHA256 ends the attributes only where it stands alone (RFC 8489 section 9)', (t) => {
  const sha256 = stunAttribute.MESSAGE_INTEGRITY_SHA256;
  const alone = request().attribute(sha256, new Uint8Array(32)).flag(stunAttribute.USE_CANDIDATE);
  t.notOk(decoded(alone.take()).has(stunAttribute.USE_CANDIDATE));
  const both = request().attribute(sha256, new Uint8Array(32)).flag(stunAttribute.USE_CANDIDATE);
  both.attribute(stunAttribute.MESSAGE_INTEGRITY, new Uint8Array(20));
  t.ok(decoded(both.take()).has(stunAttribute.USE_CANDIDATE));
  t.end();
});

t.test('of equal attributes the first counts, and all can be walked', (t) => {
  const builder = request().text(stunAttribute.SOFTWARE, 'first').text(stunAttribute.SOFTWARE, 'second');
  const message = decoded(builder.take());
  t.equal(message.text(stunAttribute.SOFTWARE), 'first');
  const values: (string | null)[] = [];
  for (let at = message.first(); at !== -1; at = message.after(at)) values.push(toHex(message.valueAt(at)));
  t.same(values, [toHex(Buffer.from('first')), toHex(Buffer.from('second'))]);
  t.equal(decoded(request().take()).first(), -1);
  t.end();
});

t.test('a 32-bit attribute of another length is none', (t) => {
  const message = decoded(request().attribute(stunAttribute.PRIORITY, new Uint8Array(5)).take());
  t.equal(message.u32(stunAttribute.PRIORITY), null);
  t.end();
});

/** Reads a message in every way there is. */
function readEverything(bytes: Uint8Array): void {
  const message = decodeStun(bytes);
  if (typeof message === 'string') return;
  if (message.messageClass > 3 || message.method > 0xfff || message.transactionId.length !== 12)
    throw new Error('range');
  verifyFingerprint(message);
  verifyMessageIntegrity(message, id, () => new Uint8Array(20));
  for (const type of Object.values(stunAttribute)) {
    message.u32(type);
    message.text(type);
    xorAddress(message, type);
  }
  errorCode(message);
  unknownAttributes(message);
  notUnderstood(message, new Set());
}

t.test('random and mutated bytes never throw', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), readEverything));
  const seeds = Object.values(rfc5769)
    .filter(({ hex }) => typeof hex === 'string')
    .map(({ hex }) => fromHex(hex));
  const mutation = fc.record({ at: fc.nat(), value: fc.nat(255) });
  const mutated = fc.record({
    seed: fc.constantFrom(...seeds),
    mutations: fc.array(mutation, { maxLength: 6 }),
    cut: fc.nat(8),
  });
  fc.assert(
    fc.property(mutated, ({ seed, mutations, cut }) => {
      const bytes = seed.slice(0, seed.length - cut * 4);
      // A right length field lets more of them reach the readers.
      if (cut > 0) bytes[3] = bytes.length - 20;
      for (const { at, value } of mutations) bytes[at % bytes.length] = value;
      readEverything(bytes);
    }),
    { numRuns: 2000 },
  );
  t.end();
});
