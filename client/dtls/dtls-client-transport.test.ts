import t from 'tap';
import { DtlsPair } from './testing/dtls-pair.ts';

t.test('a handshake, data, and an end', async (t) => {
  const pair = new DtlsPair();
  t.ok(await pair.connect());
  const [client, server] = [pair.clientLog.keys, pair.serverLog.keys];
  t.equal(client?.profile, 'AEAD_AES_128_GCM');
  t.same(
    [client?.localKey, client?.localSalt, client?.remoteKey, client?.remoteSalt],
    [server?.remoteKey, server?.remoteSalt, server?.localKey, server?.localSalt],
  );
  t.equal(pair.client.connected, true);
  t.equal(pair.clock.pendingTimers, 0);
  t.ok(await pair.isAlive());
  pair.server.session.close();
  await pair.run(100);
  t.equal(pair.clientLog.closed, 'close-notify');
  t.equal(pair.client.connected, false);
});

t.test('starting twice sends once', async (t) => {
  const pair = new DtlsPair();
  pair.client.start();
  pair.client.start();
  await pair.run(10);
  pair.client.start();
  await pair.run(0);
  t.equal(pair.sentByClient.length, 1);
  pair.client.close();
  pair.client.start();
  pair.server.session.close();
  await pair.run(2000);
  t.equal(pair.sentByClient.length, 1);
  t.equal(pair.clock.pendingTimers, 0);
});

t.test('a server that is not there', async (t) => {
  const pair = new DtlsPair();
  pair.server.session.close();
  pair.client.start();
  await pair.run(29_000);
  t.equal(pair.clientLog.closed, null);
  await pair.run(2000);
  t.equal(pair.clientLog.closed, 'timeout');
  t.equal(pair.counters.timed_out, 1);
});

t.test('data of more than a record is a misuse', async (t) => {
  const pair = new DtlsPair();
  await pair.connect();
  t.throws(() => {
    pair.client.sendData(new Uint8Array(16_385));
  }, RangeError);
});
