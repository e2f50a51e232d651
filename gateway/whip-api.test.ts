/** WHIP and WHEP as HTTP: every status that RFC 9725 names, on both engines and on HTTP/2. */
import { connect } from 'node:http2';
import t, { type Test } from 'tap';
import type { JoinGrant } from './auth.ts';
import { https, type TestReply } from './testing/https-client.ts';
import { startTestEdge, type TestEdge } from './testing/test-edge.ts';
import { iceFragment, whipOffer } from './testing/whip-offer.ts';

t.setTimeout(115_000);

const sdp = 'application/sdp';
const fragment = 'application/trickle-ice-sdpfrag';
const origin = 'https://app.example';

type Ask = (
  method: string,
  path: string,
  headers?: Readonly<Record<string, string>>,
  body?: string,
) => Promise<TestReply>;

function token(edge: TestEdge, can: JoinGrant['can'], room = 'stage'): Promise<string> {
  return edge.tokens.issueJoinToken({ identity: null, room, name: null, can, hidden: false }, 60);
}

function code(reply: TestReply): string {
  const { code, status, detail } = JSON.parse(reply.body) as { code: string; status: number; detail: string };
  const whole = status === reply.status && reply.headers['content-type'] === 'application/problem+json';
  return whole && /[.?]$/.test(detail) ? code : reply.body;
}

/** What a whole session answers, step by step. */
async function livesAndEnds(t: Test, edge: TestEdge, ask: Ask): Promise<void> {
  const authorization = `Bearer ${await token(edge, ['publish'])}`;
  const opened = await ask('POST', '/whip/stage', { 'content-type': sdp, authorization }, whipOffer('sendonly'));
  t.match(opened, {
    status: 201,
    headers: {
      'content-type': sdp,
      etag: /^"[\w+/]+"$/,
      location: /^\/whip\/stage\/[\w.-]+$/,
      link: /^<turn:[^>]+>; rel="ice-server"; username="[^"]+"; credential="[^"]+"; credential-type="password", <turns:/,
    },
    body: /a=group:BUNDLE v a\r\n[^]*a=recvonly\r\n/,
  });
  const { etag = '', location = '' } = opened.headers as Record<string, string>;
  const patch = (ifMatch: string | null, body: string, type = fragment, by = authorization): Promise<TestReply> => {
    const precondition = ifMatch === null ? {} : { 'if-match': ifMatch };
    return ask('PATCH', location, { 'content-type': type, authorization: by, ...precondition }, body);
  };
  t.equal(code(await patch(etag, iceFragment('abcd'), sdp)), 'unsupported-media-type');
  t.match(await patch(null, iceFragment('abcd')), { status: 428, body: /"if-match-missing"/ });
  t.match(await patch('"other"', iceFragment('abcd')), { status: 412, body: /"ice-session-changed"/ });
  t.match(await patch(`W/${etag}`, iceFragment('abcd')), { status: 412 }, 'a weak tag matches nothing');
  t.match(await patch(etag, 'a=ice-ufrag:abcd\r\n'), { status: 400, body: /"bad-fragment".*ice-pwd/ });
  const trickled = await patch(`"other", ${etag}`, iceFragment('abcd'));
  t.match(trickled, { status: 204, body: '', headers: { etag: undefined } });

  const restarted = await patch('*', iceFragment('efgh'));
  t.match(restarted, {
    status: 200,
    headers: { 'content-type': fragment, etag: /^"[\w+/]+"$/ },
    body: /^a=ice-lite\r\n[^]*m=video 9 UDP\/TLS\/RTP\/SAVPF 96\r\na=mid:v\r\na=ice-ufrag:[^]*a=candidate:1 /,
  });
  t.not(restarted.headers['etag'], etag);
  t.equal((await patch(etag, iceFragment('efgh'))).status, 412, 'the earlier ICE session is over');
  t.equal((await patch('"*"', iceFragment('efgh'))).status, 204);

  t.equal((await ask('GET', location, { authorization })).status, 204);
  t.equal(code(await ask('DELETE', location)), 'token-missing');
  t.equal(code(await ask('DELETE', location, { authorization: `Bearer ${await token(edge, ['publish'], 'x')}` })), 'not-permitted'); // prettier-ignore
  t.equal(code(await ask('PUT', location, { authorization })), 'method-not-allowed');
  t.match(await ask('DELETE', location, { authorization }), { status: 200, body: '' });
  t.equal(code(await ask('DELETE', location, { authorization })), 'session-unknown');
  t.equal(code(await patch('*', iceFragment('ijkl'))), 'session-unknown');
  t.equal(code(await ask('DELETE', location.replace('/whip/', '/whep/'), { authorization })), 'session-unknown');
}

