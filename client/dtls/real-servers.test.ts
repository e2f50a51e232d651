/** Servers that others wrote: OpenSSL's, over UDP, and werift's as it is. In real time. */
import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { DtlsServer } from 'werift';
import { createDtlsCounters } from '../../tunnel-protocol/index.ts';
import { DtlsClientTransport } from './dtls-client-transport.ts';
import { clientIdentity, EventLog, serverIdentity } from './testing/dtls-pair.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

t.test('openssl s_server', { skip: hasOpenssl ? false : 'no openssl' }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-dtls-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const pem = join(directory, 'server.pem');
  writeFileSync(pem, `${serverIdentity.certPem}\n${serverIdentity.keyPem}\n`);
  for (const cookies of [false, true]) {
    await t.test(cookies ? 'with HelloVerifyRequest' : 'asking for a certificate', async (t) => {
      const exporter = ['-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', '56'];
      const endpoint = ['-dtls1_2', '-accept', '127.0.0.1:0', '-cert', pem, '-use_srtp', 'SRTP_AEAD_AES_128_GCM'];
      const server = spawn('openssl', [
        's_server',
        ...endpoint,
        ...(cookies ? ['-listen'] : ['-Verify', '1']),
        ...exporter,
      ]);
      const socket = createSocket('udp4').bind(0, '127.0.0.1');
      t.teardown(() => {
        server.kill();
        socket.close();
      });
      let output = '';
      const port = await new Promise<number>((resolve) => {
        server.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
          const accepting = /ACCEPT \S+:(\d+)/.exec(output);
          if (accepting !== null) resolve(Number(accepting[1]));
        });
      });
      const log = new EventLog();
      const connected = log.onConnected.bind(log);
      log.onConnected = (keys) => {
        connected(keys);
        client.sendData(Buffer.from('a line from the client\n'));
        server.stdin.write('a line from the server\n');
      };
      const client = new DtlsClientTransport(
        {
          identity: clientIdentity,
          remoteFingerprint: { algorithm: 'sha-256', value: serverIdentity.fingerprint },
          send: (datagram) => {
            socket.send(datagram, port, '127.0.0.1');
          },
          counters: createDtlsCounters(),
        },
        log,
      );
      const line = new Promise((resolve) => {
        log.onData = resolve;
      });
      socket.on('message', (datagram) => {
        client.receive(datagram);
      });
      client.start();
      t.equal(Buffer.from((await line) as Uint8Array).toString(), 'a line from the server\n');
      client.close();
      const ended = once(server, 'close');
      server.stdin.end('Q\n');
      await ended;
      const keys = log.keys;
      const exported = Buffer.concat(keys ? [keys.localKey, keys.remoteKey, keys.localSalt, keys.remoteSalt] : []);
      t.match(output, new RegExp(`Keying material: ${exported.toString('hex')}`, 'i'));
      t.match(output, 'a line from the client');
    });
  }
});

t.test('werift as it is', async (t) => {
  for (const copies of [1, 2]) {
    await t.test(`every datagram towards the client ${String(copies)} times`, async (t) => {
      const log = new EventLog();
      const transport = {
        type: 'memory',
        address: { address: '', family: '', port: 0 },
        closed: false,
        onData: undefined as unknown as (datagram: Buffer) => void,
        send: (datagram: Buffer) => {
          for (let copy = 0; copy < copies; copy++) {
            setTimeout(() => {
              client.receive(datagram);
            }, 10 * copy);
          }
          return Promise.resolve();
        },
        close: () => Promise.resolve(),
      };
      const server = new DtlsServer({
        transport,
        cert: serverIdentity.certPem,
        key: serverIdentity.keyPem,
        signatureHash: { hash: 4, signature: 3 },
        srtpProfiles: [7, 1],
        certificateRequest: true,
        extendedMasterSecret: true,
      });
      const client = new DtlsClientTransport(
        {
          identity: clientIdentity,
          remoteFingerprint: { algorithm: 'sha-256', value: serverIdentity.fingerprint },
          send: (datagram) => {
            setImmediate(() => {
              transport.onData(Buffer.from(datagram));
            });
          },
          counters: createDtlsCounters(),
        },
        log,
      );
      const arrived = new Promise((resolve) => {
        log.onData = resolve;
      });
      const connected = server.onConnect.asPromise(4000);
      client.start();
      await connected;
      await server.send(Buffer.from('hello'));
      t.same(await arrived, Buffer.from('hello'));
      t.same(server.extractSessionKeys(16, 12).remoteKey, Buffer.from(log.keys?.localKey ?? []));
      client.close();
      // Lets its retransmission loops end.
      server.dtls.flight = 99;
    });
  }
});
