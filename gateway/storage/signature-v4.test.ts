/** The examples of AWS' own documentation of the header-based signature. */
import t from 'tap';
import { encodeForS3, sha256Hex, signedHeaders } from './signature-v4.ts';

const key = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
};
const at = Date.UTC(2013, 4, 24);
const signatureOf = (headers: Record<string, string>): string => headers['authorization']?.split('Signature=')[1] ?? '';

t.test('a part of an object', (t) => {
  const request = {
    method: 'GET',
    url: new URL('https://examplebucket.s3.amazonaws.com/test.txt'),
    headers: { range: 'bytes=0-9' },
    bodySha256: sha256Hex(''),
  };
  const headers = signedHeaders(request, key, at);
  t.equal(signatureOf(headers), 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41');
  t.match(headers['authorization'], /Credential=AKIAIOSFODNN7EXAMPLE\/20130524\/us-east-1\/s3\/aws4_request,/);
  t.end();
});

t.test('an object is put', (t) => {
  const request = {
    method: 'PUT',
    url: new URL('https://examplebucket.s3.amazonaws.com/test%24file.text'),
    headers: { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    bodySha256: sha256Hex('Welcome to Amazon S3.'),
  };
  t.equal(
    signatureOf(signedHeaders(request, key, at)),
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  );
  t.end();
});

t.test('a query without a value', (t) => {
  const url = new URL('https://examplebucket.s3.amazonaws.com/?lifecycle');
  const request = { method: 'GET', url, headers: {}, bodySha256: sha256Hex('') };
  t.equal(
    signatureOf(signedHeaders(request, key, at)),
    'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  );
  t.equal(encodeForS3("a b/c'(1)", true), 'a%20b/c%27%281%29');
  t.end();
});
