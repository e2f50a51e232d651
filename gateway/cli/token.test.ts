import { mkdirSync, writeFileSync } from 'node:fs';
import { decodeJwt } from 'jose';
import t from 'tap';
import { makeToken, tokenCommand } from './token.ts';

const environment = { SALLYPORT_SECRET: 'a secret of tests, with more than thirty-two bytes' };

async function claims(...args: string[]): Promise<Record<string, unknown>> {
  return decodeJwt(await makeToken(args, environment));
}

t.test('what is printed says what was asked for', async (t) => {
  const plain = await claims('--room', 'r');
  t.match(plain, { room: 'r', can: ['publish', 'subscribe', 'data'] });
  t.equal(Number(plain['exp']) - Number(plain['iat']), 3600);
  const full = await claims('--room', 'r', '--identity', 'ada', '--name', 'Ada', '--publish', '--admin', '--ttl', '7d');
  t.match(full, { room: 'r', sub: 'ada', name: 'Ada', can: ['publish', 'admin'] });
  t.equal(Number(full['exp']) - Number(full['iat']), 7 * 86_400);
  t.match(await claims('--room', 'r', '--upstream', '192.0.2.1:10000'), { upstream: ['192.0.2.1:10000'] });
  t.match(await claims('--room', '*', '--admin'), { room: '*', can: ['admin'] });
});

t.test('mistakes', async (t) => {
  for (const [args, message] of [
    [[], /say which room/],
    [['--room', ''], /--room must be/],
    [['--room', '*'], /--admin only/],
    [['--room', 'r', '--name', 'a\nb'], /--name must be/],
    [['--room', 'r', '--ttl', 'soon'], /--ttl must be like/],
    [['--room', 'r', '--ttl', '0s'], /--ttl must be like/],
    [['--room', 'r', '--upstream', 'sfu.example:10000'], /--upstream must be like/],
  ] as const) {
    await t.rejects(makeToken(args, environment), { name: 'UsageError', message }, args.join(' '));
  }
  await t.rejects(makeToken(['--rom', 'r'], environment), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' });
  const faulty = makeToken(['--room', 'r'], { ...environment, SALLYPORT_PORT: 'x', SALLYPORT_COLOUR: 'red' });
  await t.rejects(faulty, { name: 'UsageError', message: /has 2 faults:\n  SALLYPORT_COLOUR/ });
});

t.test('without a configured secret, that of the data folder', async (t) => {
  const folder = `${t.testdir()}/data`;
  const dataDir = { SALLYPORT_DATA_DIR: folder };
  await t.rejects(makeToken(['--room', 'r'], dataDir), {
    message: /there is no secret to sign with: set SALLYPORT_SECRET/,
  });
  mkdirSync(folder);
  writeFileSync(`${folder}/secret`, 'kept\n');
  t.match(decodeJwt(await makeToken(['--room', 'r'], dataDir)), { room: 'r' });
});

t.test('help names every option', (t) => {
  for (const option of ['room', 'identity', 'name', 'publish', 'subscribe', 'data', 'admin', 'ttl', 'config', 'help']) {
    t.match(tokenCommand.help, `--${option}`);
  }
  t.end();
});
