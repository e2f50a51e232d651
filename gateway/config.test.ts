import { readFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import { environmentName, fileKey, settings } from './config-variables.ts';
import { ConfigError, loadConfig, type Config } from './config.ts';
import { testCertificate } from './testing/tls-fixture.ts';

const machine = { hostName: 'pop1.example', addresses: ['127.0.0.1', '::1', '192.0.2.10', '2001:db8::10'] };

function load(environment: Record<string, string>, files: Record<string, string> = {}, file?: string): Config {
  const readFile = (name: string): string => {
    const content = files[name];
    if (content === undefined) throw new Error('ENOENT');
    return content;
  };
  return loadConfig({ environment, file, readFile, machine });
}

function faults(environment: Record<string, string>, files: Record<string, string> = {}, file?: string): string[] {
  try {
    load(environment, files, file);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return [...error.faults];
    throw error;
  }
}

t.test('defaults', (t) => {
  const config = load({ PATH: '/bin', SALLYPORT_SECRET: '' });
  t.equal(config.port, 8443);
  t.equal(config.udpPort, 8443);
  t.equal(config.turnUdpPort, 3478);
  t.same(config.proxyFrom, []);
  t.same(config.relayAllow, []);
  t.equal(config.adminPort, 9090);
  t.equal(config.adminHost, '127.0.0.1');
  t.same(config.hosts, ['0.0.0.0', '::']);
  t.same(config.publicAddresses, ['192.0.2.10']);
  t.equal(config.publicHost, null);
  t.equal(config.auth, 'token', 'others can reach it, so a token is needed');
  t.equal(config.secret, null);
  t.equal(config.tls, null);
  t.equal(config.edgeId, 'pop1.example');
  t.equal(config.engine, 'auto');
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.hosts));
  t.end();
});

t.test('open is the default only where this machine alone can reach', (t) => {
  t.equal(load({ SALLYPORT_HOST: 'localhost' }).auth, 'open');
  t.equal(load({ SALLYPORT_HOST: '127.0.0.1' }).auth, 'open');
  t.equal(load({ SALLYPORT_HOST: '127.0.0.1', SALLYPORT_AUTH: 'token' }).auth, 'token');
  t.equal(load({ SALLYPORT_HOST: '127.0.0.1,192.0.2.10' }).auth, 'token');
  t.equal(load({ SALLYPORT_HOST: '::' }).auth, 'token');
  t.equal(load({ SALLYPORT_AUTH: 'open' }).auth, 'open', 'or when it is asked for');
  t.end();
});

t.test('the public address is one that is bound', (t) => {
  t.same(load({ SALLYPORT_HOST: '127.0.0.1' }).publicAddresses, ['127.0.0.1']);
  t.same(load({ SALLYPORT_HOST: '2001:DB8::10' }).publicAddresses, ['2001:db8::10']);
  t.same(load({ SALLYPORT_PUBLIC_ADDRESS: '203.0.113.5, 2001:db8::5' }).publicAddresses, [
    '203.0.113.5',
    '2001:db8::5',
  ]);
  const offline = { hostName: 'x', addresses: ['127.0.0.1', '::1'] };
  const config = loadConfig({ environment: {}, readFile: () => '', machine: offline });
  t.same(config.publicAddresses, ['127.0.0.1']);
  t.end();
});

t.test('the file has the same settings in camelCase, and the environment wins', (t) => {
  const files = {
    'a.json':
      '{"port": 9443, "udpPort": "9444", "origins": ["https://a.example", "https://b.example:8443"], "region": "eu"}',
  };
  const config = load({ SALLYPORT_CONFIG: 'a.json', SALLYPORT_REGION: 'us' }, files);
  t.equal(config.port, 9443);
  t.equal(config.udpPort, 9444);
  t.same(config.origins, ['https://a.example', 'https://b.example:8443']);
  t.equal(config.region, 'us');
  t.equal(load({ SALLYPORT_CONFIG: 'b.json' }, files, 'a.json').port, 9443, '--config goes before SALLYPORT_CONFIG');
  t.end();
});

