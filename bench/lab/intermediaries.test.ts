/** The programs on the router do to HTTP what their profiles say, seen from the client's namespace. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { makeCompanyCertificate } from './company-certificate.ts';
import { connectProxy } from './connect-proxies.ts';
import { routerAddress, type Intermediary, type StartIntermediary } from './intermediary.ts';
import { labMissing, missingNeed } from './lab-missing.ts';
import { edgeAddress, withNamespaces, type Lab } from './namespaces.ts';
import { forwardRules } from './profile.ts';
import { noUpgrade, textOnly } from './profiles/tls-inspect.ts';
import { bufferingHop, haproxyHop, secondsOf, tlsHopRules } from './tls-hop.ts';

t.setTimeout(110_000);

const skip = labMissing || (process.env['CI'] !== 'true' && missingNeed(['squid', 'haproxy', 'nginx', 'openssl']));

/** An HTTPS server in the place of the edge. */
const server = `
const { readFileSync } = require('node:fs');
const [cert, key] = process.argv.slice(1).map((file) => readFileSync(file));
let streaming = null;
const server = require('node:https').createServer({ cert, key }, (request, response) => {
  request.resume();
  if (request.url === '/binary') response.setHeader('content-type', 'application/octet-stream');
  if (request.url === '/stream') { response.setHeader('x-accel-buffering', 'no'); response.write('first'); streaming = response; return; }
  if (request.url === '/drip') { const timer = setInterval(() => response.write('.'), 100); response.on('close', () => clearInterval(timer)); return; }
  if (request.url === '/silence') { response.write('.'); return; }
  if (request.url === '/release') streaming?.end();
  response.end(JSON.stringify({ headers: request.headers, isStreaming: streaming !== null }));
});
server.on('upgrade', (request, socket) => {
  socket.on('error', () => {});
  const accept = require('node:crypto').createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.end('HTTP/1.1 101 Switching Protocols\\r\\nconnection: upgrade\\r\\nupgrade: websocket\\r\\nsec-websocket-accept: ' + accept + '\\r\\n\\r\\n');
});
server.listen(443, '0.0.0.0', () => console.log('ready'));
`;

/** What a client does, as the body of an async function with \`ask(method, path, headers)\`; its value is what it learns. */
const client = (script: string): string => `
const https = require('node:https');
const ca = require('node:fs').readFileSync(process.argv[1]);
const ask = (method, path, headers = {}) => new Promise((resolve) => {
  const request = https.request({ host: '${edgeAddress}', method, path, headers, ca, agent: false });
  const answer = { status: 0, text: '', issuer: '', firstAt: null, request, ended: null };
  request.on('socket', (socket) => socket.once('secureConnect', () => { answer.issuer = socket.getPeerCertificate().issuer.CN; }));
  request.on('error', (error) => { answer.text ||= error.code; resolve(answer); });
  request.on('upgrade', () => { answer.status = 101; request.destroy(); resolve(answer); });
  request.on('response', (response) => {
    answer.status = response.statusCode;
    answer.ended = new Promise((done) => response.on('close', done).on('error', done));
    response.on('data', (chunk) => { answer.firstAt ??= performance.now(); answer.text += chunk; });
    response.on('end', () => resolve(answer)).on('error', () => resolve(answer));
  });
  request.end();
});
(async () => { ${script} })().then((value) => { console.log(JSON.stringify(value)); process.exit(); });
`;

/** Runs `use` beside an intermediary and the server. */
function behind(
  start: StartIntermediary,
  firewall: string,
  use: (learn: (script: string) => Promise<unknown>, lab: Lab, intermediary: Intermediary) => Promise<void>,
): Promise<void> {
  return withNamespaces({ firewall }, async (lab) => {
    const { certificateFile, keyFile } = makeCompanyCertificate(lab.folder, edgeAddress);
    const child = lab.edge.spawn([process.execPath, '-e', server, certificateFile, keyFile], { stdio: ['ignore', 'pipe', 'inherit'] }); // prettier-ignore
    if (child.stdout !== null) await once(child.stdout, 'data');
    const intermediary = await start(lab);
    const ca = path.join(lab.folder, 'client-ca.pem');
    await writeFile(ca, intermediary.ca ?? '');
    const learn = async (script: string): Promise<unknown> =>
      JSON.parse(await lab.client.run([process.execPath, '-e', client(script), ca]));
    await use(learn, lab, intermediary);
    await intermediary.close();
  });
}

