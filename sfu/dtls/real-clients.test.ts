/** Clients that others wrote: OpenSSL's, over UDP, and werift's as it is. In real time. */
import { spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { CipherContext, DtlsClient } from 'werift';
import { createDtlsCounters, type DtlsIdentity } from '../../tunnel-protocol/index.ts';
import { DtlsServerTransport } from './dtls-server-transport.ts';
import { clientIdentity, EventLog, serverIdentity } from './testing/dtls-pair.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const directory = mkdtempSync(join(tmpdir(), 'sallyport-dtls-'));
t.teardown(() => {
  rmSync(directory, { recursive: true });
});

/** RSA with SHA-256, as a client may have it. */
async function rsaIdentity(): Promise<DtlsIdentity> {
  const { certPem, keyPem } = await CipherContext.createSelfSignedCertificateWithKey({ signature: 1, hash: 4 });
  return { certPem, keyPem, fingerprint: new X509Certificate(certPem).fingerprint256 };
}

async function boundSocket(): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

const opensslProfiles = {
  AEAD_AES_128_GCM: { name: 'SRTP_AEAD_AES_128_GCM', keyingBytes: 56 },
  AES_CM_128_HMAC_SHA1_80: { name: 'SRTP_AES128_CM_SHA1_80', keyingBytes: 60 },
} as const;

t.test('openssl s_client', { skip: hasOpenssl ? false : 'no openssl' }, async (t) => {
  const cases = [
    { identity: clientIdentity, profile: 'AEAD_AES_128_GCM', kind: 'ECDSA' },
    { identity: await rsaIdentity(), profile: 'AES_CM_128_HMAC_SHA1_80', kind: 'RSA' },
  ] as const;
  for (const { identity, profile, kind } of cases) {
    await t.test(`with an ${kind} certificate and ${profile}`, async (t) => {
      const { name, keyingBytes } = opensslProfiles[profile];
      const pem = join(directory, `${kind}.pem`);
      writeFileSync(pem, `${identity.certPem}\n${identity.keyPem}\n`);
      const socket = await boundSocket();
      const log = new EventLog();
      const connected = log.onConnected.bind(log);
      log.onConnected = (keys) => {
        connected(keys);
        server.sendData(Buffer.from('a line from the server\n'));
      };
      let clientPort = 0;
      const server = new DtlsServerTransport(
        {
          identity: serverIdentity,
          remoteFingerprint: { algorithm: 'sha-256', value: identity.fingerprint },
          send: (datagram) => {
            socket.send(datagram, clientPort, '127.0.0.1');
          },
          counters: createDtlsCounters(),
        },
        log,
      );
      socket.on('message', (datagram, { port }) => {
        clientPort = port;
        server.receive(datagram);
      });
      const endpoint = [
        '-dtls1_2',
        '-connect',
        `127.0.0.1:${String(socket.address().port)}`,
        '-cert',
        pem,
        '-key',
        pem,
      ];
      const exporter = ['-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', String(keyingBytes)];
      const client = spawn('openssl', ['s_client', ...endpoint, '-use_srtp', name, ...exporter]);
      t.teardown(() => {
        client.kill();
        server.close();
        socket.close();
      });
      let output = '';
      client.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('a line from the server')) client.stdin.end('a line from the client\n');
      });
      await once(client, 'close');
      await new Promise(setImmediate);
      const keys = log.keys;
      t.equal(keys?.profile, profile);
      const exported = Buffer.concat(keys ? [keys.remoteKey, keys.localKey, keys.remoteSalt, keys.localSalt] : []);
      t.match(output, new RegExp(`Keying material: ${exported.toString('hex')}`, 'i'));
      t.match(output, 'Extended master secret: yes');
      t.ok(log.data.join('').includes('a line from the client'));
      t.equal(log.closed, 'close-notify');
    });
  }
});

t.test('werift as it is', async (t) => {
  for (const copies of [1, 2]) {
    await t.test(`every datagram towards the server ${String(copies)} times`, async (t) => {
      const log = new EventLog();
      const counters = createDtlsCounters();
      const transport = {
        type: 'memory',
        address: { address: '', family: '', port: 0 },
        closed: false,
        onData: undefined as unknown as (datagram: Buffer) => void,
        send: (datagram: Buffer) => {
          for (let copy = 0; copy < copies; copy++) {
            setTimeout(() => {
              server.receive(datagram);
            }, 10 * copy);
          }
          return Promise.resolve();
        },
        close: () => Promise.resolve(),
      };
      const client = new DtlsClient({
        transport,
        cert: clientIdentity.certPem,
        key: clientIdentity.keyPem,
        signatureHash: { hash: 4, signature: 3 },
        srtpProfiles: [7, 1],
        extendedMasterSecret: true,
      });
      const server = new DtlsServerTransport(
        {
          identity: serverIdentity,
          remoteFingerprint: { algorithm: 'sha-256', value: clientIdentity.fingerprint },
          send: (datagram) => {
            setImmediate(() => {
              transport.onData(Buffer.from(datagram));
            });
          },
          counters,
        },
        log,
      );
      const connected = client.onConnect.asPromise(4000);
      // Its handlers reject when its flights are over; that is werift's way.
      client.connect().catch(() => undefined);
      await connected;
      t.same(client.extractSessionKeys(16, 12).remoteKey, Buffer.from(log.keys?.localKey ?? []));
      const arrived = new Promise((resolve) => {
        log.onData = resolve;
      });
      await client.send(Buffer.from('hello'));
      t.same(await arrived, Buffer.from('hello'));
      server.close();
      // Lets its retransmission loops end.
      client.dtls.flight = 99;
    });
  }
});
