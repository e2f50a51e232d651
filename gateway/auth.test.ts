import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { SignJWT } from 'jose';
import t from 'tap';
import { TokenAuthority, type JoinGrant } from './auth.ts';
import { isName, isRoomName } from './names.ts';
import { Secret } from './secret.ts';

const text = 'a secret of more than thirty-two bytes';
const nowMs = 1_800_000_000_000;
const authority = new TokenAuthority(new Secret(text), () => nowMs);
const grant: JoinGrant = {
  identity: 'ada',
  room: 'standup',
  name: 'Ada Lovelace',
  can: ['publish', 'subscribe'],
  hidden: false,
};
const key = new TextEncoder().encode(text);
const claims = { sub: 'ada', room: 'standup', can: ['publish'], exp: nowMs / 1000 + 60 };

function sign(payload: object, alg = 'HS256', signingKey = key): Promise<string> {
  return new SignJWT({ ...payload }).setProtectedHeader({ alg }).sign(signingKey);
}

t.test('what is issued is accepted, by any JWT library as well', async (t) => {
  t.same(await authority.verifyJoinToken(await authority.issueJoinToken(grant, 60)), grant);
  const admin: JoinGrant = { identity: null, room: '*', name: null, can: ['admin'], hidden: true };
  t.same(await authority.verifyJoinToken(await authority.issueJoinToken(admin, 60)), admin);

  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ ...claims, nbf: 1, jti: 'x', record: false })}`;
  const byHand = `${input}.${createHmac('sha256', text).update(input).digest('base64url')}`;
  t.match(await authority.verifyJoinToken(byHand), { identity: 'ada', room: 'standup', can: ['publish'], name: null });
});

t.test('what is refused, and why', async (t) => {
  const refused: Record<string, [string, string]> = {
    garbage: ['abc', 'token-invalid'],
    empty: ['', 'token-invalid'],
    'too long': [await sign({ ...claims, pad: 'x'.repeat(5000) }), 'token-invalid'],
    'another secret': [
      await sign(claims, 'HS256', new TextEncoder().encode('other secret of thirty-two bytes!')),
      'token-invalid',
    ],
    'another algorithm': [await sign(claims, 'HS512', new TextEncoder().encode(text.repeat(2))), 'token-invalid'],
    expired: [await sign({ ...claims, exp: nowMs / 1000 - 6 }), 'token-expired'],
    'not yet valid': [await sign({ ...claims, nbf: nowMs / 1000 + 60 }), 'token-invalid'],
    'no expiry': [await sign({ ...claims, exp: undefined }), 'token-invalid'],
    'no room': [await sign({ ...claims, room: undefined }), 'token-invalid'],
    'no permissions': [await sign({ ...claims, can: undefined }), 'token-invalid'],
    'unknown permission': [await sign({ ...claims, can: ['fly'] }), 'token-invalid'],
    'every room, but no administrator': [await sign({ ...claims, room: '*' }), 'token-invalid'],
    'bad name': [await sign({ ...claims, name: 'a\u0000b' }), 'token-invalid'],
    'bad identity': [await sign({ ...claims, sub: '' }), 'token-invalid'],
    'bad hidden': [await sign({ ...claims, hidden: 'yes' }), 'token-invalid'],
    recording: [await sign({ ...claims, record: 'yes' }), 'token-invalid'],
    upstream: [await sign({ ...claims, upstream: 'sfu.example:5000' }), 'token-invalid'],
    'no upstream': [await sign({ ...claims, upstream: [] }), 'token-invalid'],
    'a resume token': [authority.issueResumeToken({ session: 's', room: 'r', node: 'n', epoch: 1 }), 'token-invalid'],
  };
  for (const [name, [token, code]] of Object.entries(refused)) {
    t.match(await authority.verifyJoinToken(token), { code }, name);
  }
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;
  t.match(await authority.verifyJoinToken(unsigned), { code: 'token-invalid' }, 'alg none');
  t.match(
    await authority.verifyJoinToken(await sign({ ...claims, exp: nowMs / 1000 - 4 })),
    { room: 'standup' },
    'tolerance',
  );
});

t.test('resume tokens', async (t) => {
  const resume = { session: 's-1', room: 'räum', node: 'pop1', epoch: 7 };
  const token = authority.issueResumeToken(resume);
  t.match(token, /^[A-Za-z0-9._-]+$/, 'needs no quoting anywhere');
  t.same(authority.verifyResumeToken(token), resume);
  t.equal(new TokenAuthority(new Secret('other')).verifyResumeToken(token), null);
  t.equal(authority.verifyResumeToken(await authority.issueJoinToken(grant, 60)), null);
  const at = fc.nat(token.length - 1);
  fc.assert(
    fc.property(at, fc.string({ minLength: 1, maxLength: 1, unit: 'grapheme-ascii' }), (index, letter) => {
      const changed = token.slice(0, index) + letter + token.slice(index + 1);
      // The last letter of a seal has bits that mean nothing.
      return index === token.length - 1 || changed === token || authority.verifyResumeToken(changed) === null;
    }),
  );
  fc.assert(fc.property(fc.string(), (garbage) => authority.verifyResumeToken(garbage) === null));
  t.equal(authority.verifyResumeToken('x'.repeat(5000)), null);
});

t.test('names', (t) => {
  for (const good of ['standup', 'Ada Lovelace', '日本語', 'a/b', '👩‍💻']) t.ok(isName(good), good);
  for (const bad of ['', ' a', 'a ', 'a\nb', '\u202eabc', 'x'.repeat(65), '\ud800'])
    t.notOk(isName(bad), JSON.stringify(bad));
  t.ok(isName('*') && !isRoomName('*'));
  t.end();
});