t.test('all faults are reported together, each with its source', (t) => {
  const found = faults(
    {
      SALLYPORT_PROT: '1',
      SALLYPORT_PORT: '70000',
      SALLYPORT_HOST: 'example.com',
      SALLYPORT_AUTH: 'none',
      SALLYPORT_ORIGINS: 'app.example,https://app.example/path',
      SALLYPORT_PUBLIC_HOST: 'https://edge.example',
      SALLYPORT_PUBLIC_ADDRESS: 'edge.example',
      SALLYPORT_TLS_CERT: 'cert.pem',
      SALLYPORT_LOG_LEVEL: 'loud',
      SALLYPORT_ENGINE: 'deno',
      SALLYPORT_EDGE_ID: 'a b',
      SALLYPORT_ADMIN_HOST: 'everywhere',
      SALLYPORT_TURN_UDP_PORT: 'off',
      SALLYPORT_PROXY_FROM: '10.0.0.0/8,balancer.example',
      SALLYPORT_RELAY_ALLOW: '10.0.0.0/33,192.0.2.1:3478',
      SALLYPORT_CONFIG: 'a.json',
    },
    { 'a.json': '{"colour": 1, "udpPort": -1, "region": {}}' },
  );
  for (const start of [
    'SALLYPORT_PROT: there is no such setting; did you mean SALLYPORT_PORT?',
    'SALLYPORT_PORT: must be a port number from 0 to 65535; it is "70000"',
    'SALLYPORT_HOST:',
    'SALLYPORT_AUTH: must be one of token, open',
    'SALLYPORT_ORIGINS:',
    'SALLYPORT_PUBLIC_HOST:',
    'SALLYPORT_PUBLIC_ADDRESS:',
    'SALLYPORT_TLS_CERT: needs SALLYPORT_TLS_KEY as well',
    'SALLYPORT_LOG_LEVEL:',
    'SALLYPORT_ENGINE:',
    'SALLYPORT_EDGE_ID:',
    'SALLYPORT_ADMIN_HOST:',
    'SALLYPORT_TURN_UDP_PORT: must be a port number',
    'SALLYPORT_PROXY_FROM: "balancer.example" is neither an address nor a CIDR block',
    'SALLYPORT_RELAY_ALLOW: "10.0.0.0/33" is no address or CIDR block',
    'colour in a.json: there is no such setting',
    'udpPort in a.json: must be a port number',
    'region in a.json: must be a string',
  ]) {
    t.ok(
      found.some((fault) => fault.startsWith(start)),
      start,
    );
  }
  t.equal(found.length, 18, found.join('\n'));
  t.end();
});

t.test('files that cannot be used', (t) => {
  t.match(faults({ SALLYPORT_CONFIG: 'none.json' }), [/^none.json: cannot be read/]);
  t.match(faults({ SALLYPORT_CONFIG: 'a' }, { a: '{' }), [/^a: is not JSON/]);
  t.match(faults({ SALLYPORT_CONFIG: 'a' }, { a: '[]' }), [/^a: must hold one JSON object/]);
  const tls = { SALLYPORT_TLS_CERT: 'c', SALLYPORT_TLS_KEY: 'k' };
  t.match(faults(tls), [/^SALLYPORT_TLS_CERT: c cannot be read/, /^SALLYPORT_TLS_KEY: k cannot be read/]);
  t.match(faults(tls, { c: 'x', k: 'y' }), [/^SALLYPORT_TLS_CERT: c: the file holds no certificate/]);
  t.end();
});

t.test('what is not built yet is refused, not ignored', (t) => {
  for (const [name, value] of Object.entries({
    SALLYPORT_KAFKA_BROKERS: 'kafka:9092',
  })) {
    t.match(faults({ [name]: value }), [new RegExp(`^${name}: .* is not supported yet by this version`)], name);
  }
  t.end();
});

t.test('recordings go to a folder or to a bucket', (t) => {
  const s3 = { SALLYPORT_STORAGE: 's3://bucket.name/a/b/' };
  const keys = { SALLYPORT_S3_ACCESS_KEY_ID: 'id', SALLYPORT_S3_SECRET_ACCESS_KEY: 'key' };
  t.match(load({ ...s3, ...keys }).storage, {
    kind: 's3',
    endpoint: 'https://s3.us-east-1.amazonaws.com',
    bucket: 'bucket.name',
    prefix: 'a/b',
  });
  t.match(load({ SALLYPORT_DATA_DIR: '/d' }).storage, { kind: 'folder', folder: '/d/recordings' });
  t.match(load({ SALLYPORT_STORAGE: '/mnt/calls' }).storage, { kind: 'folder', folder: '/mnt/calls' });
  t.match(faults(s3), [/^SALLYPORT_S3_ACCESS_KEY_ID: is needed/, /^SALLYPORT_S3_SECRET_ACCESS_KEY: is needed/]);
  t.match(faults({ ...s3, ...keys, SALLYPORT_S3_ENDPOINT: 'http://x/y' }), [/^SALLYPORT_S3_ENDPOINT: must be/]);
  t.match(faults({ SALLYPORT_STORAGE: 'gs://bucket' }), [/^SALLYPORT_STORAGE: must be a folder/]);
  t.match(faults(keys), [/^SALLYPORT_S3_ACCESS_KEY_ID: is for/, /^SALLYPORT_S3_SECRET_ACCESS_KEY: is for/]);
  t.end();
});

