import fc from 'fast-check';
import t from 'tap';
import { stunAttribute, stunClass, stunMethod } from './registry.ts';
import { StunBuilder } from './stun-builder.ts';
import { decodeStun, maxStunBytes } from './stun-message.ts';
import type { StunClass } from './registry.ts';

const id = Uint8Array.from({ length: 12 }, (_, i) => i);

t.test('what is written is read back', (t) => {
  const attribute = fc.record({
    // Integrity and fingerprint have rules of their own.
    type: fc.nat(0xffff).filter((type) => ![0x0008, 0x001c, 0x8028].includes(type)),
    value: fc.uint8Array({ maxLength: 120 }),
  });
  const message = fc.record({
    messageClass: fc.constantFrom<StunClass>(0, 1, 2, 3),
    method: fc.nat(0xfff),
    attributes: fc.array(attribute, { maxLength: 12 }),
  });
  fc.assert(
    fc.property(message, ({ messageClass, method, attributes }) => {
      const builder = new StunBuilder(messageClass, method, id);
      for (const { type, value } of attributes) builder.attribute(type, value);
      const read = decodeStun(builder.take());
      if (typeof read === 'string') throw new Error(read);
      if (read.messageClass !== messageClass || read.method !== method) throw new Error('type');
      let at = read.first();
      for (const { type, value } of attributes) {
        if (read.typeAt(at) !== type || Buffer.compare(read.valueAt(at), value) !== 0) throw new Error('attribute');
        at = read.after(at);
      }
      if (at !== -1) throw new Error('more than was written');
    }),
  );
  t.end();
});

t.test('the type field interleaves class and method (RFC 8489 section 5)', (t) => {
  const type = (messageClass: StunClass, method: number): string =>
    Buffer.from(new StunBuilder(messageClass, method, id).take().subarray(0, 2)).toString('hex');
  t.equal(type(stunClass.request, stunMethod.Binding), '0001');
  t.equal(type(stunClass.indication, stunMethod.Send), '0016');
  t.equal(type(stunClass.success, stunMethod.Allocate), '0103');
  t.equal(type(stunClass.error, stunMethod.ChannelBind), '0119');
  t.equal(type(stunClass.error, 0xfff), '3fff');
  t.end();
});

t.test('padding is zero', (t) => {
  const bytes = new StunBuilder(stunClass.request, 1, id).text(stunAttribute.SOFTWARE, 'a').take();
  t.equal(Buffer.from(bytes.subarray(20)).toString('hex'), '8022000161000000');
  t.end();
});

t.test('misuse throws', (t) => {
  t.throws(() => new StunBuilder(stunClass.request, 1, new Uint8Array(11)), RangeError);
  const full = new StunBuilder(stunClass.request, 1, id).attribute(stunAttribute.DATA, new Uint8Array(2024));
  t.equal(full.take().length, maxStunBytes);
  t.throws(() => full.flag(stunAttribute.USE_CANDIDATE), RangeError);
  t.end();
});