const upgrade = `{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' }`;

t.test('reads TLS, lets WebSocket pass, and nothing else leaves', { skip }, (t) =>
  behind(haproxyHop({}), tlsHopRules, async (learn, lab) => {
    t.match(await learn(`const { status, issuer } = await ask('GET', '/'); return { status, issuer }`), {
      status: 200,
      issuer: 'Company',
    });
    t.match(await learn(`return (await ask('GET', '/', ${upgrade})).status`), 101);
    t.equal(await lab.client.run(['sh', '-c', `timeout 1 bash -c '</dev/tcp/${edgeAddress}/80' 2>&1 || echo no`]), 'no\n'); // prettier-ignore
    t.ok((await lab.packetsStopped()) > 0);
  }),
);

t.test('takes Upgrade out', { skip }, (t) =>
  behind(noUpgrade.intermediary as StartIntermediary, tlsHopRules, async (learn) => {
    const { status, text } = (await learn(`const { status, text } = await ask('GET', '/', ${upgrade}); return { status, text }`)) as { status: number; text: string }; // prettier-ignore
    t.equal(status, 200, 'a plain request came through');
    t.notMatch(text, /"upgrade"/);
  }),
);

t.test('refuses binary bodies either way', { skip }, (t) =>
  behind(textOnly.intermediary as StartIntermediary, tlsHopRules, async (learn) => {
    const binary = `{ 'content-type': 'application/octet-stream' }`;
    t.equal(await learn(`return (await ask('POST', '/', ${binary})).status`), 403);
    t.equal(await learn(`return (await ask('GET', '/binary')).status`), 502);
    t.equal(await learn(`return (await ask('POST', '/', { 'content-type': 'text/plain' })).status`), 200);
  }),
);

t.test('holds answers back until they are complete', { skip }, (t) =>
  behind(bufferingHop, tlsHopRules, async (learn) => {
    const script = `
      const streamed = ask('GET', '/stream');
      while (!(await ask('GET', '/')).text.includes('"isStreaming":true'));
      const before = performance.now();
      await ask('GET', '/release');
      const { firstAt, text } = await streamed;
      return { isHeld: firstAt > before, text };`;
    t.strictSame(await learn(script), { isHeld: true, text: 'first' });
  }),
);

t.test('cuts connections that are idle, or old', { skip }, async (t) => {
  const script = (url: string): string => `
    const startedAt = performance.now();
    const { text } = await ask('GET', '${url}');
    return { some: text.startsWith('.'), ms: performance.now() - startedAt };`;
  await behind(haproxyHop({ idleSeconds: 1 }), tlsHopRules, async (learn) => {
    t.match(await learn(script('/silence')), { some: true });
  });
  await behind(haproxyHop({ mostSeconds: 2 }), tlsHopRules, async (learn, _lab, { facts }) => {
    const { some, ms } = (await learn(script('/drip'))) as { some: boolean; ms: number };
    t.ok(some && ms > 900, `${String(ms)} ms`);
    t.match(await facts(), ['1 connections cut for their age']);
  });
});

t.test('a proxy is the only way out, and wants to know who asks', { skip }, (t) =>
  behind(connectProxy('squid', 'digest'), forwardRules('counter drop'), async (_learn, lab) => {
    const connect = (port: number): Promise<string> =>
      lab.client.run([
        process.execPath,
        '-e',
        `require('node:net').connect(3128, '${routerAddress}', function () {
          this.end('CONNECT ${edgeAddress}:${String(port)} HTTP/1.1\\r\\nhost: ${edgeAddress}\\r\\n\\r\\n');
        }).pipe(process.stdout)`,
      ]);
    t.match(await connect(443), /^HTTP\/1.1 407 [^]*Proxy-Authenticate: Digest/);
    t.match(await connect(22), /^HTTP\/1.1 (?:403|407) /);
  }),
);

t.test('ages as haproxy writes them', (t) => {
  t.strictSame(['0s', '59s', '1m', '1m2s', '2h3m', '1d1h'].map(secondsOf), [0, 59, 60, 62, 7380, 90_000]);
  t.end();
});
