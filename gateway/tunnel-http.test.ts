/** The HTTP tunnels against a real edge and SFU: all three servers, both carriers, text and binary. Long for that reason. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import t, { type Test } from 'tap';
import { closeCodes, encodeFrame, exchangeQuery, type ExchangeHeader } from '../tunnel-protocol/index.ts';
import { ExchangeTunnel, type ExchangeTunnelOptions } from './testing/exchange-tunnel.ts';
import { https, openWebSocket } from './testing/https-client.ts';
import { openSession, startTestEdge, tunnelProtocols, type TestEdge } from './testing/test-edge.ts';

const poll = '/tunnel/v1/poll';
const stream = '/tunnel/v1/stream';

type Carrying = Omit<ExchangeTunnelOptions, 'port' | 'resumeToken'>;

const carryings: Record<string, Carrying> = {
  'long-poll, HTTP/1.1': { carrier: 'long-poll' },
  'long-poll, h2': { carrier: 'long-poll', h2: true, polls: 2, posts: 4 },
  'long-poll as text': { carrier: 'long-poll', text: 'base64' },
  'long-poll as simple requests': { carrier: 'long-poll', text: 'simple' },
  'http-stream, HTTP/1.1': { carrier: 'http-stream' },
  'http-stream, h2, posts': { carrier: 'http-stream', h2: true, posts: 4 },
  'http-stream, h2, streamed upload': { carrier: 'http-stream', h2: true, streamUpload: true },
};

async function open(t: Test, edge: TestEdge, carrying: Carrying): Promise<{ tunnel: ExchangeTunnel; token: string }> {
  const { resumeToken } = await openSession(edge);
  const tunnel = new ExchangeTunnel({ ...carrying, port: edge.port, resumeToken });
  t.teardown(() => {
    tunnel.destroy();
  });
  return { tunnel, token: resumeToken };
}

/** Sends a request of the signalling and waits for its reply. */
async function ask(tunnel: ExchangeTunnel, id: number, body: object): Promise<{ ok: boolean; body: object }> {
  tunnel.sendText(JSON.stringify({ ...body, id }));
  for (;;) {
    const { text } = await tunnel.event('message');
    const reply = JSON.parse(text) as { type: string; id: number; ok: boolean; body: object };
    if (reply.type === 'reply' && reply.id === id) return reply;
  }
}

function header(fields: Partial<ExchangeHeader> = {}): ExchangeHeader {
  const connection = '0123456789abcdef';
  return { flags: 1, close: 0, connection, generation: 1, exchange: 1, oldest: 1, first: 1, ack: 0, holdMs: 0, gatherMs: 20, ...fields }; // prettier-ignore
}

