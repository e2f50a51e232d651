/** The commands as a user runs them: processes, exit codes, what is printed where. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { https } from '../testing/https-client.ts';

const program = fileURLToPath(new URL('./main.js', import.meta.url));

class Run {
  readonly process: ChildProcess;
  readonly exit: Promise<number | null>;
  out = '';
  err = '';
  readonly #folder: string;

  constructor(folder: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.#folder = folder;
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SALLYPORT_'));
    const env = { ...Object.fromEntries(inherited), ...environment };
    this.process = spawn(process.execPath, [program, ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.process.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.process.stderr?.on('data', (chunk: Buffer) => (this.err += chunk.toString()));
    this.exit = once(this.process, 'close').then(([code]) => code as number | null);
  }

  get folder(): string {
    return this.#folder;
  }

  /** Waits until the output matches. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.out);
      if (found !== null) return found;
      if (this.process.exitCode !== null) throw new Error(`exited: ${this.err}`);
      await Promise.race([once(this.process.stdout as NonNullable<ChildProcess['stdout']>, 'data'), this.exit]);
    }
  }
}

function run(
  t: Test,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  folder = t.testdir(),
): Run {
  const started = new Run(folder, args, environment);
  t.teardown(() => started.process.kill('SIGKILL'));
  return started;
}

const ephemeral = {
  SALLYPORT_PORT: '0',
  SALLYPORT_ADMIN_PORT: '0',
  SALLYPORT_TURN_UDP_PORT: '0',
  SALLYPORT_HOST: '127.0.0.1',
};

t.test('help, version, and a command that does not exist', async (t) => {
  const folder = t.testdir();
  const [help, version, wrong, mistyped] = [['help'], ['--version'], ['fly'], ['token', '--rom', 'r']].map((args) =>
    run(t, args, {}, folder),
  ) as [Run, Run, Run, Run];
  t.equal(await help.exit, 0);
  for (const name of ['start', 'token', 'join']) t.match(help.out, new RegExp(`^  ${name} +\\w`, 'm'));
  t.equal(await version.exit, 0);
  t.match(version.out, /^\d+\.\d+\.\d+\n$/);
  t.equal(await wrong.exit, 1);
  t.equal(wrong.err, 'sallyport: there is no command "fly"; see: sallyport help\n');
  t.equal(await mistyped.exit, 1);
  t.match(mistyped.err, /^sallyport token: .*'--rom'[^]*See: sallyport token --help\n$/);
  t.notMatch(mistyped.err, / {4}at /, 'no stack');
});

t.test('a faulty configuration: all faults, exit code 1, nothing listens', async (t) => {
  const failed = run(t, ['start'], {
    SALLYPORT_PORT: 'x',
    SALLYPORT_KAFKA_BROKERS: 'kafka:9092',
    SALLYPORT_COLOUR: 'red',
  });
  t.equal(await failed.exit, 1);
  t.match(failed.err, /has 3 faults:\n/);
  t.match(failed.err, /SALLYPORT_PORT: must be a port number/);
  t.match(failed.err, /SALLYPORT_KAFKA_BROKERS: .*not supported yet/);
  t.match(failed.err, /SALLYPORT_COLOUR: there is no such setting/);
});

t.test('start without configuration: the printed link lets in, and signals end it', async (t) => {
  const edge = run(t, ['start'], { ...ephemeral, SALLYPORT_AUTH: 'token' });
  const [, port = '', token = ''] = await edge.printed(
    /https:\/\/localhost:(\d+)\/\?room=demo#token=([\w.-]+)\n[^]*\n$/,
  );
  const post = async (room: string, value: string): Promise<number> => {
    const body = JSON.stringify({ room, token: value, client: { kind: 'test', version: '1' } });
    return (await https(Number(port), { method: 'POST', path: '/v1/sessions', body })).status;
  };
  t.equal(await post('demo', token), 201);
  t.equal(await post('demo', ''), 401);
  t.notMatch(edge.err, new RegExp(token), 'the token is not in the log');
  for (const line of edge.err.trim().split('\n')) t.type(JSON.parse(line), 'object');

  const other = run(t, ['token', '--room', 'other'], {}, edge.folder);
  t.equal(await other.exit, 0, 'a token can be made beside it');
  t.equal(await post('other', other.out.trim()), 201);

  edge.process.kill('SIGTERM');
  t.equal(await edge.exit, 0);
  t.match(edge.err, /"msg":"edge stopped"/);
});

t.test('bound to this machine alone, it is open, and says so', async (t) => {
  const edge = run(t, ['start'], { ...ephemeral, SALLYPORT_ENGINE: 'node' });
  const [, port = ''] = await edge.printed(/OPEN MODE[^]*https:\/\/localhost:(\d+)\/\?room=demo\n/);
  t.match(edge.err, /OPEN MODE/);
  const second = run(t, ['start'], { ...ephemeral, SALLYPORT_PORT: port, SALLYPORT_UDP_PORT: '0' }, t.testdir());
  t.equal(await second.exit, 1);
  t.match(second.err, /\nsallyport start: the public TCP port, \d+ on 127.0.0.1, is taken .*SALLYPORT_PORT=\d+\n$/);
  edge.process.kill('SIGINT');
  t.equal(await edge.exit, 0);
});
