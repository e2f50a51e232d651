/** `sallyport join` as users run it: two processes, a clip that is published and recorded, Ctrl-C. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { loadClip } from '../../client/index.ts';
import { startEdge } from './edge.ts';
import { clipFiles, testTimeoutMs } from './node-tools.ts';

t.setTimeout(testTimeoutMs);

const program = fileURLToPath(new URL('../../gateway/cli/main.js', import.meta.url));

interface Running {
  readonly process: ReturnType<typeof spawn>;
  readonly exit: Promise<number | null>;
  output(): string;
  printed(pattern: RegExp): Promise<void>;
}

function run(t: Test, args: readonly string[]): Running {
  const child = spawn(process.execPath, [program, 'join', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  const collect = (chunk: Buffer): void => {
    text += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return {
    process: child,
    exit: once(child, 'close').then(([code]) => code as number | null),
    output: () => text,
    printed: async (pattern) => {
      while (!pattern.test(text)) {
        if (child.exitCode !== null) throw new Error(`exited: ${text}`);
        await Promise.race([once(child.stdout, 'data'), once(child, 'close')]);
      }
    },
  };
}

t.test('one publishes the clip over the tunnel, the other records it over UDP', { timeout: 110_000 }, async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const folder = t.testdir();
  const files = [`${folder}/out.ivf`, `${folder}/out.ogg`] as const;
  const common = [edge.url, '--room', 'r', '--insecure'];
  const publish = clipFiles.flatMap((file) => ['--publish', file]);
  const ada = run(t, [...common, '--name', 'Ada', '--rung', 'websocket', ...publish]);
  await ada.printed(/joined r as Ada over websocket in \d+ ms\nnobody else/);
  const grace = run(t, [...common, '--name', 'Grace', '--rung', 'udp', '--record', files[0], '--record', files[1]]);
  await grace.printed(/joined r as Grace over udp in \d+ ms\nin the room: Ada \(/);
  await ada.printed(/\+ Grace came/);
  // Four seconds of the clip, which has a key frame in each.
  await grace.printed(/^udp {2}round trip .* down [1-9]\d* kbit\/s {2}lost \d+ {2}frames recorded \d{3,}$/m);
  grace.process.kill('SIGINT');
  t.equal(await grace.exit, 0, grace.output());
  await ada.printed(/- Grace left/);
  ada.process.kill('SIGTERM');
  t.equal(await ada.exit, 0, ada.output());

  const counted = /recorded (\d+) frames, (\d+) of them key frames/.exec(grace.output());
  const recorded = await loadClip(files);
  t.equal(recorded.video?.frames.length, Number(counted?.[1]));
  t.ok(Number(counted?.[1]) >= 100, `${counted?.[1] ?? 'no'} frames`);
  t.ok(Number(counted?.[2]) >= 2);
  t.match(recorded.video, { width: 640, height: 360 });
  t.ok((recorded.audio?.durationMs ?? 0) > 3000, `${String(recorded.audio?.durationMs)} ms of sound`);
  // What was recorded is the clip's own frames, byte for byte.
  const { video } = await loadClip(clipFiles);
  const known = new Set(video?.frames.map(({ data }) => Buffer.from(data).toString('base64')));
  t.ok(recorded.video?.frames.every(({ data }) => known.has(Buffer.from(data).toString('base64'))));
  t.same(edge.errors, []);
});

t.test('a duration, and what can go wrong, each with its exit code', async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const folder = t.testdir({ 'noise.ivf': 'this is no film' });
  const good = [edge.url, '--room', 'r', '--insecure'];
  const brief = run(t, [...good, '--rung', 'turn-udp', '--rung', 'turn-tls', '--duration', '0.2']);
  const untrusted = run(t, [edge.url, '--room', 'r']);
  const noise = run(t, [...good, '--publish', `${folder}/noise.ivf`]);
  const mistyped = run(t, [edge.url]);
  t.equal(await brief.exit, 0, brief.output());
  t.match(brief.output(), /rung turn-udp: skipped \(the edge offers none\)\n/);
  t.match(brief.output(), /rung turn-tls: connected after \d+ ms\n[^]*joined r as .* over turn-tls in \d+ ms/);
  t.equal(await untrusted.exit, 2);
  t.match(untrusted.output(), /cannot join \(certificate-untrusted\): .* --ca file\.pem/);
  t.equal(await noise.exit, 1);
  t.match(noise.output(), /^sallyport join: .*noise\.ivf: it is shorter than the header/);
  t.equal(await mistyped.exit, 1);
  t.match(mistyped.output(), /--room/);
  t.notMatch(mistyped.output(), / {4}at /, 'no stack');
});
