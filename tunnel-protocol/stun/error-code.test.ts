import t from 'tap';
import { addErrorCode, errorCode } from './error-code.ts';
import { stunAttribute, stunClass, stunError, stunMethod } from './registry.ts';
import { StunBuilder } from './stun-builder.ts';
import { decodeStun } from './stun-message.ts';
import { addUnknownAttributes, notUnderstood, unknownAttributes } from './unknown-attributes.ts';
import type { StunMessage } from './stun-message.ts';

const error = (): StunBuilder => new StunBuilder(stunClass.error, stunMethod.Binding, new Uint8Array(12));

function decoded(builder: StunBuilder): StunMessage {
  const message = decodeStun(builder.take());
  if (typeof message === 'string') throw new Error(message);
  return message;
}

t.test('ERROR-CODE round trip, in the bytes of RFC 8489 section 14.8', (t) => {
  const builder = error();
  addErrorCode(builder, stunError.roleConflict);
  const message = decoded(builder);
  t.equal(Buffer.from(message.value(stunAttribute.ERROR_CODE)?.subarray(0, 4) ?? []).toString('hex'), '00000457');
  t.same(errorCode(message), stunError.roleConflict);
  t.end();
});

t.test('a malformed ERROR-CODE is none', (t) => {
  t.equal(errorCode(decoded(error())), null);
  for (const hex of ['', '000004', '00000264', '00000700', '00000464']) {
    t.equal(errorCode(decoded(error().attribute(stunAttribute.ERROR_CODE, Buffer.from(hex, 'hex')))), null, hex);
  }
  t.throws(() => {
    addErrorCode(error(), { code: 200, reason: 'OK' });
  }, RangeError);
  t.end();
});

t.test('UNKNOWN-ATTRIBUTES', (t) => {
  const builder = error();
  addUnknownAttributes(builder, [0x0003, 0x7fff, 0x0001]);
  t.same(unknownAttributes(decoded(builder)), [0x0003, 0x7fff, 0x0001]);
  t.equal(unknownAttributes(decoded(error())), null);
  t.equal(unknownAttributes(decoded(error().attribute(stunAttribute.UNKNOWN_ATTRIBUTES, Buffer.of(1, 2, 3)))), null);
  t.end();
});

t.test('only comprehension-required attributes have to be understood, and each is listed once', (t) => {
  const builder = error().flag(0x7abc).flag(0x8abc).flag(stunAttribute.USE_CANDIDATE).flag(0x7abc).flag(0x0003);
  t.same(notUnderstood(decoded(builder), new Set([stunAttribute.USE_CANDIDATE])), [0x7abc, 0x0003]);
  t.same(notUnderstood(decoded(error()), new Set()), []);
  t.end();
});
