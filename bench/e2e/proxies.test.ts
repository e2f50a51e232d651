/** Node clients behind the proxies that companies run, against a real edge: CONNECT, Basic, Digest, and what is refused. */
import t from 'tap';
import type { Test } from 'tap';
import type { ClientError, NodeCall, NodeJoinOptions } from '../../client/index.ts';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import type { EdgeForTest } from './node-tools.ts';
import { proxiesMissing, startSquid, startTinyproxy } from './proxy-server.ts';
import type { ProxyServer } from './proxy-server.ts';

t.setTimeout(testTimeoutMs);

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const ada = { username: 'ada', password: 'l0ve: "lace"' };

interface Network extends EdgeForTest {
  readonly proxy: ProxyServer;
}

async function withProxy(t: Test, starting: Promise<ProxyServer>): Promise<Network> {
  const [proxy, network] = await Promise.all([starting, withEdge(t)]);
  t.teardown(() => proxy.close());
  return { ...network, proxy };
}

/** A call through the proxy, with media both ways; the other participant is beside the edge. */
async function callThrough(t: Test, { edge, joined, cleanUp }: Network, options: Partial<NodeJoinOptions>) {
  const inside = await joined(edge.url, { room: 'r', name: 'Ada', rungs: ['websocket'], ...options });
  const outside = await joined(edge.url, { room: 'r', name: 'Grace', rungs: ['udp'], proxy: false });
  const publish = async (call: NodeCall): Promise<void> => {
    const source = await publishClip(call);
    cleanUp(() => {
      source.stop();
    });
  };
  await Promise.all([publish(inside), publish(outside)]);
  const received = [inside, outside].flatMap((call) =>
    [mainVideo, mainAudio].map(async (mid) => packetsOf(await trackOf(call, mid), 30)),
  );
  await Promise.all(received);
  t.pass('media both ways');
  return inside;
}

async function refusalOf(joining: Promise<NodeCall>): Promise<ClientError> {
  try {
    await joining;
  } catch (error) {
    return error as ClientError;
  }
  throw new Error('it was not refused');
}

/** While the environment names these. */
async function withVariables<T>(variables: Readonly<Record<string, string>>, run: () => Promise<T>): Promise<T> {
  const before = new Map(Object.keys(variables).map((name) => [name, process.env[name]]));
  Object.assign(process.env, variables);
  try {
    return await run();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
  }
}

const skip = proxiesMissing;

t.test('squid, without a question', { skip }, async (t) => {
  const network = await withProxy(t, startSquid());
  const { edge, proxy, joined } = network;
  const call = await callThrough(t, network, { proxy: proxy.url });
  t.equal(call.rung, 'websocket');
  await call.leave();
  const dead = { HTTPS_PROXY: 'http://127.0.0.1:9', NO_PROXY: 'edge.example' };
  await withVariables({ ...dead, NO_PROXY: '127.0.0.0/8' }, () =>
    joined(edge.url, { room: 'r', rungs: ['websocket'] }),
  );
  const error = await withVariables(dead, () => refusalOf(joined(edge.url, { room: 'r' })));
  t.match(error, { code: 'proxy-unreachable', message: /127\.0\.0\.1:9/ });
});

t.test('tinyproxy with Basic, by the environment; ports that it does not open', { skip }, async (t) => {
  const auth = { scheme: 'basic', username: 'ada', password: 'lovelace' } as const;
  const network = await withProxy(t, startTinyproxy({ auth }));
  const { edge, proxy, joined } = network;
  const withUser = proxy.url.replace('//', '//ada:lovelace@');
  await withVariables({ HTTPS_PROXY: withUser }, () => callThrough(t, network, {}));
  const tunnels = (await proxy.log()).match(new RegExp(`CONNECT 127\\.0\\.0\\.1:${String(edge.port)} HTTP`, 'g'));
  t.ok((tunnels?.length ?? 0) >= 2, 'requests and the WebSocket went through it');
  t.match(await refusalOf(joined(edge.url, { room: 'r', proxy: proxy.url })), {
    code: 'proxy-auth-required',
    message: /offers Basic\)$/,
  });
  const narrow = await startTinyproxy({ connectPorts: [443] });
  t.teardown(() => narrow.close());
  t.match(await refusalOf(joined(edge.url, { room: 'r', proxy: narrow.url })), {
    code: 'proxy-refused',
    message: new RegExp(`CONNECT 127\\.0\\.0\\.1:${String(edge.port)} at .*HTTP 403`),
  });
});

t.test('squid with Digest: every connection proves itself, by nonces that wear out', { skip }, async (t) => {
  const network = await withProxy(t, startSquid({ auth: { scheme: 'digest', ...ada, nonceUses: 2 } }));
  const { edge, proxy, joined } = network;
  const options = { proxy: { url: proxy.url, ...ada } };
  await callThrough(t, network, options);
  // More connections than a nonce allows, and of every kind.
  for (const rung of ['turn-tls', 'turn-tcp', 'ice-tcp', 'http-stream', 'long-poll'] as const) {
    const call = await joined(edge.url, { room: rung, rungs: [rung], ...options });
    t.equal(call.rung, rung);
    await call.leave();
  }
  for (const proxyOption of [{ url: proxy.url, username: 'ada', password: 'guess' }, proxy.url]) {
    const error = await refusalOf(joined(edge.url, { room: 'r', proxy: proxyOption }));
    t.match(error, { code: 'proxy-auth-required', message: /offers Digest/ });
    t.equal(/not accepted/.test(error.message), proxyOption !== proxy.url);
  }
});

t.test('squid with Basic; a destination that it cannot reach', { skip }, async (t) => {
  const network = await withProxy(t, startSquid({ auth: { scheme: 'basic', ...ada } }));
  const { proxy, joined } = network;
  const options = { proxy: { url: proxy.url, ...ada } };
  await callThrough(t, network, options);
  t.match(await refusalOf(joined('https://127.0.0.1:9', { room: 'r', ...options })), {
    code: 'proxy-refused',
    message: /CONNECT 127\.0\.0\.1:9 at .*HTTP 503/,
  });
});

t.test('the address of the edge is http://: the session is asked for without CONNECT', { skip }, async (t) => {
  const { edge, proxy, joined } = await withProxy(t, startSquid({ auth: { scheme: 'digest', ...ada } }));
  const url = edge.url.replace('https:', 'http:');
  const options = { proxy: { url: proxy.url, ...ada } };
  const call = await joined(url, { room: 'r', rungs: ['websocket'], ...options });
  t.equal(call.rung, 'websocket');
  t.match(await proxy.log(), `TCP_MISS/201`);
  t.match(await proxy.log(), `POST ${url}/v1/sessions`);
  t.match(await refusalOf(joined(url, { room: 'r', proxy: proxy.url })), {
    code: 'proxy-auth-required',
    message: /offers Digest/,
  });
  t.match(await refusalOf(joined('http://127.0.0.1:9', { room: 'r', ...options })), {
    code: 'proxy-refused',
    message: /POST http:\/\/127\.0\.0\.1:9 at .*HTTP 503/,
  });
});
