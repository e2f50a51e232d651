import { randomBytes } from 'node:crypto';
import t from 'tap';
import { nativeCurve25519, useNativeCurve25519, weriftCurve25519 } from './native-handshake.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const theirs = weriftCurve25519();
// As they were before anything was changed.
const scalarMult = theirs.scalarMult.bind(theirs);
const keyPair = theirs.box.keyPair.bind(theirs.box);

t.test("the same secrets as werift's own X25519", (t) => {
  for (let i = 0; i < 20; i++) {
    const ours = nativeCurve25519.box.keyPair();
    const other = keyPair();
    t.equal(ours.publicKey.buffer.byteLength, 32);
    t.equal(ours.secretKey.buffer.byteLength, 32);
    const shared = hex(scalarMult(other.secretKey, ours.publicKey));
    t.equal(hex(nativeCurve25519.scalarMult(ours.secretKey, other.publicKey)), shared);
    t.equal(hex(nativeCurve25519.scalarMult(other.secretKey, ours.publicKey)), shared);
  }
  const secret = randomBytes(32);
  const base = new Uint8Array(32);
  base[0] = 9;
  t.equal(
    hex(nativeCurve25519.scalarMult(secret, base)),
    hex(scalarMult(secret, base)),
    'RFC 7748: from the base point',
  );
  t.throws(() => nativeCurve25519.scalarMult(secret, new Uint8Array(32)), 'a point of low order');
  t.end();
});

t.test('werift takes it', (t) => {
  useNativeCurve25519();
  useNativeCurve25519();
  t.equal(weriftCurve25519().scalarMult, nativeCurve25519.scalarMult);
  t.equal(weriftCurve25519().box.keyPair, nativeCurve25519.box.keyPair);
  t.end();
});
