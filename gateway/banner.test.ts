import t from 'tap';
import { TokenAuthority } from './auth.ts';
import { banner } from './banner.ts';
import { loadConfig } from './config.ts';
import type { EdgeInfo } from './edge.ts';
import { Secret } from './secret.ts';

const tokens = new TokenAuthority(new Secret('a secret of tests, with more than thirty-two bytes'));
const info: EdgeInfo = {
  engine: 'uws',
  port: 8443,
  udpPort: 8443,
  turnUdpPort: 3478,
  adminPort: 9090,
  certificatePin: 'pin=',
  tokens,
};
const machine = { hostName: 'pop1', addresses: ['127.0.0.1', '192.0.2.10'] };

function show(environment: Record<string, string>, started = info): Promise<string> {
  return banner(loadConfig({ environment, readFile: () => '', machine }), started, '1.2.3');
}

t.test('without configuration: a link that works', async (t) => {
  const text = await show({});
  t.match(text, 'Sallyport 1.2.3 is running (uWebSockets.js).');
  t.match(text, 'https://localhost:8443/\n');
  t.match(text, 'https://192.0.2.10:8443/');
  t.match(text, 'http://127.0.0.1:9090/metrics');
  t.match(text, 'UDP port 3478, TCP and TLS on port 8443');
  t.match(text, 'pin=');
  const [, token = ''] = /\?room=demo#token=([\w.-]+)$/m.exec(text) ?? [];
  t.match(await tokens.verifyJoinToken(token), { room: 'demo', can: ['publish', 'subscribe', 'data'] });
});

t.test('with a secret of its own, no token is printed', async (t) => {
  const text = await show({ SALLYPORT_SECRET: 'x'.repeat(32), SALLYPORT_PUBLIC_HOST: 'edge.example:443' });
  t.notMatch(text, 'token=');
  t.match(text, 'npx sallyport token --room');
  t.match(text, 'https://edge.example/ ');
});

t.test('open, and bound to one address', async (t) => {
  const open = await show({ SALLYPORT_HOST: 'localhost' });
  t.match(open, /OPEN MODE[^]*https:\/\/localhost:8443\/\?room=demo$/);
  t.notMatch(open, 'from elsewhere');
  const rest = { engine: 'node', turnUdpPort: 0, certificatePin: null } as const;
  const bound = await show({ SALLYPORT_HOST: '192.0.2.10' }, { ...info, ...rest });
  t.match(bound, 'https://192.0.2.10:8443/\n');
  t.match(bound, '(node:http)');
  t.match(bound, /TURN +TCP and TLS on port 8443/);
  t.notMatch(bound, 'localhost');
  t.notMatch(bound, 'pin');
});
