/** Against another implementation's codec: what one writes, the other reads and finds authentic. */
import { createHmac, randomBytes } from 'node:crypto';
import t from 'tap';
import { classes, Message, methods, parseMessage } from 'werift';
import { addErrorCode, errorCode } from './error-code.ts';
import { addFingerprint, verifyFingerprint } from './fingerprint.ts';
import { addMessageIntegrity, verifyMessageIntegrity } from './message-integrity.ts';
import { NOMINATION, stunAttribute, stunClass, stunError, stunMethod } from './registry.ts';
import { StunBuilder } from './stun-builder.ts';
import { decodeStun } from './stun-message.ts';
import { addXorAddress, xorAddress } from './xor-address.ts';

const key = Buffer.from('a password of 25 letters.');
const hmacSha1 = (k: Uint8Array, data: Uint8Array): Uint8Array => createHmac('sha1', k).update(data).digest();

t.test('werift reads our request', (t) => {
  const id = randomBytes(12);
  const builder = new StunBuilder(stunClass.request, stunMethod.Binding, id)
    .text(stunAttribute.USERNAME, 'peer:own')
    .u32(stunAttribute.PRIORITY, 0x6e7f1eff)
    .attribute(stunAttribute.ICE_CONTROLLING, Buffer.from('1122334455667788', 'hex'))
    .flag(stunAttribute.USE_CANDIDATE)
    .u32(NOMINATION, 7);
  addMessageIntegrity(builder, key, hmacSha1);
  addFingerprint(builder);
  const message = parseMessage(Buffer.from(builder.take()), key);
  t.ok(message, 'integrity and fingerprint are right');
  t.equal(message?.messageMethod, methods.BINDING);
  t.equal(message?.messageClass, classes.REQUEST);
  t.same(message?.transactionId, id);
  t.equal(message?.getAttributeValue('USERNAME'), 'peer:own');
  t.equal(message?.getAttributeValue('PRIORITY'), 0x6e7f1eff);
  t.equal(message?.getAttributeValue('ICE-CONTROLLING'), 0x1122334455667788n);
  t.ok(message?.attributesKeys.includes('USE-CANDIDATE'));
  t.same(message?.unknownAttributeTypes, [NOMINATION]);
  t.equal(parseMessage(Buffer.from(builder.take()), Buffer.from('another')), undefined);
  t.end();
});

t.test('werift reads our responses', (t) => {
  for (const address of ['192.0.2.7', '2001:db8::7']) {
    const success = new StunBuilder(stunClass.success, stunMethod.Binding, randomBytes(12));
    addXorAddress(success, stunAttribute.XOR_MAPPED_ADDRESS, { address, port: 4711 });
    addMessageIntegrity(success, key, hmacSha1);
    addFingerprint(success);
    const message = parseMessage(Buffer.from(success.take()), key);
    t.equal(message?.messageClass, classes.RESPONSE);
    t.same(message?.getAttributeValue('XOR-MAPPED-ADDRESS'), [address, 4711]);
  }
  const conflict = new StunBuilder(stunClass.error, stunMethod.Binding, randomBytes(12));
  addErrorCode(conflict, stunError.roleConflict);
  addMessageIntegrity(conflict, key, hmacSha1);
  addFingerprint(conflict);
  const message = parseMessage(Buffer.from(conflict.take()), key);
  t.equal(message?.messageClass, classes.ERROR);
  t.same(message?.getAttributeValue('ERROR-CODE'), [487, 'Role Conflict']);
  t.end();
});

t.test("we read werift's messages", (t) => {
  const request = new Message(methods.BINDING, classes.REQUEST);
  request.setAttribute('USERNAME', 'peer:own').setAttribute('PRIORITY', 0x6e7f1eff);
  request.setAttribute('ICE-CONTROLLING', 0x1122334455667788n).setAttribute('USE-CANDIDATE', null);
  request.addMessageIntegrity(key).addFingerprint();
  const read = decodeStun(request.bytes);
  if (typeof read === 'string') throw new Error(read);
  t.ok(verifyMessageIntegrity(read, key, hmacSha1));
  t.ok(verifyFingerprint(read));
  t.equal(read.messageClass, stunClass.request);
  t.equal(read.method, stunMethod.Binding);
  t.equal(read.text(stunAttribute.USERNAME), 'peer:own');
  t.equal(read.u32(stunAttribute.PRIORITY), 0x6e7f1eff);
  t.ok(read.has(stunAttribute.USE_CANDIDATE));

  const success = new Message(methods.BINDING, classes.RESPONSE);
  success.setAttribute('XOR-MAPPED-ADDRESS', ['2001:db8::7', 4711]).addMessageIntegrity(key).addFingerprint();
  const answer = decodeStun(success.bytes);
  if (typeof answer === 'string') throw new Error(answer);
  t.ok(verifyMessageIntegrity(answer, key, hmacSha1));
  t.same(xorAddress(answer, stunAttribute.XOR_MAPPED_ADDRESS), { address: '2001:db8::7', port: 4711 });

  const failure = new Message(methods.ALLOCATE, classes.ERROR);
  failure.setAttribute('ERROR-CODE', [438, 'Stale Nonce']).addFingerprint();
  const error = decodeStun(failure.bytes);
  if (typeof error === 'string') throw new Error(error);
  t.equal(error.method, stunMethod.Allocate);
  t.equal(error.messageClass, stunClass.error);
  t.same(errorCode(error), stunError.staleNonce);
  t.end();
});
