import fc from 'fast-check';
import t from 'tap';
import { messageBody, messageSequence, messageType, type HandshakeFragment } from './handshake-message.ts';
import { HandshakeReassembler } from './reassembler.ts';

function fragment(sequence: number, body: Uint8Array, offset = 0, bytes = body.length, type = 11): HandshakeFragment {
  return { type, length: body.length, sequence, offset, body: body.subarray(offset, offset + bytes) };
}

t.test('any fragments in any order, overlapping and doubled, give the messages in order, once', (t) => {
  const messages = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 6 });
  const cuts = fc.infiniteStream(fc.nat(1000));
  fc.assert(
    fc.property(messages, cuts, (bodies, dice) => {
      const roll = (sides: number) => Number(dice.next().value) % sides;
      const fragments = bodies.flatMap((body, sequence) => {
        const parts = [fragment(sequence, body, 0, Math.min(body.length, 7))];
        for (let offset = 5; offset < body.length; offset += 5)
          parts.push(fragment(sequence, body, offset, 5 + roll(9)));
        return [...parts, ...parts.filter(() => roll(3) === 0)];
      });
      for (let last = fragments.length - 1; last > 0; last--) {
        const other = roll(last + 1);
        const [a, b] = [fragments[last], fragments[other]];
        if (a !== undefined && b !== undefined) [fragments[last], fragments[other]] = [b, a];
      }
      const reassembler = new HandshakeReassembler();
      const out: Uint8Array[] = [];
      for (const part of fragments) {
        reassembler.add(part);
        for (let message = reassembler.take(); message !== null; message = reassembler.take()) out.push(message);
      }
      const isSame = (message: Uint8Array, index: number) =>
        messageSequence(message) === index &&
        messageType(message) === 11 &&
        Buffer.compare(messageBody(message), bodies[index] ?? Buffer.of(1)) === 0;
      return out.length === bodies.length && out.every(isSame);
    }),
  );
  t.end();
});

t.test('what is past is old, and what is far ahead is too much', (t) => {
  const reassembler = new HandshakeReassembler();
  const body = Buffer.from('body');
  t.equal(reassembler.add(fragment(0, body)), 'stored');
  t.equal(reassembler.add(fragment(0, body)), 'stored', 'not given out yet');
  t.ok(reassembler.take());
  t.equal(reassembler.add(fragment(0, body)), 'old');
  t.equal(reassembler.add(fragment(6, body)), 'stored');
  t.equal(reassembler.add(fragment(7, body)), 'overflow');
  t.equal(reassembler.take(), null);
  t.end();
});

t.test('memory is bounded', (t) => {
  const reassembler = new HandshakeReassembler();
  const giant = new Uint8Array(1 << 14);
  t.equal(reassembler.add(fragment(0, giant, 0, 1)), 'stored');
  t.equal(reassembler.add(fragment(1, giant, 0, 1)), 'stored');
  t.equal(reassembler.add(fragment(2, giant, 0, 1)), 'overflow');
  reassembler.rewind(0);
  t.equal(reassembler.add(fragment(2, giant, 0, 1)), 'stored');
  t.end();
});

t.test('a contradiction starts the message anew', (t) => {
  const reassembler = new HandshakeReassembler();
  const body = Buffer.from('the real message');
  reassembler.add(fragment(0, Buffer.from('forged'), 0, 3));
  reassembler.add(fragment(0, body, 0, 8));
  reassembler.add(fragment(0, body, 8, 8, 12));
  t.equal(reassembler.take(), null);
  reassembler.add(fragment(0, body, 8, 8));
  reassembler.add(fragment(0, body, 0, 8));
  t.same(messageBody(reassembler.take() ?? new Uint8Array(0)), body);
  t.end();
});

t.test('rewinding awaits a message again, and forgets what was held of it and later ones', (t) => {
  const reassembler = new HandshakeReassembler();
  for (const sequence of [0, 1, 2]) reassembler.add(fragment(sequence, Buffer.from(String(sequence))));
  reassembler.take();
  reassembler.take();
  reassembler.rewind(1);
  t.equal(reassembler.next, 1);
  t.equal(reassembler.take(), null);
  reassembler.add(fragment(1, Buffer.from('again')));
  t.same(messageBody(reassembler.take() ?? new Uint8Array(0)), Buffer.from('again'));
  t.equal(reassembler.take(), null);
  t.end();
});