t.test('an SFU elsewhere needs what proves the two ends to each other', (t) => {
  const secrets = { SALLYPORT_SECRET: 'x'.repeat(32), SALLYPORT_CLUSTER_SECRET: 'y'.repeat(32) };
  const upstream = { SALLYPORT_UPSTREAM: 'trunk://sfu.example:7000' };
  t.same(faults({ SALLYPORT_UPSTREAM: 'embedded' }), []);
  t.same(faults({ ...secrets, ...upstream }), []);
  t.match(faults(upstream), [/^SALLYPORT_CLUSTER_SECRET: is needed/, /^SALLYPORT_SECRET: is needed/]);
  const redis = { SALLYPORT_REDIS_URL: 'rediss://user:pass@redis.example:6380' };
  t.same(faults({ ...secrets, ...redis }), []);
  t.match(faults({ ...secrets, ...redis, SALLYPORT_REDIS_CA: 'absent.pem' }), [
    /^SALLYPORT_REDIS_CA: absent.pem cannot/,
  ]);
  t.match(faults({ ...secrets, ...redis, SALLYPORT_UPSTREAM: 'embedded' }), [/^SALLYPORT_UPSTREAM: is embedded/]);
  t.match(faults({ ...secrets, SALLYPORT_UPSTREAM: 'cluster' }), [/^SALLYPORT_UPSTREAM: is cluster, which needs/]);
  t.match(faults({ ...secrets, SALLYPORT_REDIS_URL: 'http://:secret@x' }), [
    /^SALLYPORT_REDIS_URL: must be redis:\/\//,
  ]);
  t.match(faults({ SALLYPORT_DRAIN_SECONDS: 'soon' }), [/^SALLYPORT_DRAIN_SECONDS: must be a number/]);
  t.match(faults({ ...secrets, SALLYPORT_UPSTREAM: 'trunk://sfu.example' }), [
    /^SALLYPORT_UPSTREAM: must be embedded, cluster/,
  ]);
  const others = { SALLYPORT_UPSTREAM: 'udp', SALLYPORT_RELAY_ALLOW: '192.0.2.1:10000' };
  t.same(faults(others), []);
  t.match(faults({ SALLYPORT_UPSTREAM: 'udp' }), [/^SALLYPORT_UPSTREAM: is udp, which needs .*SALLYPORT_RELAY_ALLOW/]);
  t.match(faults({ ...others, SALLYPORT_REDIS_URL: 'redis://x' }), [/^SALLYPORT_REDIS_URL: has no use/]);
  t.match(faults({ SALLYPORT_TRUNK_PORT: '7000' }), [/^SALLYPORT_TRUNK_PORT: is for SFU nodes/]);
  t.match(faults({ SALLYPORT_CLUSTER_CERT: 'c' }), [/^SALLYPORT_CLUSTER_CERT: needs CLUSTER_KEY and CLUSTER_CA/]);
  t.end();
});

t.test('several certificates are pairs of files by position', async (t) => {
  const pairs = await Promise.all(
    ['a', 'b'].map(async (name) => {
      const pair = await testCertificate(path.join(t.testdir(), name));
      return { cert: readFileSync(pair.certFile, 'utf8'), key: readFileSync(pair.keyFile, 'utf8') };
    }),
  );
  const files: Record<string, string> = {};
  for (const [i, { cert, key }] of pairs.entries())
    Object.assign(files, { [`c${String(i)}`]: cert, [`k${String(i)}`]: key });
  const at = (name: string): string => path.resolve(name);
  t.same(load({ SALLYPORT_TLS_CERT: 'c0, c1', SALLYPORT_TLS_KEY: 'k0,k1' }, files).tls, [
    { certFile: at('c0'), keyFile: at('k0') },
    { certFile: at('c1'), keyFile: at('k1') },
  ]);
  const fromFile = load({}, { ...files, f: '{"tlsCert": ["c0", "c1"], "tlsKey": ["k0", "k1"]}' }, 'f');
  t.equal(fromFile.tls?.length, 2);
  t.same(faults({ SALLYPORT_TLS_CERT: 'c0,c1', SALLYPORT_TLS_KEY: 'k1,k0' }, files), [
    'SALLYPORT_TLS_KEY: k1: the key does not belong to the certificate',
    'SALLYPORT_TLS_KEY: k0: the key does not belong to the certificate',
  ]);
  t.match(faults({ SALLYPORT_TLS_CERT: 'c0,c1', SALLYPORT_TLS_KEY: 'k0' }, files), [
    'SALLYPORT_TLS_KEY: needs one key for each certificate, in the same order: 1 for 2',
  ]);
  t.match(faults({ SALLYPORT_TLS_KEY: 'k0' }, files), ['SALLYPORT_TLS_KEY: needs SALLYPORT_TLS_CERT as well']);
});

