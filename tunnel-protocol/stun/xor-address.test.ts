import { readFileSync } from 'node:fs';
import t from 'tap';
import { stunAttribute, stunClass, stunMethod } from './registry.ts';
import { StunBuilder } from './stun-builder.ts';
import { decodeStun } from './stun-message.ts';
import { addXorAddress, xorAddress } from './xor-address.ts';
import type { StunMessage } from './stun-message.ts';

const file = new URL('../../../tunnel-protocol/testdata/stun-rfc5769.json', import.meta.url);
const rfc5769 = JSON.parse(readFileSync(file, 'utf8')) as Record<
  'responseIpv4' | 'responseIpv6',
  { hex: string; transactionId: string; address: string; port: number }
>;
const type = stunAttribute.XOR_MAPPED_ADDRESS;

function decoded(bytes: Uint8Array): StunMessage {
  const message = decodeStun(bytes);
  if (typeof message === 'string') throw new Error(message);
  return message;
}

t.test("the bytes are those of RFC 5769's responses", (t) => {
  for (const name of ['responseIpv4', 'responseIpv6'] as const) {
    const { hex, transactionId, address, port } = rfc5769[name];
    const id = Buffer.from(transactionId, 'hex');
    const builder = new StunBuilder(stunClass.success, stunMethod.Binding, id);
    addXorAddress(builder, type, { address, port });
    const ours = decoded(builder.take());
    t.same(xorAddress(ours, type), { address, port });
    const theirs = Buffer.from(hex, 'hex');
    t.same(xorAddress(decoded(theirs), type), { address, port });
    t.equal(theirs.toString('hex'), hex, 'the input is left alone, a Buffer too');
    t.same(ours.value(type), decoded(Uint8Array.from(theirs)).value(type));
  }
  t.end();
});

t.test('malformed values are none', (t) => {
  for (const hex of ['', '0001', '0001a147e112a6', '0003a147e112a643', '0002a147e112a643', '0001a147e112a64300']) {
    const builder = new StunBuilder(stunClass.success, stunMethod.Binding, new Uint8Array(12));
    const message = decoded(builder.attribute(type, Buffer.from(hex, 'hex')).take());
    t.equal(xorAddress(message, type), null, hex);
  }
  t.end();
});

t.test('a name is not an address', (t) => {
  const builder = new StunBuilder(stunClass.success, stunMethod.Binding, new Uint8Array(12));
  t.throws(() => {
    addXorAddress(builder, type, { address: 'localhost', port: 1 });
  }, TypeError);
  t.end();
});
