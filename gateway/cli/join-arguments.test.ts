import t from 'tap';
import { parseJoinArguments } from './join-arguments.ts';

t.test('everything that can be said', (t) => {
  const text =
    'edge.example:8443 --room r --name Ada --token t --rung websocket --rung udp --publish a.ivf --publish b.ogg ' +
    '--record c.ivf --proxy http://proxy.example:3128 --proxy-user ada:a:b --ca ca.pem --insecure --duration 1.5';
  t.strictSame(parseJoinArguments(text.split(' '), {}), {
    url: 'https://edge.example:8443',
    room: 'r',
    name: 'Ada',
    token: 't',
    rungs: ['websocket', 'udp'],
    publish: ['a.ivf', 'b.ogg'],
    record: ['c.ivf'],
    proxy: { url: 'http://proxy.example:3128', username: 'ada', password: 'a:b' },
    caFile: 'ca.pem',
    insecure: true,
    durationMs: 1500,
  });
  t.end();
});

t.test('only what is needed; the token may come from the environment', (t) => {
  const environment = { SALLYPORT_TOKEN: 'e' };
  t.match(parseJoinArguments(['http://127.0.0.1:8080', '--room', 'r'], environment), {
    url: 'http://127.0.0.1:8080',
    token: 'e',
    rungs: undefined,
    publish: [],
    durationMs: null,
    insecure: false,
  });
  t.equal(parseJoinArguments(['x', '--room', 'r', '--token', 't'], environment).token, 't');
  t.end();
});

t.test('proxies', (t) => {
  const proxyOf = (text: string): unknown => parseJoinArguments(`edge --room r ${text}`.trim().split(' '), {}).proxy;
  t.equal(proxyOf(''), undefined, 'as the environment says');
  t.equal(proxyOf('--proxy none'), false);
  t.equal(proxyOf('--proxy proxy.example:3128'), 'proxy.example:3128');
  t.strictSame(proxyOf('--proxy-user ada:x'), { username: 'ada', password: 'x' });
  t.end();
});

t.test('mistakes are named', (t) => {
  const mistakes: readonly [string, RegExp][] = [
    ['--room r', /which edge/],
    ['edge', /which room/],
    ['edge other --room r', /"other" is too much/],
    ['edge --room r --what', /--what.*--help/],
    ['edge --room r --rung carrier-pigeon', /carrier-pigeon: not a rung; they are udp, /],
    ['edge --room r --proxy-user ada', /--proxy-user: must be/],
    ['edge --room r --duration soon', /seconds/],
    ['edge --room r --duration 0', /seconds/],
    ['edge --room r --publish clip.mp4', /--publish clip.mp4: must end in .ivf/],
    ['edge --room r --publish a.ivf --publish b.ivf', /only one file with pictures/],
    ['edge --room r --record a.ogg --record b.opus', /only one file with sound/],
  ];
  for (const [text, message] of mistakes) {
    t.throws(() => parseJoinArguments(text.split(' '), {}), { name: 'UsageError', message }, text);
  }
  t.end();
});