t.test('TURN over UDP never shares the port of media', (t) => {
  const same = /^SALLYPORT_TURN_UDP_PORT: is 3478, the UDP port of media: Chromium .* 0 to do without it over UDP$/;
  t.match(faults({ SALLYPORT_UDP_PORT: '3478' }), [same], 'the default of one is a fault as well');
  t.match(faults({ SALLYPORT_PORT: '3478' }), [same]);
  t.match(faults({ SALLYPORT_UDP_PORT: '3478', SALLYPORT_TURN_UDP_PORT: '3478' }), [same]);
  t.equal(load({ SALLYPORT_PORT: '3478', SALLYPORT_TURN_UDP_PORT: '3479' }).turnUdpPort, 3479);
  t.equal(load({ SALLYPORT_PORT: '3478', SALLYPORT_TURN_UDP_PORT: '0' }).turnUdpPort, 0);
  t.equal(load({ SALLYPORT_PORT: '0', SALLYPORT_TURN_UDP_PORT: '0' }).turnUdpPort, 0, 'off is not the same as chosen');
  t.end();
});

t.test('load balancers and peers of the relay', (t) => {
  const config = load({
    SALLYPORT_PROXY_FROM: '10.0.0.0/8, 2001:db8::/64,192.0.2.1',
    SALLYPORT_RELAY_ALLOW: '10.0.0.0/8:1024-65535, 127.0.0.1:3480,[2001:db8::]/32:443, 2001:db8::7',
  });
  t.same(config.proxyFrom, ['10.0.0.0/8', '2001:db8::/64', '192.0.2.1']);
  t.same(config.relayAllow, ['10.0.0.0/8:1024-65535', '127.0.0.1:3480', '[2001:db8::]/32:443', '2001:db8::7']);
  for (const bad of [
    '10.0.0.0/33',
    '10.0.0.0/8/9',
    '10.0.0.0/',
    '/8',
    'fe80::1%eth0',
    '::/129',
    '10.0.0.0/-1',
    'all',
  ]) {
    t.equal(faults({ SALLYPORT_PROXY_FROM: bad }).length, 1, `PROXY_FROM ${bad}`);
    t.equal(faults({ SALLYPORT_RELAY_ALLOW: bad }).length, 1, `RELAY_ALLOW ${bad}`);
  }
  for (const bad of ['10.0.0.1:0', '10.0.0.1:70000', '10.0.0.1:9-8', '10.0.0.1:1-2-3']) {
    t.equal(faults({ SALLYPORT_RELAY_ALLOW: bad }).length, 1, `RELAY_ALLOW ${bad}`);
  }
  t.end();
});

t.test('the public host', (t) => {
  const publicHost = (text: string): Config['publicHost'] => load({ SALLYPORT_PUBLIC_HOST: text }).publicHost;
  t.same(publicHost('Edge.Example'), { host: 'edge.example', port: null });
  t.same(publicHost('edge.example:443'), { host: 'edge.example', port: 443 });
  t.same(publicHost('2001:DB8::1'), { host: '[2001:db8::1]', port: null }, 'an IPv6 address gets its brackets');
  t.same(publicHost('[2001:db8::1]:8443'), { host: '[2001:db8::1]', port: 8443 });
  for (const bad of ['https://edge.example', 'edge.example/', 'a b', 'user@edge.example', '1.2.3', 'edge.example:0']) {
    t.equal(faults({ SALLYPORT_PUBLIC_HOST: bad }).length, 1, bad);
  }
  t.end();
});

t.test('a secret is never shown', (t) => {
  const secret = 'correct horse battery staple';
  const config = load({ SALLYPORT_SECRET: secret });
  t.equal(config.secret?.reveal(), secret);
  const shown = [JSON.stringify(config), inspect(config, { depth: 9, showHidden: true }), String(config.secret)].join();
  t.notMatch(shown, /horse/);
  t.match(shown, /\[redacted\]/);
  t.end();
});

t.test('the documentation has a row for every setting, and for no other', (t) => {
  const text = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `(SALLYPORT_[A-Z0-9_]+)`/gm)].map((match) => match[1]);
  t.same(rows.filter((name) => name !== 'SALLYPORT_CONFIG').sort(), settings.map(environmentName).sort());
  t.equal(fileKey('TURN_UDP_PORT'), 'turnUdpPort');
  t.end();
});