for (const engine of ['auto', 'node'] as const) {
  t.test(`engine ${engine}`, async (t) => {
    const edge = await startTestEdge(t, { environment: { SALLYPORT_ENGINE: engine } });

    for (const [name, carrying] of Object.entries(carryings)) {
      if (engine === 'node' && carrying.h2 === true) continue;
      t.test(name, async (t) => {
        const { tunnel } = await open(t, edge, carrying);
        t.match(await ask(tunnel, 1, { type: 'join' }), { ok: true, body: { of: 'join' } });
        const status = { hand: true, mood: 'x'.repeat(600) };
        for (let id = 2; id < 12; id++) {
          t.match(await ask(tunnel, id, { type: 'status', status }), { ok: true });
          if (id % 3 === 0) tunnel.breakAll();
        }
        t.ok((await tunnel.event('round-trip')).ms >= 0);
        t.equal(tunnel.seen.filter(({ type }) => type === 'closed').length, 0, 'all on one connection');
        t.strictSame(tunnel.failures, []);
        t.match(await ask(tunnel, 20, { type: 'leave' }), { ok: true }, 'the reply comes before the end');
        t.match(await tunnel.event('closed'), { wire: closeCodes.normal.wire });
      });
    }

    t.test('a session moves from one connection to another, whatever carries it', async (t) => {
      const { tunnel, token } = await open(t, edge, { carrier: 'long-poll' });
      await ask(tunnel, 1, { type: 'join' });
      const endpoint = tunnel.release();
      const options = { port: edge.port, resumeToken: token, generation: 2, endpoint } as const;
      const second = new ExchangeTunnel({ ...options, carrier: 'http-stream' });
      t.teardown(() => {
        second.destroy();
      });
      await second.event('welcome');
      t.match(await tunnel.event('closed'), { wire: closeCodes.replaced.wire });
      t.match(await ask(second, 2, { type: 'status', status: {} }), { ok: true });
      const late = await exchange(edge, token, { generation: 1, connection: 'ffffffffffffffff' });
      t.equal(late.readUInt16BE(2 + 2), closeCodes.replaced.wire, 'an older one comes too late');
      t.match(await ask(second, 3, { type: 'status', status: {} }), { ok: true });
      const socket = await openWebSocket(edge.port, '/tunnel/v1/ws', tunnelProtocols(token));
      second.release().connected(0);
      socket.ws.send(encodeFrame(endpoint.nextOutput(0) ?? new Uint8Array(0)));
      t.match(await second.event('closed'), { wire: closeCodes.replaced.wire });
      socket.ws.terminate();
    });

    t.test('who is not let in', async (t) => {
      const { resumeToken } = await openSession(edge);
      const authorization = `Bearer ${resumeToken}`;
      const query = exchangeQuery(header());
      const get = async (path: string, headers: Record<string, string>, method = 'GET', body = ''): Promise<string> => {
        const reply = await https(edge.port, { method, path, headers, body });
        if (reply.status === 200) return '200';
        return `${String(reply.status)} ${(JSON.parse(reply.body) as { code: string }).code}`;
      };
      for (const route of [poll, stream]) {
        t.equal(await get(`${route}?${query}`, {}), '401 token-missing');
        t.equal(await get(`${route}?${query}`, { authorization: 'Bearer x' }), '401 token-invalid');
        t.equal(await get(`${route}?x=00`, { authorization }), '400 bad-request');
        t.equal(await get(route, { authorization }), '400 bad-request');
        t.equal(
          await get(`${route}?${query}`, { authorization, origin: 'https://evil.example' }),
          '403 origin-not-allowed',
        );
        t.equal(await get(`${route}?${query}`, { authorization }, 'PUT'), '405 method-not-allowed');
        t.equal(await get(`${route}?${query}`, {}, 'POST', 'x'), '401 token-missing');
      }
      const text = { 'content-type': 'text/plain' };
      t.equal(await get(`${poll}?${query}`, text, 'POST', 'AAAA'), '401 token-missing', 'text without a token');
      t.equal(await get(`${poll}?${query}`, text, 'POST', 'x\nAAAA'), '401 token-invalid');
      t.equal(
        await get(`${poll}?${query}`, text, 'POST', `${'x'.repeat(5000)}\n`),
        '401 token-missing',
        'a token without end',
      );
      t.equal(await get(`${poll}?${query}`, text, 'POST', `${resumeToken}\n!`), '400 bad-request');
      t.equal(
        await get(`${stream}?${query}`, text, 'POST', `${resumeToken}\n`),
        '401 token-missing',
        'not for streams',
      );
      const big = 'A'.repeat(100_000);
      t.equal(await get(`${poll}?${query}`, { authorization }, 'POST', big), '413 payload-too-large');
      t.equal(await get(`${poll}?${query}`, text, 'POST', `${resumeToken}\n${big}`), '413 payload-too-large');
      const notFresh = await exchange(edge, resumeToken, { flags: 0 });
      t.equal(notFresh.readUInt16BE(4), closeCodes.idle.wire, 'a connection that nobody knows');
      const gone = edge.tokens.issueResumeToken({ session: 'gone', room: 'standup', node: 'pop1', epoch: 1 });
      t.equal(await get(`${poll}?${query}`, { authorization: `Bearer ${gone}` }), '404 session-unknown');
    });

    t.test('answers are not to be kept, nor to be read by other origins', async (t) => {
      const { resumeToken } = await openSession(edge);
      const headers = { authorization: `Bearer ${resumeToken}` };
      const reply = await https(edge.port, { method: 'POST', path: `${poll}?${exchangeQuery(header())}`, headers });
      t.match(reply.headers, {
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        'content-type': 'application/octet-stream',
        vary: 'origin',
      });
      t.notOk(reply.headers['access-control-allow-origin']);
    });

    t.test('what breaks the protocol ends the connection', async (t) => {
      const bodies = { garbage: Buffer.alloc(100, 0xab), 'an empty frame': Buffer.alloc(2) };
      for (const route of [poll, stream]) {
        for (const [name, body] of Object.entries(bodies)) {
          const { resumeToken } = await openSession(edge);
          const answer = await exchange(edge, resumeToken, {}, route, body);
          t.equal(answer.readUInt16BE(4), closeCodes['protocol-error'].wire, `${route}: ${name}`);
        }
      }
      const { resumeToken } = await openSession(edge);
      await exchange(edge, resumeToken, {}, poll);
      const other = await exchange(edge, resumeToken, { exchange: 2 }, stream);
      t.equal(other.readUInt16BE(4), closeCodes['protocol-error'].wire, 'one connection on two routes');
    });

    t.test('a body of single bytes', async (t) => {
      const { resumeToken } = await openSession(edge);
      const frames = encodeFrame(Uint8Array.of(0xf0, 1, 0, 0, 0, 0, 0, 0));
      for (const [route, exchangeNumber] of [
        [poll, 1],
        [stream, 1],
      ] as const) {
        const connection = route === poll ? '00000000000000aa' : '00000000000000bb';
        const outgoing = request({
          host: '127.0.0.1', port: edge.port, rejectUnauthorized: false, method: 'POST', agent: false,
          path: `${route}?${exchangeQuery(header({ connection, exchange: exchangeNumber, generation: route === poll ? 1 : 2 }))}`,
          headers: { authorization: `Bearer ${resumeToken}`, 'transfer-encoding': 'chunked' },
        }); // prettier-ignore
        outgoing.setNoDelay(true);
        for (const byte of frames) {
          outgoing.write(Uint8Array.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        outgoing.end();
        const answer = await answerOf(outgoing);
        t.equal(answer.readUInt32BE(2 + 28), 1, `${route}: the frame is acknowledged`);
      }
    });
  });
}

t.test('origins: preflight, simple requests', async (t) => {
  const origin = 'https://app.example';
  const edge = await startTestEdge(t, { environment: { SALLYPORT_ORIGINS: origin } });
  const { resumeToken } = await openSession(edge);
  const preflight = await https(edge.port, { method: 'OPTIONS', path: `${stream}?x=1`, headers: { origin } });
  t.match(preflight, {
    status: 204,
    headers: { 'access-control-allow-origin': origin, 'access-control-allow-headers': /authorization/ },
  });
  const simple = await https(edge.port, {
    method: 'POST',
    path: `${poll}?${exchangeQuery(header())}`,
    headers: { origin, 'content-type': 'text/plain;charset=UTF-8', accept: 'text/plain' },
    body: `${resumeToken}\n`,
  });
  t.match(simple, { status: 200, headers: { 'access-control-allow-origin': origin, 'content-type': 'text/plain' } });
});

t.test('h2: a streamed upload is answered as soon as the connection ends', async (t) => {
  const edge = await startTestEdge(t);
  const { resumeToken } = await openSession(edge);
  const session = connectHttp2(`https://127.0.0.1:${String(edge.port)}`, { rejectUnauthorized: false });
  t.teardown(() => {
    session.destroy();
  });
  const upload = session.request({
    ':method': 'POST',
    ':path': `${stream}?${exchangeQuery(header())}`,
    authorization: `Bearer ${resumeToken}`,
  });
  upload.on('error', () => undefined);
  upload.write(Buffer.alloc(64, 0xff));
  const [head] = (await once(upload, 'response')) as [Record<string, number>];
  t.equal(head[':status'], 200);
  const chunks: Buffer[] = [];
  for await (const chunk of upload) chunks.push(chunk as Buffer);
  t.equal(Buffer.concat(chunks).readUInt16BE(4), closeCodes['protocol-error'].wire);
});

t.test('an idle edge closes its tunnels when it stops', async (t) => {
  const edge = await startTestEdge(t);
  for (const carrier of ['long-poll', 'http-stream'] as const) {
    const { tunnel } = await open(t, edge, { carrier });
    await ask(tunnel, 1, { type: 'join' });
    if (carrier === 'long-poll') continue;
    await edge.edge.close();
    t.match(await tunnel.event('closed'), { wire: closeCodes.draining.wire });
  }
});

t.test('the session says where to find them', async (t) => {
  const edge = await startTestEdge(t);
  const { tunnel } = await openSession(edge);
  const at = `https://127.0.0.1:${String(edge.port)}`;
  t.match(tunnel, { httpStream: `${at}${stream}`, longPoll: `${at}${poll}` });
});

/** One POST of frames; the whole answer. */
async function exchange(
  edge: TestEdge,
  resumeToken: string,
  fields: Partial<ExchangeHeader>,
  route = poll,
  body: Buffer = Buffer.alloc(0),
): Promise<Buffer> {
  const outgoing = request({
    host: '127.0.0.1',
    port: edge.port,
    rejectUnauthorized: false,
    agent: false,
    method: 'POST',
    path: `${route}?${exchangeQuery(header(fields))}`,
    headers: { authorization: `Bearer ${resumeToken}`, 'content-length': String(body.length) },
  });
  outgoing.end(body);
  return answerOf(outgoing);
}

async function answerOf(outgoing: ReturnType<typeof request>): Promise<Buffer> {
  const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
