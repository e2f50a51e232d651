import { readFileSync } from 'node:fs';
import t from 'tap';
import { crc32 } from './crc32.ts';
import { addFingerprint, verifyFingerprint } from './fingerprint.ts';
import { stunAttribute, stunClass, stunMethod } from './registry.ts';
import { StunBuilder } from './stun-builder.ts';
import { decodeStun } from './stun-message.ts';

const file = new URL('../../../tunnel-protocol/testdata/stun-rfc5769.json', import.meta.url);
const rfc5769 = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { hex: string }>;

const verified = (bytes: Uint8Array): boolean => {
  const message = decodeStun(bytes);
  return typeof message !== 'string' && verifyFingerprint(message);
};

t.test("CRC-32 of the catalogue's check string", (t) => {
  t.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
  t.equal(crc32(new Uint8Array(0)), 0);
  t.equal(crc32(new TextEncoder().encode('123456789 and more'), 9), 0xcbf43926);
  t.end();
});

t.test('RFC 5769', (t) => {
  for (const name of ['request', 'responseIpv4', 'responseIpv6']) {
    t.ok(verified(Buffer.from(rfc5769[name]?.hex ?? '', 'hex')), name);
  }
  t.notOk(verified(Buffer.from(rfc5769['longTermRequest']?.hex ?? '', 'hex')), 'has none');
  t.end();
});

t.test('a flipped bit is found', (t) => {
  const builder = new StunBuilder(stunClass.request, stunMethod.Binding, new Uint8Array(12));
  addFingerprint(builder.text(stunAttribute.SOFTWARE, 'x'));
  const bytes = builder.take();
  t.ok(verified(bytes));
  for (let at = 8; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 0x80;
    t.notOk(verified(damaged), `byte ${String(at)}`);
  }
  t.end();
});
