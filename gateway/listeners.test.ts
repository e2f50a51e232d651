import t from 'tap';
import { ListenError } from './engine/index.ts';
import { adminPort, listenOnAll, publicPort, StartError, withAdvice } from './listeners.ts';

/** What is listened on, where only some addresses are there. */
async function attempt(hosts: readonly string[], missing: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const opened: string[] = [];
  await listenOnAll(hosts, 0, (address, port) => {
    const code = missing[address];
    if (code !== undefined) return Promise.reject(new ListenError(code, address, port));
    opened.push(`${address} ${String(port)}`);
    return Promise.resolve(port === 0 ? 4000 : port);
  });
  return opened;
}

t.test('which addresses are listened on', async (t) => {
  t.same(await attempt(['0.0.0.0', '::']), [':: 0'], 'the IPv6 wildcard takes IPv4 as well');
  t.same(await attempt(['0.0.0.0', '::'], { '::': 'EAFNOSUPPORT' }), ['0.0.0.0 0'], 'without IPv6');
  t.same(await attempt(['::', '192.0.2.1']), [':: 0']);
  t.same(await attempt(['0.0.0.0', '192.0.2.1', '::1']), ['0.0.0.0 0', '::1 4000']);
  t.same(await attempt(['127.0.0.1', '::1']), ['127.0.0.1 0', '::1 4000'], 'all with the same port');
  t.same(await attempt(['127.0.0.1', '::1'], { '::1': 'EADDRNOTAVAIL' }), ['127.0.0.1 0']);
  await t.rejects(attempt(['127.0.0.1'], { '127.0.0.1': 'EADDRNOTAVAIL' }), { code: 'EADDRNOTAVAIL' });
  await t.rejects(attempt(['127.0.0.1', '::1'], { '::1': 'EADDRINUSE' }), { code: 'EADDRINUSE' });
});

t.test('advice names the setting', async (t) => {
  const fail = (code: string, port = 443): Promise<unknown> =>
    withAdvice(publicPort, () => Promise.reject(new ListenError(code, '::', port)));
  await t.rejects(fail('EADDRINUSE'), { name: 'StartError', message: /taken .* SALLYPORT_PORT=1443$/ });
  await t.rejects(fail('EADDRINUSE', 65_000), { message: /SALLYPORT_PORT=64000$/ });
  await t.rejects(fail('EACCES'), { message: /CAP_NET_BIND_SERVICE.*SALLYPORT_PORT/ });
  await t.rejects(fail('EADDRNOTAVAIL'), { message: /SALLYPORT_HOST$/ });
  await t.rejects(fail('EWEIRD'), { message: /\(EWEIRD\)/ });
  const other = new Error('not about listening');
  await t.rejects(
    withAdvice(adminPort, () => Promise.reject(other)),
    other,
  );
  t.ok(new StartError('x') instanceof Error);
});
