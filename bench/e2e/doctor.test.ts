/** `sallyport doctor` as users run it, against an edge that everything reaches; and what its room admits. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Agent, fetch } from 'undici';
import type { DoctorReport } from '../../client/index.ts';
import { rungs } from '../../tunnel-protocol/index.ts';
import { joinInsecurely, testTimeoutMs, withEdge } from './node-tools.ts';

t.setTimeout(testTimeoutMs);

const program = fileURLToPath(new URL('../../gateway/cli/main.js', import.meta.url));

async function run(args: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  const child = spawn(process.execPath, [program, 'doctor', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [code] = (await once(child, 'close')) as [number];
  return { code, text };
}

t.test('every rung has its verdict, with figures, and a text for the administrator', async (t) => {
  const { edge } = await withEdge(t, { SALLYPORT_AUTH: 'token' }, { turn: true });
  const { code, text } = await run([edge.url, '--json']);
  const report = JSON.parse(text) as DoctorReport;
  t.equal(code, 0);
  t.strictSame(
    report.rungs.map(({ rung }) => rung),
    rungs,
  );
  // On a machine that is busy otherwise one or the other may not be in time.
  const works = report.rungs.filter(({ outcome }) => outcome === 'works');
  t.ok(works.length > 0);
  for (const { rung, joinMs, latencyMs, bitsPerSecond, lossFraction } of works) {
    t.ok(joinMs !== null && joinMs > 0, `${rung} took time`);
    t.ok(latencyMs !== null && latencyMs > 0, `${rung} has a latency`);
    t.ok(bitsPerSecond !== null && bitsPerSecond > 0, `${rung} carries something`);
    t.ok(lossFraction !== null && lossFraction < 1, `${rung} delivers`);
  }
  t.match(report.network, { certificate: { intercepted: false, trusted: false }, captivePortal: false });
  t.match(report.edge, { ports: { tcp: edge.port, udp: edge.udpPort, turnUdp: edge.turnUdpPort } });
  t.match(report.advice, 'Works without any change:');
});

t.test('where there is no edge, no rung is tried', async (t) => {
  const { code, text } = await run(['http://127.0.0.1:9', '--json']);
  t.equal(code, 2);
  t.match(JSON.parse(text), { edge: null, problem: { code: 'edge-unreachable' }, rungs: [{ outcome: 'untested' }] });
});

t.test('the room of a test is for two, who are seen by nobody else', async (t) => {
  const { edge, joined } = await withEdge(t, { SALLYPORT_AUTH: 'token' });
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  t.teardown(() => dispatcher.close());
  const ask = async (): Promise<{ room: string; token: string }> => {
    const response = await fetch(`${edge.url}/v1/doctor`, { method: 'POST', dispatcher });
    const { room, token } = (await response.json()) as { room: string; token: string };
    return { room, token };
  };
  const invitation = await ask();
  t.not((await ask()).room, invitation.room);
  await joined(edge.url, { ...invitation, rungs: ['websocket'] });
  await joined(edge.url, { ...invitation, rungs: ['websocket'] });
  await t.rejects(joinInsecurely(edge.url, { ...invitation, rungs: ['websocket'] }), { code: 'room-full' });
  await t.rejects(joinInsecurely(edge.url, { ...invitation, room: 'standup', rungs: ['websocket'] }), {
    code: 'token-wrong-room',
  });
});