for (const engine of ['uws', 'node'] as const) {
  t.test(`a session on ${engine}`, async (t) => {
    const edge = await startTestEdge(t, { environment: { SALLYPORT_ENGINE: engine } });
    await livesAndEnds(t, edge, (method, path, headers = {}, body = '') =>
      https(edge.port, { method, path, headers, body }),
    );
  });
}

t.test('a session on HTTP/2', async (t) => {
  const edge = await startTestEdge(t);
  const session = connect(`https://127.0.0.1:${String(edge.port)}`, { rejectUnauthorized: false });
  t.teardown(() => {
    session.destroy();
  });
  await livesAndEnds(t, edge, (method, path, headers = {}, body = '') => {
    const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === '' });
    return new Promise((resolve, reject) => {
      let answer: Record<string, unknown> = {};
      const chunks: Buffer[] = [];
      stream.on('response', (got) => (answer = got));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () => {
        const { ':status': status, ...rest } = answer;
        resolve({
          status: Number(status),
          headers: rest as TestReply['headers'],
          body: Buffer.concat(chunks).toString(),
        });
      });
      if (body !== '') stream.end(body);
    });
  });
});

t.test('offers that are refused, and what endpoints say of themselves', async (t) => {
  const edge = await startTestEdge(t, {
    environment: { SALLYPORT_ORIGINS: origin },
    limits: { sessions: { burst: 22, perSecond: 0.001 }, maxParticipantsPerRoom: 1 },
  });
  const good = await token(edge, ['publish', 'subscribe']);
  const post = (path: string, headers: Readonly<Record<string, string>> = {}, body = whipOffer('sendonly')) =>
    https(edge.port, {
      method: 'POST',
      path,
      headers: { 'content-type': sdp, authorization: `Bearer ${good}`, ...headers },
      body,
    });
  const listener = `Bearer ${await token(edge, ['subscribe'])}`;
  for (const [path, headers, body, expected] of [
    ['/whip/stage', { authorization: '' }, undefined, 'token-missing'],
    ['/whip/stage', { authorization: 'Bearer x' }, undefined, 'token-invalid'],
    ['/whip/other', {}, undefined, 'room-mismatch'],
    ['/whip/stage', { authorization: listener }, undefined, 'not-permitted'],
    ['/whip/%07', {}, undefined, 'not-found'],
    ['/whip/stage', { 'content-type': 'text/plain' }, undefined, 'unsupported-media-type'],
    ['/whip/stage', { accept: 'application/json' }, undefined, 'not-acceptable'],
    ['/whip/stage?name=%07', {}, undefined, 'bad-request'],
    ['/whip/stage', {}, 'hello', 'bad-offer'],
    ['/whip/stage', {}, whipOffer('recvonly'), 'offer-unsupported'],
    ['/whep/stage', {}, whipOffer('sendonly'), 'offer-unsupported'],
    ['/whip/stage', {}, 'x'.repeat(65_537), 'payload-too-large'],
  ] as const) {
    const reply = await post(path, headers, body);
    t.equal(code(reply), expected, `${path} ${JSON.stringify(headers)} ${(body ?? '').slice(0, 10)}`);
    t.equal(reply.headers['www-authenticate'], reply.status === 401 ? 'Bearer' : undefined);
  }
  const opened = await post('/whep/stage', { accept: 'text/html, application/*', origin }, whipOffer('recvonly'));
  t.match(opened, {
    status: 201,
    headers: { 'access-control-allow-origin': origin, 'access-control-expose-headers': /etag.*link.*location/ },
    body: /a=sendonly\r\n/,
  });
  t.match(await post('/whip/stage'), { status: 503, body: /"room-full"/ });

  const options = (path: string): Promise<TestReply> =>
    https(edge.port, { method: 'OPTIONS', path, headers: { origin, 'access-control-request-method': 'POST' } });
  t.match(await options('/whip/stage'), {
    status: 200,
    headers: { 'accept-post': sdp, 'access-control-allow-methods': /POST/, 'access-control-allow-headers': /if-match/ },
  });
  const { location = '' } = opened.headers as Record<string, string>;
  t.match(await options(location), {
    status: 200,
    headers: { 'accept-patch': fragment, 'access-control-allow-methods': /PATCH.*DELETE/ },
  });
  t.match(await https(edge.port, { method: 'HEAD', path: '/whep/stage' }), {
    status: 200,
    headers: { 'content-type': sdp },
    body: '',
  });
  t.match(await https(edge.port, { method: 'PUT', path: '/whep/stage' }), { status: 405, headers: { allow: /POST/ } });

  let last = await post('/whip/stage');
  for (let i = 0; i < 10 && last.status !== 429; i++) last = await post('/whip/stage');
  t.match(last, { status: 429, headers: { 'retry-after': '2' } }, 'the limit is that of all sessions');
});
